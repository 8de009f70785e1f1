package azurepgtest_test

import (
	"context"
	"encoding/base64"
	"errors"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

var databaseToken = policy.TokenRequestOptions{Scopes: []string{databaseScope}}

func TestTokensOfACredentialHaveAzuresShape(t *testing.T) {
	for _, row := range []struct {
		name, upn, scope string
		audience         string
		nobody           bool
	}{
		{"user", "alice@contoso.com", databaseScope, "https://ossrdbms-aad.database.windows.net", false},
		{"application", "", databaseScope, "https://ossrdbms-aad.database.windows.net", true},
		{"another service", "", "https://redis.azure.com/.default", "https://redis.azure.com", true},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cred := azurepgtest.NewCredential(row.upn)
				token, err := cred.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{row.scope}})
				if err != nil {
					t.Fatal(err)
				}
				parts := strings.Split(token.Token, ".")
				header, err := base64.RawURLEncoding.DecodeString(parts[0])
				if err != nil || !strings.Contains(string(header), `"alg":"RS256"`) || len(parts) != 3 || len(parts[2]) != 342 || len(token.Token) < 1200 {
					t.Errorf("header %s, %v, %d parts, %d characters; want Azure's", header, err, len(parts), len(token.Token))
				}
				claims := claimsOf(t, token.Token)
				upn, _ := claims["upn"].(string)
				_, named := claims["unique_name"]
				if claims["aud"] != row.audience || upn != row.upn || named == row.nobody || (claims["idtyp"] == "app") != row.nobody {
					t.Errorf("claims %v; want audience %s, upn %q", claims, row.audience, row.upn)
				}
				if exp := int64(claims["exp"].(float64)); exp != token.ExpiresOn.Unix() {
					t.Errorf("exp is %d, ExpiresOn %d", exp, token.ExpiresOn.Unix())
				}
			})
		})
	}
}

func TestPostgresTakesNoTokenOfACredential(t *testing.T) {
	t.Parallel()
	user := shared.AddUser("fake@contoso.com")
	token := getToken(t, azurepgtest.NewCredential(user.UPN))
	_, err := login(t.Context(), shared.Postgres, user.Name, token.Token)
	if got := pgError(t, err); got.Code != "28P01" {
		t.Errorf("got %s %s; want 28P01", got.Code, got.Message)
	}
}

func TestTimesOfACredentialAreThoseOfTheBubble(t *testing.T) {
	for _, row := range []struct {
		name               string
		set                func(*azurepgtest.Credential)
		took, ends, stales time.Duration // ends and stales: after the answer; stales 0: never
	}{
		{"as it comes", func(*azurepgtest.Credential) {}, 0, time.Hour, 0},
		{"another lifetime", func(c *azurepgtest.Credential) { c.SetLifetime(90 * time.Second) }, 0, 90 * time.Second, 0},
		{"issued expired", func(c *azurepgtest.Credential) { c.SetLifetime(-time.Minute) }, 0, -time.Minute, 0},
		{"refresh in", func(c *azurepgtest.Credential) { c.SetRefreshIn(30 * time.Minute) }, 0, time.Hour, 30 * time.Minute},
		{"slow", func(c *azurepgtest.Credential) { c.Fault(azurepgtest.Delay(3 * time.Second)) }, 3 * time.Second, time.Hour, 0},
		{"a clock that is wrong", func(c *azurepgtest.Credential) { c.Fault(azurepgtest.ClockSkew(10 * time.Minute)) }, 0, time.Hour, 0},
		{"a hang that ends", func(c *azurepgtest.Credential) { c.Fault(azurepgtest.Hang.For(time.Minute)) }, time.Minute, time.Hour, 0},
		{"a hang that is cleared", func(c *azurepgtest.Credential) {
			c.Fault(azurepgtest.Hang)
			time.AfterFunc(2*time.Second, c.ClearFaults)
		}, 2 * time.Second, time.Hour, 0},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cred := azurepgtest.NewCredential("")
				row.set(cred)
				begun := time.Now()
				token := getToken(t, cred)
				now := time.Now()
				if took := now.Sub(begun); took != row.took {
					t.Errorf("it took %v; want %v", took, row.took)
				}
				if ends := token.ExpiresOn.Sub(now); ends != row.ends {
					t.Errorf("ExpiresOn is in %v; want %v", ends, row.ends)
				}
				if row.stales == 0 && !token.RefreshOn.IsZero() || row.stales != 0 && token.RefreshOn.Sub(now) != row.stales {
					t.Errorf("RefreshOn is %v; want in %v", token.RefreshOn, row.stales)
				}
			})
		})
	}
}

