package azurepg

import (
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/azurepg/azurepg/internal/explain"
)

// serverError is a refusal in a server's words, with its SQLSTATE before a space.
type serverError string

func (e serverError) SQLState() string { return string(e[:5]) }
func (e serverError) Error() string {
	return "FATAL: " + string(e[6:]) + " (SQLSTATE " + e.SQLState() + ")"
}

const (
	appOID     = "11111111-1111-1111-1111-111111111111"
	homeTenant = "22222222-2222-2222-2222-222222222222"
	ofApp      = `"idtyp":"app","appid":"the-app","oid":"` + appOID + `","tid":"` + homeTenant + `"`
	ofPerson   = `"upn":"alice@contoso.com","appid":"az","oid":"` + appOID + `","tid":"` + homeTenant + `"`
	scopeAsked = "https://ossrdbms-aad.database.windows.net/.default"
)

// Every row of the table is met by an error here, in the servers' words, and says
// what is right in this case.
func TestEveryFailedLoginIsExplained(t *testing.T) {
	met := map[*loginFault]bool{}
	now := time.Now().Truncate(time.Second)
	in := func(d time.Duration) int64 { return now.Add(d).Unix() }
	for _, row := range []struct {
		name   string
		err    error
		claims string
		cfg    Config
		user   string
		says   []string
	}{
		{name: "a firewall", err: serverError(`28000 no pg_hba.conf entry for host "192.0.2.1", user "X", database "Y", SSL encryption`), says: []string{"firewall"}},
		{name: "a firewall, by a rule", err: serverError(`28000 pg_hba.conf rejects connection for host "192.0.2.1"`), says: []string{"firewall"}},
		{name: "TLS ended in between", err: serverError(`28000 no pg_hba.conf entry for host "192.0.2.1", user "X", database "Y", no encryption`), says: []string{"something between ends it"}},

		{name: "audience", err: serverError("28P01 The access token does not have a valid audience claim. Acquire a new token and retry."), claims: ofApp + `,"aud":"00000003-0000-0000-c000-000000000000"`,
			says: []string{`the token is for "00000003-0000-0000-c000-000000000000"`, `is "` + scopeAsked + `"`, "azure_scope", "azure_cloud"}},
		{name: "audience, new wording", err: serverError(`28P01 The access token doesn't have a valid audience claim. Acquire a new token for resource "https://ossrdbms-aad.database.windows.net/"`), says: []string{"azure_scope"}},
		{name: "audience, by the claims alone", err: serverError("28P01 no"), claims: ofApp + `,"aud":"https://redis.azure.com"`, says: []string{"redis.azure.com"}},
		{name: "expired, and the clock agrees", err: serverError("28P01 The access token has expired. Please acquire a new token and retry."), claims: fmt.Sprintf(ofApp+`,"exp":%d`, in(-3*time.Minute)), says: []string{"expired 3m0s ago", "clock"}},
		{name: "expired, by the claims alone", err: serverError("28P01 no"), claims: fmt.Sprintf(ofApp+`,"exp":%d`, in(-time.Hour)), says: []string{"expired 1h0m0s ago"}},
		{name: "expired, and the clock does not agree", err: serverError("28P01 The access token has expired. Acquire a new token and try again."), claims: fmt.Sprintf(ofApp+`,"exp":%d`, in(50*time.Minute)), says: []string{"valid for another 50m0s", "revoked"}},
		{name: "not yet valid", err: serverError("28P01 The access token has invalid format. Acquire a new token and retry."), claims: fmt.Sprintf(ofApp+`,"nbf":%d,"exp":%d`, in(10*time.Minute), in(time.Hour)), says: []string{"valid only in 10m0s", "clock"}},
		{name: "another tenant", err: serverError("28P01 The access token has invalid format. Acquire a new token and retry."), cfg: Config{TenantID: appOID}, says: []string{homeTenant, "azure_tenant_id"}},
		{name: "the tenant asked for", err: serverError("28P01 The access token has invalid format. Acquire a new token and retry."), cfg: Config{TenantID: homeTenant}, says: []string{"could not read the token", homeTenant}},
		{name: "a tenant asked for by its domain", err: serverError("28P01 The access token has invalid format."), cfg: Config{TenantID: "contoso.com"}, says: []string{"could not read the token"}},

		{name: "not yet valid, by the claims alone", err: serverError("28P01 no"), claims: fmt.Sprintf(ofApp+`,"nbf":%d`, in(10*time.Minute)), says: []string{"valid only in 10m0s"}},
		{name: "another tenant, by the claims alone", err: serverError("28P01 no"), cfg: Config{TenantID: appOID}, says: []string{homeTenant, "azure_tenant_id"}},
		{name: "expired, says the server, and the token says nothing", err: serverError("28P01 The access token has expired."), claims: "-", says: []string{"does not say when: try again"}},
		{name: "audience, and the token says nothing", err: serverError("28P01 The access token does not have a valid audience claim."), claims: "-", says: []string{"the token is for another service, and"}},
		{name: "format, and the token says nothing", err: serverError("28P01 The access token has invalid format."), claims: "-", says: []string{"its tenant, an unknown one: "}},

		{name: "another object id, and the clock is ahead", err: serverError("28P01 Service Principal oid mismatch for role[X]"), claims: fmt.Sprintf(ofApp+`,"exp":%d`, in(-time.Hour)), says: []string{"another object id"}},
		{name: "an application as a user, and the clock is behind", err: serverError("28P01 neither an AAD_AUTH_TOKENTYPE_APP_USER or"), claims: fmt.Sprintf(ofApp+`,"nbf":%d`, in(time.Hour)), says: []string{"the role is of a user"}},
		{name: "no LOGIN, and the clock is behind", err: serverError(`28000 role "X" is not permitted to log in`), claims: fmt.Sprintf(ofApp+`,"nbf":%d`, in(time.Hour)), says: []string{"no LOGIN"}},
		{name: "an application as a user", err: serverError("28P01 Azure AD user token for role[X] is neither an AAD_AUTH_TOKENTYPE_APP_USER or an AAD_AUTH_TOKENTYPE_APP_OBO token."),
			says: []string{"the role is of a user, but the token is of an application", "'" + appOID + "', 'service', false, false)"}},
		{name: "an application as a user, new wording", err: serverError(`28000 Microsoft Entra user token for role "X" is neither an AAD_AUTH_TOKENTYPE_APP_USER or an AAD_AUTH_TOKENTYPE_APP_OBO token.`), says: []string{"the role is of a user"}},
		{name: "a person as an application", err: serverError("28P01 Service Principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role[X]"), claims: ofPerson, says: []string{"the role is of an application or managed identity, but the token is of a person"}},
		{name: "a person as an application, new wording", err: serverError(`28000 Service principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role "X".`), claims: ofPerson, says: []string{"the token is of a person"}},
		{name: "the same words to an application", err: serverError("28P01 Service Principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role[X]"), says: []string{"not of the application", `security label for "pgaadauth" on role "X" is 'aadauth,oid=` + appOID + `,type=service'`}},
		{name: "another object id", err: serverError("28P01 Service Principal oid mismatch for role[X]"), says: []string{"another object id", `on role "X" is 'aadauth,oid=` + appOID + `,type=service'`}},
		{name: "another object id, new wording", err: serverError(`28000 Service principal oid mismatch for role "The oid in the security label [a] does not match the appid [b] or oid [c] in the token."`), user: `o"b'r`, says: []string{`on role "o""b'r" is`}},

		{name: "no LOGIN", err: serverError(`28000 role "X" is not permitted to log in`), says: []string{`alter role "X" login`}},
		{name: "the single server's form", err: serverError("28P01 password authentication failed for user"), cfg: Config{Hosts: []Host{{Name: "mydb.postgres.database.azure.com"}}}, user: "app@mydb", says: []string{"single server"}},
		{name: "a client id", err: serverError("28P01 password authentication failed for user"), user: appOID, says: []string{"not its client or object id"}},
		{name: "another case", err: serverError("28P01 password authentication failed for user"), claims: ofPerson, user: "Alice@Contoso.com", says: []string{`"alice@contoso.com"`, "case-sensitive"}},
		{name: "an unknown role", err: serverError(`28P01 password authentication failed for user "X"`), user: "o'brien", says: []string{"pgaadauth_list_principals(false)", "pgaadauth_create_principal_with_oid('o''brien', '" + appOID + "', 'service', false, false)"}},
		{name: "an unknown role of a person", err: serverError(`28P01 password authentication failed for user "X"`), claims: ofPerson, says: []string{"'" + appOID + "', 'user', false, false)"}},
		{name: "an opaque token", err: serverError("28P01 something never seen before"), claims: "-", says: []string{"'<object id>'"}},

		{name: "no authentication", err: errors.New(`authentication method requirement "password" failed: server did not complete authentication`), says: []string{"lets everybody in"}},
		{name: "SCRAM", err: errors.New(`authentication method requirement "password" failed: server requested scram-sha-256 authentication`), says: []string{"not an Entra role", "pgaadauth_create_principal_with_oid('X',"}},
		{name: "no TLS", err: errors.New("tls error: server refused TLS connection"), says: []string{"ssl = on"}},
		{name: "PgBouncer and a parameter", err: serverError("08P01 unsupported startup parameter: search_path"), says: []string{"run-time parameter"}},
		{name: "PgBouncer and a long token", err: serverError("08P01 client sent partial pkt in startup phase"), says: []string{"the token has ", " bytes", "5432"}},
		{name: "PgBouncer, by the port", err: serverError("08P01 other words"), cfg: Config{Hosts: []Host{{Name: "h", Port: 6432}}}, says: []string{"the token has "}},
		{name: "no connection left", err: serverError("53300 sorry, too many clients already"), says: []string{"SetMaxOpenConns", "not about the token"}},
		{name: "no CONNECT", err: serverError(`42501 permission denied for database "Y"`), cfg: Config{Database: `my"db`}, says: []string{`grant connect on database "my""db" to "X"`}},
		{name: "no CONNECT, and the database is named after the role", err: serverError(`42501 permission denied for database "X"`), says: []string{`grant connect on database "X" to "X"`}},
		{name: "no database", err: serverError(`3D000 database "X" does not exist`), says: []string{"set the database"}},
		{name: "starting", err: serverError("57P03 the database system is starting up"), says: []string{"try again"}},
		{name: "a standby", err: errors.New("ValidateConnect failed: read only connection"), says: []string{"target_session_attrs"}},
		{name: "DNS fails", err: errors.New("hostname resolving error: lookup x on 192.0.2.53:53: server misbehaving"), says: []string{"DNS of this machine"}},
		{name: "DNS is silent", err: errors.New("hostname resolving error: lookup x: read udp 192.0.2.1:4->192.0.2.53:53: i/o timeout"), says: []string{"DNS of this machine"}},
		{name: "no such host", err: errors.New("hostname resolving error: lookup x: no such host"), says: []string{"private DNS zone"}},
		{name: "refused", err: errors.New("dial tcp 192.0.2.1:5432: connect: connection refused"), says: []string{"nothing listens", "check both"}},
		{name: "refused, at PgBouncer's port", err: errors.New("dial tcp 192.0.2.1:6432: connect: connection refused"), cfg: Config{Hosts: []Host{{Name: "h", Port: 6432}}}, says: []string{"pgbouncer.enabled", "5432"}},
		{name: "no client certificate", err: errors.New("failed to receive message: remote error: tls: certificate required"), says: []string{"wants a client certificate", "set sslcert and sslkey"}},
		{name: "client certificate refused", err: errors.New("failed to receive message: remote error: tls: unknown certificate authority"), says: []string{"refused the client certificate", "authority of sslcert"}},
		{name: "no answer", err: errors.New("timeout: context deadline exceeded"), says: []string{"firewall"}},
	} {
		t.Run(row.name, func(t *testing.T) {
			if row.user == "" {
				row.user = "X"
			}
			if row.claims == "" {
				row.claims = ofApp
			}
			token := fakeJWT("{" + row.claims + "}")
			c := &Connector{cfg: &row.cfg, tokens: NewTokenCache(nil, nil)}
			f := c.failedLogin(Login{User: row.user, Password: Secret(token)}, row.err)
			f.now = now
			fault := f.fault()
			if fault == nil {
				t.Fatalf("no row fits %v", row.err)
			}
			met[fault] = true
			err := explainLogin(f, row.err)
			if server, _ := refusal(row.err); server != nil {
				err = newAuthError(f, server, row.err, true)
			}
			for _, part := range row.says {
				if !strings.Contains(err.Error(), part) {
					t.Errorf("%v\nlacks %s", err, part)
				}
			}
			if !errors.Is(err, row.err) {
				t.Errorf("%v does not unwrap to the cause", err)
			}
			wantSafeLine(t, err, token)
		})
	}
	for i := range loginFaults {
		if !met[&loginFaults[i]] {
			t.Errorf("no case meets the row %d, %s: %s", i, loginFaults[i].says, loginFaults[i].means)
		}
	}
}

