package azurepgtest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// A Credential is a fake azcore.TokenCredential, for unit tests of what asks for tokens
// and of what goes wrong with them, without a [Server]:
//
//	cred := azurepgtest.NewCredential("alice@contoso.com")
//	cred.Fault(azurepgtest.Hang.For(time.Minute))
//	tokens := azurepg.NewTokenCache(cred, nil)
//
// Its tokens have the shape and length of Azure's, but noise for a signature: no
// Postgres of this package takes them. Each request is answered with a new one and
// fails as azidentity's do, but is not tried again by the credential itself. It opens
// no connection and starts no goroutine, so in a testing/synctest bubble its times are
// those of the bubble.
//
// Its methods are safe for concurrent use, and requests do not wait for each other.
type Credential struct {
	directory *directory
	principal *Principal // the only one
	faults    faultQueue

	mu        sync.Mutex // guards all below
	lifetime  time.Duration
	refreshIn time.Duration
	answer    func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error) // nil: as Entra does
	requests  []policy.TokenRequestOptions
	issued    []string
}

var _ azcore.TokenCredential = (*Credential)(nil)

// NewCredential returns the credential of the user with that user principal name; ""
// is an application, whose tokens name nobody.
func NewCredential(upn string) *Credential {
	kind := User
	if upn == "" {
		kind = ServicePrincipal
	}
	d := newDirectory()
	return &Credential{directory: d, principal: d.newPrincipal(upn, kind), lifetime: defaultLifetime}
}

// SetLifetime makes tokens issued from now on valid for d, in whole seconds; the
// default is an hour. With a negative d tokens are issued expired.
func (c *Credential) SetLifetime(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lifetime = d
}

// SetRefreshIn gives tokens issued from now on a RefreshOn that is d after their issue,
// in whole seconds; zero, the default, is none.
func (c *Credential) SetRefreshIn(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refreshIn = d
}

// SetAnswer makes f answer requests from now on, for what no setting here gives: a token
// of [Entra.Mint], the same token again, an end in another millennium, an error of
// one's own. Requests and Tokens go on counting; lifetimes and faults have no effect.
// A nil f, the default, is this credential again.
func (c *Credential) SetAnswer(f func(context.Context, policy.TokenRequestOptions) (azcore.AccessToken, error)) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answer = f
}

// Fault makes requests go wrong until f has ended or ClearFaults, in the way of
// [Entra.Fault]. A status other than 200 is an *azcore.ResponseError. Reset unwraps to
// syscall.ECONNRESET, and a request that waits to the end of its context unwraps to the
// context's error. What is no JSON is quoted in the error with all that it holds, most
// of a token in the case of TruncatedJSON, since azidentity does so.
func (c *Credential) Fault(f Fault) { c.faults.add(f) }

// ClearFaults ends all faults. Requests that wait are answered.
func (c *Credential) ClearFaults() { c.faults.clear() }

// TokenRequests returns how often GetToken was called, those calls included that failed
// or still hang.
func (c *Credential) TokenRequests() int {
	c.mu.Lock()
	defer c.mu.Unlock()
	return len(c.requests)
}

// Requests returns what each GetToken asked for, the scopes above all, in order.
func (c *Credential) Requests() []policy.TokenRequestOptions {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]policy.TokenRequestOptions(nil), c.requests...)
}

// Tokens returns every token issued so far, in order, for searching them in what a
// program has logged. They include those that a fault kept from the caller.
func (c *Credential) Tokens() []string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return append([]string(nil), c.issued...)
}