func TestRequestsToACredentialDoNotWaitForEachOther(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.Fault(azurepgtest.Delay(time.Second))
		begun := time.Now()
		var wg sync.WaitGroup
		for range 100 {
			wg.Go(func() { getToken(t, cred) })
		}
		synctest.Wait()
		if n, issued := cred.TokenRequests(), len(cred.Tokens()); n != 100 || issued != 0 {
			t.Errorf("on their arrival %d requests, %d tokens; want 100 and 0", n, issued)
		}
		wg.Wait()
		if took := time.Since(begun); took != time.Second {
			t.Errorf("it took %v; want 1s", took)
		}
		tokens := cred.Tokens()
		slices.Sort(tokens)
		if n := len(slices.Compact(tokens)); n != 100 {
			t.Errorf("%d different tokens; want 100", n)
		}
	})
}

func TestCredentialRemembersWhatItWasAskedFor(t *testing.T) {
	t.Parallel()
	cred := azurepgtest.NewCredential("")
	asked := []policy.TokenRequestOptions{databaseToken, {Scopes: []string{"https://redis.azure.com/.default"}, TenantID: "t", Claims: "{}"}}
	for _, options := range asked {
		if _, err := cred.GetToken(t.Context(), options); err != nil {
			t.Fatal(err)
		}
	}
	got := cred.Requests()
	if len(got) != 2 || got[0].Scopes[0] != databaseScope || got[1].Scopes[0] != asked[1].Scopes[0] || got[1].TenantID != "t" || got[1].Claims != "{}" {
		t.Errorf("Requests() = %v; want %v", got, asked)
	}
}

func TestScopesThatEntraRefusesAreRefused(t *testing.T) {
	t.Parallel()
	for _, row := range []struct {
		name   string
		scopes []string
		code   string
	}{
		{"none", nil, "AADSTS900144"},
		{"without .default", []string{"https://ossrdbms-aad.database.windows.net"}, "AADSTS1002012"},
		{"no resource", []string{"hello/.default"}, "AADSTS500011"},
		{"two", []string{databaseScope, "https://redis.azure.com/.default"}, "AADSTS70011"},
	} {
		t.Run(row.name, func(t *testing.T) {
			_, err := azurepgtest.NewCredential("").GetToken(t.Context(), policy.TokenRequestOptions{Scopes: row.scopes})
			var refused *azcore.ResponseError
			if !errors.As(err, &refused) || !strings.Contains(err.Error(), row.code+":") {
				t.Errorf("got %v; want %s", err, row.code)
			}
		})
	}
}

func TestCredentialFailsAsHardAsAzidentity(t *testing.T) {
	t.Parallel()
	cred := azurepgtest.NewCredential("")
	fail := func(f azurepgtest.Fault) error {
		cred.Fault(f.Times(1))
		token, err := cred.GetToken(t.Context(), databaseToken)
		if err == nil || token != (azcore.AccessToken{}) {
			t.Fatalf("got %v, %v; want no token", token, err)
		}
		return err
	}
	var refused *azcore.ResponseError
	if err := fail(azurepgtest.Status(429, 7*time.Second)); !errors.As(err, &refused) ||
		refused.StatusCode != 429 || refused.RawResponse.Header.Get("Retry-After") != "7" {
		t.Errorf("Status: %v", err)
	}
	if err := fail(azurepgtest.Reset); !errors.Is(err, syscall.ECONNRESET) || !strings.Contains(err.Error(), "connection reset") {
		t.Errorf("Reset: %v", err)
	}
	if err := fail(azurepgtest.Garbage); !strings.Contains(err.Error(), "json decode error") || !strings.Contains(err.Error(), "hotel") {
		t.Errorf("Garbage: %v", err)
	}
	err := fail(azurepgtest.TruncatedJSON)
	if issued := cred.Tokens(); len(issued) != 1 || !strings.Contains(err.Error(), issued[0][:len(issued[0])/2]) {
		t.Errorf("TruncatedJSON: %v\nwant half of a token of %d", err, len(issued))
	}
	if err := fail(azurepgtest.Status(200, 0)); !strings.Contains(err.Error(), "missing access_token") {
		t.Errorf("an answer without a token: %v", err)
	}
}

func TestCredentialObeysItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("")
		cred.Fault(azurepgtest.Hang)
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		begun := time.Now()
		if _, err := cred.GetToken(ctx, databaseToken); !errors.Is(err, context.DeadlineExceeded) || time.Since(begun) != 5*time.Second {
			t.Errorf("got %v after %v; want DeadlineExceeded after 5s", err, time.Since(begun))
		}
		cred.ClearFaults()
		if _, err := cred.GetToken(ctx, databaseToken); !errors.Is(err, context.DeadlineExceeded) || len(cred.Tokens()) != 0 {
			t.Errorf("after its end: %v, %d tokens; want DeadlineExceeded, none", err, len(cred.Tokens()))
		}
		if got := cred.TokenRequests(); got != 2 {
			t.Errorf("TokenRequests() = %d; want 2", got)
		}
	})
}

