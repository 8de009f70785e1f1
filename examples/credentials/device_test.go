package main

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/azurepg/azurepg/azurepgtest"
)

// fakeDevice is Entra for a person who types in the code at once. Discovery is
// that of azure.
type fakeDevice struct {
	user             *azurepgtest.Principal
	codes, refreshes atomic.Int32
}

func (d *fakeDevice) Do(r *http.Request) (*http.Response, error) {
	path := r.URL.Path[strings.LastIndex(r.URL.Path, "/")+1:]
	if r.Method != http.MethodPost || path != "devicecode" && path != "token" {
		return azure.Entra.Transport().Do(r)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, err
	}
	answer := map[string]any{"device_code": "device", "user_code": "ABCD", "verification_uri": "https://microsoft.com/devicelogin",
		"expires_in": 60, "interval": 1, "message": "go to https://microsoft.com/devicelogin and enter ABCD"}
	if path == "devicecode" {
		d.codes.Add(1)
	} else {
		if form.Get("grant_type") == "refresh_token" {
			d.refreshes.Add(1)
		}
		answer = d.tokens()
	}
	text, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	return &http.Response{StatusCode: http.StatusOK, Request: r, Header: http.Header{"Content-Type": {"application/json"}},
		Body: io.NopCloser(strings.NewReader(string(text)))}, nil
}

// tokens are what Entra gives a person: the access token lives 2 seconds.
func (d *fakeDevice) tokens() map[string]any {
	part := func(v any) string {
		text, _ := json.Marshal(v) // maps of strings
		return base64.RawURLEncoding.EncodeToString(text)
	}
	id := map[string]string{"oid": d.user.ObjectID, "tid": d.user.TenantID, "preferred_username": d.user.UPN, "sub": d.user.ObjectID,
		"iss": "https://login.microsoftonline.com/" + d.user.TenantID + "/v2.0"}
	return map[string]any{
		"token_type": "Bearer", "scope": scope, "expires_in": 2, "refresh_token": "refresh",
		"access_token": azure.Entra.Mint(d.user, &azurepgtest.MintOptions{Expires: time.Now().Add(3 * time.Second)}),
		"id_token":     part(map[string]string{"alg": "none"}) + "." + part(id) + ".x",
		"client_info":  part(map[string]string{"uid": d.user.ObjectID, "utid": d.user.TenantID}),
	}
}

// What azidentity does with the refresh token it does without the person.
func TestDeviceCodeIsEnteredOnceWhileTokensRotate(t *testing.T) {
	entra := &fakeDevice{user: azure.AddUser("bob@contoso.com")}
	t.Setenv("AZURE_TENANT_ID", entra.user.TenantID)
	cred, err := device(azcore.ClientOptions{Transport: entra})
	if err != nil {
		t.Fatal(err)
	}
	db, err := open(t.Context(), dsn(), cred)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	db.SetMaxIdleConns(-1)
	for entra.refreshes.Load() < 2 {
		var user string
		if err := db.QueryRowContext(t.Context(), "select current_user").Scan(&user); err != nil || user != "bob@contoso.com" {
			t.Fatalf("logged in as %q, %v", user, err)
		}
	}
	if n := entra.codes.Load(); n != 1 {
		t.Errorf("%d codes to enter; want one", n)
	}
}
