package azurepgtest_test

import (
	"encoding/json"
	"net/http"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/azurepg/azurepg/azurepgtest"
)

// aheadBy reports whether at is now plus ahead, give or take ten seconds.
func aheadBy(at time.Time, ahead time.Duration) bool {
	return time.Until(at.Add(-ahead)).Abs() < 10*time.Second
}

func unix(t *testing.T, seconds any) time.Time {
	t.Helper()
	switch s := seconds.(type) {
	case float64:
		return time.Unix(int64(s), 0)
	case string:
		if n, err := strconv.ParseInt(s, 10, 64); err == nil {
			return time.Unix(n, 0)
		}
	}
	t.Fatalf("%v is no time", seconds)
	return time.Time{}
}

func decode(t *testing.T, body string) (answer map[string]any) {
	t.Helper()
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatalf("%v in %s", err, body)
	}
	return answer
}

func assertDate(t *testing.T, name string, header http.Header, ahead time.Duration) {
	t.Helper()
	if date, err := http.ParseTime(header.Get("Date")); err != nil || !aheadBy(date, ahead) {
		t.Errorf("%s: Date is %q; want %v ahead", name, header.Get("Date"), ahead)
	}
}

func TestPostgresJudgesSkewedTokensByItsOwnClock(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	app := s.AddServicePrincipal("app")
	for _, tt := range []struct {
		skew   time.Duration
		reason string // "" is a login
	}{
		{10 * time.Minute, "not valid yet"},
		{4 * time.Minute, ""},
		{-50 * time.Minute, ""},
		{-70 * time.Minute, "expired"},
	} {
		s.Entra.Fault(azurepgtest.ClockSkew(tt.skew).Times(1))
		_, header, body, err := requestToken(t.Context(), s, app)
		if err != nil {
			t.Fatal(err)
		}
		answer := decode(t, body)
		token := answer["access_token"].(string)
		claims := claimsOf(t, token)
		assertDate(t, tt.skew.String(), header, tt.skew)
		if answer["expires_in"] != 3599.0 {
			t.Errorf("%v: expires_in is %v; want 3599", tt.skew, answer["expires_in"])
		}
		for claim, life := range map[string]time.Duration{"iat": -5 * time.Minute, "nbf": -5 * time.Minute, "exp": time.Hour} {
			if at := unix(t, claims[claim]); !aheadBy(at, tt.skew+life) {
				t.Errorf("%v: %s is %v", tt.skew, claim, at)
			}
		}
		if tt.reason == "" {
			currentUser(t, s.Postgres, "app", token)
			continue
		}
		if _, err := login(t.Context(), s.Postgres, "app", token); err == nil || s.Postgres.LastRefusal() != tt.reason {
			t.Errorf("%v: got %v, %q; want it refused: %s", tt.skew, err, s.Postgres.LastRefusal(), tt.reason)
		}
	}
}

func TestSkewedPlatformStampsAllItsTimes(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	s.AddManagedIdentity("identity")
	s.Identity.Fault(azurepgtest.ClockSkew(-3 * time.Hour))
	response, body := askIMDS(t, s, "")
	assertDate(t, "IMDS", response.Header, -3*time.Hour)
	s.SetClock(time.Hour)
	again, _ := askIMDS(t, s, "")
	assertDate(t, "IMDS beside SetClock", again.Header, -2*time.Hour)
	s.SetClock(0)
	imds := decode(t, body)
	if in := imds["expires_in"]; in != "86399" && in != "86400" {
		t.Errorf("expires_in is %v; want a day", in)
	}
	_, body = askAppService(t, s, "")
	for name, want := range map[string]struct {
		at    any
		ahead time.Duration
	}{
		"expires_on of IMDS":        {imds["expires_on"], 21 * time.Hour},
		"not_before of IMDS":        {imds["not_before"], -3*time.Hour - 5*time.Minute},
		"expires_on of App Service": {decode(t, body)["expires_on"], 21 * time.Hour},
	} {
		if at := unix(t, want.at); !aheadBy(at, want.ahead) {
			t.Errorf("%s is %v; want %v ahead", name, at, want.ahead)
		}
	}
}