func TestAnswersOfTheTestsOwn(t *testing.T) {
	t.Parallel()
	cred := azurepgtest.NewCredential("")
	cred.Fault(azurepgtest.SecretExpired)
	mine := errors.New("mine")
	answers := []error{nil, mine}
	cred.SetAnswer(func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) {
		err := answers[0]
		answers = answers[1:]
		if err != nil {
			return azcore.AccessToken{}, err
		}
		return azcore.AccessToken{Token: "fixed"}, nil
	})
	if token := getToken(t, cred); token.Token != "fixed" {
		t.Errorf("got %q; want fixed", token.Token)
	}
	if _, err := cred.GetToken(t.Context(), databaseToken); err != mine {
		t.Errorf("got %v; want the test's own error", err)
	}
	if n, tokens := cred.TokenRequests(), cred.Tokens(); n != 2 || len(tokens) != 1 || tokens[0] != "fixed" {
		t.Errorf("%d requests, tokens %q; want 2, and fixed", n, tokens)
	}
	cred.SetAnswer(nil)
	if _, err := cred.GetToken(t.Context(), databaseToken); err == nil || !strings.Contains(err.Error(), "AADSTS7000222") {
		t.Errorf("got %v; want the fault", err)
	}
}

// Whoever tests with a Credential sees what azurepg says of the real ones.
func TestFaultsOfACredentialAreExplainedByATokenCache(t *testing.T) {
	for _, row := range []struct {
		name      string
		fault     azurepgtest.Fault
		want      azurepg.TokenError // StatusCode, Code, RetryAfter, Temporary
		says      string
		answering time.Duration
	}{
		{"secret expired", azurepgtest.SecretExpired, azurepg.TokenError{StatusCode: 401, Code: "AADSTS7000222"}, "expired", 0},
		{"application unknown", azurepgtest.AppUnknown, azurepg.TokenError{StatusCode: 400, Code: "AADSTS700016"}, "azure_client_id", 0},
		{"tenant unknown", azurepgtest.TenantUnknown, azurepg.TokenError{StatusCode: 400, Code: "AADSTS90002"}, "azure_tenant_id", 0},
		{"MFA", azurepgtest.MFARequired, azurepg.TokenError{StatusCode: 400, Code: "AADSTS50076"}, "multi-factor", 0},
		{"subject", azurepgtest.SubjectMismatch, azurepg.TokenError{StatusCode: 401, Code: "AADSTS700213"}, "subject", 0},
		{"a code of no known words", azurepgtest.AADSTS(123), azurepg.TokenError{StatusCode: 400, Code: "AADSTS123"}, "AADSTS123", 0},
		{"throttled", azurepgtest.Status(429, 7*time.Second), azurepg.TokenError{StatusCode: 429, RetryAfter: 7 * time.Second, Temporary: true}, "429", 0},
		{"down", azurepgtest.Status(503, 0), azurepg.TokenError{StatusCode: 503, Code: "AADSTS90033", Temporary: true}, "temporary", 0},
		{"garbage", azurepgtest.Garbage, azurepg.TokenError{Temporary: true}, "json decode error", 0},
		{"truncated", azurepgtest.TruncatedJSON, azurepg.TokenError{Temporary: true}, "json decode error", 0},
		{"reset", azurepgtest.Reset, azurepg.TokenError{Temporary: true}, "connection reset", 0},
		{"reset later", azurepgtest.Reset.After(time.Second), azurepg.TokenError{Temporary: true}, "connection reset", time.Second},
		{"hanging", azurepgtest.Hang, azurepg.TokenError{Temporary: true}, "30s", 30 * time.Second},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				cred := azurepgtest.NewCredential("")
				cred.Fault(row.fault)
				begun := time.Now()
				_, err := azurepg.NewTokenCache(cred, nil).Token(t.Context())
				var got *azurepg.TokenError
				if !errors.As(err, &got) {
					t.Fatalf("got %v; want a TokenError", err)
				}
				if got.StatusCode != row.want.StatusCode || got.Code != row.want.Code || got.RetryAfter != row.want.RetryAfter || got.Temporary != row.want.Temporary {
					t.Errorf("got %+v; want %+v", got, row.want)
				}
				if got.Code != "" && got.CorrelationID == "" {
					t.Error("the correlation id is missing")
				}
				if took := time.Since(begun); took != row.answering {
					t.Errorf("it took %v; want %v", took, row.answering)
				}
				if text := err.Error(); !strings.Contains(text, row.says) || strings.Contains(text, "\n") {
					t.Errorf("got %q; want one line with %q", text, row.says)
				}
				for _, token := range cred.Tokens() {
					if strings.Contains(err.Error(), token[:len(token)/4]) {
						t.Error("the error shows a token")
					}
				}
			})
		})
	}
}