// GetToken returns a new token for the scope, of which Entra takes one that ends in
// /.default. Claims, a tenant and EnableCAE change nothing; see Requests.
func (c *Credential) GetToken(ctx context.Context, options policy.TokenRequestOptions) (azcore.AccessToken, error) {
	c.mu.Lock()
	c.requests = append(c.requests, options)
	answer := c.answer
	c.mu.Unlock()
	if answer != nil {
		token, err := answer(ctx, options)
		if token.Token != "" {
			c.remember(token.Token)
		}
		return token, err
	}
	const host = "https://login.microsoftonline.com/"
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, host+c.principal.TenantID+"/oauth2/v2.0/token", nil)
	if err != nil {
		return azcore.AccessToken{}, fmt.Errorf("azurepgtest: %w", err)
	}
	r.PostForm = url.Values{"scope": {strings.Join(options.Scopes, " ")}}
	response, err := c.post(r)
	if err != nil {
		return azcore.AccessToken{}, &url.Error{Op: "Post", URL: r.URL.String(), Err: err}
	}
	if response.StatusCode != http.StatusOK {
		return azcore.AccessToken{}, runtime.NewResponseError(response)
	}
	return readToken(response)
}

// post is the round trip of a request that no network carries.
func (c *Credential) post(r *http.Request) (_ *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	defer func() {
		switch p := recover(); p {
		case nil:
		case http.ErrAbortHandler: // a server cuts the connection then
			err = &net.OpError{Op: "read", Net: "tcp", Err: os.NewSyscallError("read", syscall.ECONNRESET)}
		default:
			panic(p)
		}
	}()
	w := &statusHeld{heldWriter{header: make(http.Header)}, http.StatusOK}
	c.faults.wrap(http.HandlerFunc(c.serve)).ServeHTTP(w, r)
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	return &http.Response{
		Status: fmt.Sprint(w.status, " ", http.StatusText(w.status)), StatusCode: w.status,
		Header: w.header, Body: io.NopCloser(&w.body), Request: r,
	}, nil
}

// A statusHeld holds the status back as well.
type statusHeld struct {
	heldWriter
	status int
}

func (w *statusHeld) WriteHeader(status int) { w.status = status }

// serve is the token endpoint.
func (c *Credential) serve(w http.ResponseWriter, r *http.Request) {
	audience, refusal := resourceIn(r.PostForm.Get("scope"), c.principal.TenantID)
	if refusal != nil {
		refusal.write(w, r)
		return
	}
	c.mu.Lock()
	lifetime, refreshIn := c.lifetime, c.refreshIn
	c.mu.Unlock()
	now := stampTime(r)
	id := noise(20)
	token, err := unsignedJWT(map[string]any{"kid": id, "x5t": id}, c.directory.claims(c.principal, audience, bySecret, now, now.Add(lifetime).Truncate(time.Second)))
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	token += "." + noise(keyBits/8) // making a key takes 0.1 s, and nobody checks
	c.remember(token)
	// Not a second less, as Entra's: virtual time makes its users count to the second.
	body := map[string]any{"token_type": "Bearer", "expires_in": int(lifetime / time.Second), "access_token": token}
	if refreshIn > 0 {
		body["refresh_in"] = int(refreshIn / time.Second)
	}
	writeJSON(w, http.StatusOK, body)
}

func (c *Credential) remember(token string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.issued = append(c.issued, token)
}

// readToken reads an answer as MSAL does: the token's end is counted from now on.
func readToken(response *http.Response) (azcore.AccessToken, error) {
	body, err := io.ReadAll(response.Body)
	if err != nil {
		return azcore.AccessToken{}, fmt.Errorf("azurepgtest: %w", err)
	}
	var said struct {
		Token     string `json:"access_token"`
		ExpiresIn int    `json:"expires_in"`
		RefreshIn int    `json:"refresh_in"`
	}
	if err := json.Unmarshal(body, &said); err != nil {
		// Source of the words: comm.go of MSAL Go 1.10.
		return azcore.AccessToken{}, fmt.Errorf("json decode error: %w\nraw message was: %s", err, body)
	}
	if said.Token == "" { // Source: tokens.go of MSAL Go 1.10.
		return azcore.AccessToken{}, errors.New("response is missing access_token")
	}
	now := time.Now().UTC()
	token := azcore.AccessToken{Token: said.Token, ExpiresOn: now.Add(time.Duration(said.ExpiresIn) * time.Second)}
	if said.RefreshIn > 0 {
		token.RefreshOn = now.Add(time.Duration(said.RefreshIn) * time.Second)
	}
	return token, nil
}