// wantSafeLine fails the test unless err is one filled line of azurepg's without
// the secrets.
func wantSafeLine(t *testing.T, err error, secrets ...string) {
	t.Helper()
	text := err.Error()
	if !strings.HasPrefix(text, "azurepg: ") || strings.ContainsAny(text, "\n\r{}") {
		t.Errorf("%q is not one line of azurepg's with all facts filled in", text)
	}
	for _, secret := range secrets {
		if strings.Contains(text, secret) || strings.Contains(fmt.Sprintf("%+v %#v", err, err), secret) {
			t.Errorf("%q shows a secret", text)
		}
	}
}

func TestWhatNoRowExplainsStaysAsItIs(t *testing.T) {
	for _, err := range []error{errors.New("boom"), serverError("22023 unrecognized"), serverError("08P01 on another port"), &tlsError{"connection refused", nil}} {
		c := &Connector{cfg: &Config{}, tokens: NewTokenCache(nil, nil)}
		if got := explainLogin(c.failedLogin(Login{User: "X", Password: "t"}, err), err); got != err {
			t.Errorf("%v became %v", err, got)
		}
	}
}

// What is to be pasted into psql closes its own quotes, on one line.
func TestSQLInAdviceIsQuoted(t *testing.T) {
	for _, row := range []struct{ in, literal, name string }{
		{"app", "'app'", `"app"`},
		{"o'brien", "'o''brien'", `"o'brien"`},
		{`a"; drop role x; --`, `'a"; drop role x; --'`, `"a""; drop role x; --"`},
		{"a\nb\x1b[31m\u202ec", "'a?b?[31m?c'", `"a?b?[31m?c"`},
		{strings.Repeat("x", 300), "'" + strings.Repeat("x", foreignLimit) + "…'", `"` + strings.Repeat("x", foreignLimit) + `…"`},
		{"{oid}", "'{oid}'", `"{oid}"`},
	} {
		if literal, name := sqlLiteral(row.in), sqlName(row.in); literal != row.literal || name != row.name {
			t.Errorf("%q: %s and %s; want %s and %s", row.in, literal, name, row.literal, row.name)
		}
	}
	if got := explain.Fill("{role} {oid}", map[string]string{"role": "{oid}", "oid": "1"}); got != "{oid} 1" {
		t.Errorf("a fact was filled in itself: %s", got)
	}
}