func TestSetClockIsAMachineWhoseClockIsWrong(t *testing.T) {
	const ahead = 26 * time.Hour // longer than any token lasts
	s := azurepgtest.Start(t)
	app, user, identity := s.AddServicePrincipal("app"), s.AddUser("alice@contoso.com"), s.AddManagedIdentity("identity")
	early := s.Entra.Mint(app, nil)
	s.SetClock(ahead)

	t.Run("a token from before has expired", func(t *testing.T) {
		if _, err := login(t.Context(), s.Postgres, "app", early); err == nil || s.Postgres.LastRefusal() != "expired" {
			t.Errorf("got %v, %q", err, s.Postgres.LastRefusal())
		}
	})
	t.Run("Entra and PostgreSQL agree", func(t *testing.T) {
		_, header, body, err := requestToken(t.Context(), s, app)
		if err != nil {
			t.Fatal(err)
		}
		assertDate(t, "Entra", header, ahead)
		token := decode(t, body)["access_token"].(string)
		if at := unix(t, claimsOf(t, token)["exp"]); !aheadBy(at, ahead+time.Hour) {
			t.Errorf("exp is %v", at)
		}
		currentUser(t, s.Postgres, "app", token)
		currentUser(t, s.Postgres, "app", s.Entra.Mint(app, nil))
	})
	t.Run("errors are stamped", func(t *testing.T) {
		s.Entra.Fault(azurepgtest.AppUnknown.Times(1))
		_, _, body, _ := requestToken(t.Context(), s, app)
		stamp, _ := decode(t, body)["timestamp"].(string)
		if at, err := time.Parse("2006-01-02 15:04:05Z", stamp); err != nil || !aheadBy(at, ahead) {
			t.Errorf("timestamp is %q", stamp)
		}
	})
	t.Run("the platform agrees", func(t *testing.T) {
		s.Identity.KeepTokens(true)
		_, first := askIMDS(t, s, "")
		response, body := askIMDS(t, s, "")
		assertDate(t, "IMDS", response.Header, ahead)
		answer := decode(t, body)
		if answer["access_token"] != decode(t, first)["access_token"] {
			t.Error("a token is not kept, as if it had expired")
		}
		if at := unix(t, answer["expires_on"]); !aheadBy(at, ahead+24*time.Hour) {
			t.Errorf("expires_on is %v", at)
		}
		currentUser(t, s.Postgres, identity.Name, answer["access_token"].(string))
	})
	t.Run("az reckons with its own machine", func(t *testing.T) {
		t.Setenv("PATH", s.AzureCLI(user).Dir+":"+os.Getenv("PATH"))
		cred, err := azidentity.NewAzureCLICredential(nil)
		if err != nil {
			t.Fatal(err)
		}
		token := getToken(t, cred)
		if !aheadBy(token.ExpiresOn, time.Hour) {
			t.Errorf("ExpiresOn is %v; want an hour from now", token.ExpiresOn)
		}
		currentUser(t, s.Postgres, user.Name, token.Token)
	})
	t.Run("a certificate's assertion is of the wrong clock", func(t *testing.T) {
		_, err := certificateCredential(t, s, app.TenantID, app).GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{databaseScope}})
		if err == nil || !strings.Contains(err.Error(), "AADSTS700024: ") {
			t.Errorf("got %v; want AADSTS700024", err)
		}
	})
	t.Run("a cluster's token is not", func(t *testing.T) {
		getToken(t, federatedCredential(t, s, app.TenantID, app))
	})
	t.Run("put right", func(t *testing.T) {
		s.SetClock(0)
		currentUser(t, s.Postgres, "app", early)
		getToken(t, certificateCredential(t, s, app.TenantID, app))
		getToken(t, federatedCredential(t, s, app.TenantID, app))
	})
}