// The claims of a token are foreign, and so is the role's name.
func TestClaimsCannotLeaveTheirPlace(t *testing.T) {
	hostile := "a\nb\r\x1b[31m\u202e\u2028'\"`; drop role x; --{oid}{" + strings.Repeat("ü", 100000)
	raw, err := json.Marshal(map[string]any{"oid": hostile, "appid": hostile, "tid": hostile, "upn": hostile, "aud": []string{hostile, hostile}, "xms_mirid": hostile, "idtyp": "app"})
	if err != nil {
		t.Fatal(err)
	}
	c := &Connector{cfg: &Config{Database: hostile}, tokens: NewTokenCache(nil, nil)}
	server := serverError("28P01 no")
	f := c.failedLogin(Login{User: hostile, Password: Secret(fakeJWT(string(raw)))}, server)
	for i := range loginFaults {
		e := newAuthError(f, server, server, true)
		e.Advice = loginFaults[i].text(f.facts())
		text := e.Error()
		if strings.ContainsFunc(text, func(r rune) bool { return !strconv.IsPrint(r) }) || len(text) > 4000 {
			t.Errorf("row %d: %d bytes, %.400q", i, len(text), text)
		}
		for _, sql := range []string{sqlLiteral(hostile), sqlName(hostile)} {
			quote := sql[:1]
			if inner := strings.ReplaceAll(sql[1:len(sql)-1], quote+quote, ""); strings.Contains(inner, quote) {
				t.Errorf("%s is closed too soon", sql)
			}
		}
	}
}

func TestAuthErrorNamesRolePrincipalAndServer(t *testing.T) {
	server := serverError("28P01 password authentication failed")
	c := &Connector{cfg: &Config{}, tokens: NewTokenCache(nil, nil)}
	err := newAuthError(c.failedLogin(Login{User: "X", Password: Secret(fakeJWT("{" + ofApp + "}"))}, server), server, server, true)
	for _, part := range []string{`role "X"`, "SQLSTATE 28P01", `application "the-app"`, `object id "` + appOID + `"`, err.Advice} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%v\nlacks %s", err, part)
		}
	}
}
