package azurepg

import (
	"strconv"
	"strings"
	"time"
)

// loginFault is a way for a login to fail once the server has been found. It is
// known by the SQLSTATE, the words of the error, and what the token's claims say.
// A row with none of the last two is for all that is left of its SQLSTATE.
type loginFault struct {
	explanation
	state string   // SQLSTATE, or its class; empty: any, or none
	words []string // one of them is in the error's text, in lower case; nil: any
	is    func(*failedLogin) bool
	or    func(*failedLogin) bool // in place of the words
}

func (row *loginFault) fits(f *failedLogin) bool {
	if !strings.HasPrefix(f.state, row.state) || row.is != nil && !row.is(f) {
		return false
	}
	if row.or != nil && row.or(f) {
		return true
	}
	for _, w := range row.words {
		if strings.Contains(f.words, w) {
			return true
		}
	}
	return row.words == nil && row.or == nil
}

const (
	class28    = "28" // invalid authorization specification
	createRole = "`select * from pgaadauth_create_principal_with_oid({role}, '{oid}', '{type}', false, false)`"
	labelRole  = "`security label for \"pgaadauth\" on role {rolename} is 'aadauth,oid={oid},type={type}'` (with ,admin at the end if it is an administrator)"
	kinds      = "aad_auth_tokentype_app_user"
)

// What the claims show, whatever the server says.
var (
	expiredHere = explanation{
		says: "token has expired", means: "by this machine's clock the token expired {ago} ago",
		advice: "try again in half a minute; if it goes on, set the clock, by NTP"}
	notYetHere = explanation{
		says: "invalid format", means: "by this machine's clock the token is valid only in {early}", advice: "set the clock, by NTP"}
	otherTenant = explanation{
		says: "invalid format", means: "the token is of tenant {tenant}, which is not that of azure_tenant_id",
		advice: "check which tenant the credential is logged in to"}
)

// The first row that fits counts: what the server says comes before what the claims
// alone show, which a wrong clock on this side can distort. The words are the servers' own, as seen in the
// wild, in old and new wording; Microsoft documents neither them nor their
// SQLSTATE.
//
// Source of the SQL: learn.microsoft.com/azure/postgresql, "Manage Microsoft Entra
// roles", read 2026-11.
var loginFaults = []loginFault{
	// Before the token was asked for.
	{state: class28, words: []string{"no encryption", "ssl off", "ssl connection is required"}, explanation: explanation{
		says: "no encryption", means: "the server saw no TLS: something between ends it", advice: "set host and port to the server itself"}},
	{state: class28, words: []string{"no pg_hba.conf entry", "pg_hba.conf rejects"}, explanation: explanation{
		says: "no pg_hba.conf entry", means: "the server does not accept this address",
		advice: "add it to the server's firewall rules, or connect from its virtual network", readme: true}},

	// What is wrong with the token.
	{state: class28, words: []string{"valid audience"}, or: (*failedLogin).foreignAudience, explanation: explanation{
		says: "valid audience claim", means: "the token is for {audience}, and the scope that azurepg asked for is {scope}",
		advice: "leave azure_scope out, and check azure_cloud"}},
	{state: class28, words: []string{"token has expired"}, is: (*failedLogin).stillValid, explanation: explanation{
		says: "token has expired", means: "by this machine's clock the token is valid for another {left}",
		advice: "set the clock, by NTP; if it is right the token was revoked, and the next login has a new one"}},
	{state: class28, words: []string{"token has expired"}, is: (*failedLogin).hasExpired, explanation: expiredHere},
	{state: class28, words: []string{"token has expired"}, explanation: explanation{
		says: "token has expired", means: "the token itself does not say when", advice: expiredHere.advice}},
	{state: class28, words: []string{"invalid format"}, is: (*failedLogin).notYetValid, explanation: notYetHere},
	{state: class28, words: []string{"invalid format"}, is: (*failedLogin).otherTenant, explanation: otherTenant},
	{state: class28, words: []string{"invalid format"}, explanation: explanation{
		says: "invalid format", means: "the server could not read the token or does not trust its tenant, {tenant}",
		advice: "check that this is the server's tenant, and azure_cloud"}},

	// Whose role it is.
	{state: class28, words: []string{"neither an " + kinds}, explanation: explanation{
		says: "neither an AAD_AUTH_TOKENTYPE_APP_USER", means: "the role is of a user, but the token is of an application or managed identity",
		advice: "set user to the role of that: " + listPrincipals + ", or make it there: `select * from pgaadauth_create_principal_with_oid('<its name>', '{oid}', 'service', false, false)`", readme: true}},
	{state: class28, words: []string{"cannot generate " + kinds}, is: (*failedLogin).ofApp, explanation: explanation{
		says: "cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens", means: "the role is not of the application or managed identity that the token is of",
		advice: "tie it to that in database postgres: " + labelRole}},
	{state: class28, words: []string{"cannot generate " + kinds}, explanation: explanation{
		says: "cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens", means: "the role is of an application or managed identity, but the token is of a person",
		advice: "leave user out to log in as yourself, or set it to your own role"}},
	{state: class28, words: []string{"oid mismatch"}, explanation: explanation{
		says: "oid mismatch for role", means: "the role was made for another object id: a principal that is made anew keeps its name only",
		advice: "tie the role to the new one in database postgres: " + labelRole, readme: true}},

	// What is wrong with the role's name.
	{state: class28, words: []string{"is not permitted to log in"}, explanation: explanation{
		says: "is not permitted to log in", means: "the role has no LOGIN", advice: "let an administrator run `alter role {rolename} login`"}},
	{state: class28, is: (*failedLogin).namesServer, explanation: explanation{
		says: "password authentication failed", means: "user@server was the form of the retired single server", advice: "leave the @ and the server out of user"}},
	{state: class28, is: (*failedLogin).namesGUID, explanation: explanation{
		says: "password authentication failed", means: "the role's name is that of the principal, not its client or object id", advice: "set user to a name: " + listPrincipals}},
	{state: class28, is: (*failedLogin).otherCase, explanation: explanation{
		says: "password authentication failed", means: "role names are case-sensitive, and the token's is {name}", advice: "spell user so, or leave it out"}},
	{state: class28, is: (*failedLogin).hasExpired, explanation: expiredHere},
	{state: class28, is: (*failedLogin).notYetValid, explanation: notYetHere},
	{state: class28, is: (*failedLogin).otherTenant, explanation: otherTenant},
	{state: class28, explanation: explanation{
		says: "password authentication failed", means: "the role is missing, misspelt, or of another principal",
		advice: "compare with " + listPrincipals + "; if it is missing, an Entra administrator makes it there: " + createRole, readme: true}},

	// Not about the token.
	{words: []string{"server did not complete authentication", "asked for no password"}, explanation: explanation{
		says: "server did not complete authentication", means: "the server lets everybody in and was sent nothing: it is no Azure Database for PostgreSQL", advice: "check host and port"}},
	{words: []string{"authentication method requirement", "only sent as a cleartext password"}, explanation: explanation{
		says: "authentication method requirement", means: "the server asks for a password and not for a token: this role is not an Entra role, or Entra authentication is off",
		advice: "look whether the role is listed: " + listPrincipals + "; if not, an Entra administrator makes it there: " + createRole}},
	{words: []string{"offers no tls", "refused tls"}, explanation: explanation{
		says: "offers no TLS", means: "Azure's servers always do", advice: "check host and port; on a server of your own set ssl = on"}},
	{state: "08P01", words: []string{"unsupported startup parameter"}, explanation: explanation{
		says: "unsupported startup parameter", means: "PgBouncer passes on few run-time parameters", advice: "leave this one out of the DSN, or use port 5432"}},
	{state: "08P01", words: []string{"partial pkt"}, or: (*failedLogin).toPgBouncer, explanation: explanation{
		says: "client sent partial pkt in startup phase", means: "PgBouncer refused the login; the token has {length} bytes, and there is no room in it for the longest, those of persons",
		advice: "use port 5432, or a service principal or managed identity, whose tokens are shorter"}},
	{state: "53300", explanation: explanation{
		says: "SQLSTATE 53300", means: "the server has no connection left for this role; it is not about the token",
		advice: "lower SetMaxOpenConns, or the number of processes; raise max_connections, or use PgBouncer on port 6432"}},
	{state: "42501", words: []string{"permission denied for database"}, explanation: explanation{
		says: "permission denied for database", means: "the role may not connect to this database", advice: "let its owner run `grant connect on database {database} to {rolename}`"}},
	{state: "3D000", explanation: explanation{
		says: "SQLSTATE 3D000", means: "there is no such database; without one in the DSN it has the role's name", advice: "set the database in the DSN"}},
	{state: "57P03", explanation: explanation{
		says: "SQLSTATE 57P03", means: "the server is starting, stopping or failing over", advice: "try again in some seconds"}},

	{words: []string{"target_session_attrs wants", "read only connection", "connection is not read only", "server is in standby mode", "server is not in hot standby mode"}, explanation: explanation{
		says: "read only connection", means: "no host that answered is of the kind that target_session_attrs demands",
		advice: "name all servers of the cluster in host, or ask for another kind; after a fail-over try again in a minute"}},

	{words: []string{"remote error: tls: certificate required"}, explanation: explanation{
		says: "certificate required", means: "the server wants a client certificate", advice: setCert}},
	{words: []string{"remote error: tls: bad certificate", "remote error: tls: unknown certificate", "remote error: tls: expired certificate", "remote error: tls: unsupported certificate"}, explanation: explanation{
		says: "remote error: tls", means: "the server refused the client certificate", advice: checkCert}},

	// The way to the server.
	{or: (*failedLogin).asksDNSInVain, explanation: explanation{
		says: "lookup …: server misbehaving", means: "the name server that this machine asks has no answer", advice: "look at the DNS of this machine; it may recover by itself"}},
	{words: []string{"hostname resolving error", "no such host"}, explanation: explanation{
		says: "no such host", means: "the server's name is not found here",
		advice: "check host; a server with private access is known only where its private DNS zone is linked", readme: true}},
	{words: []string{"connection refused"}, is: (*failedLogin).toPgBouncer, explanation: explanation{
		says: "connection refused", means: "nothing listens at this host and port", advice: "switch PgBouncer on, by the server parameter pgbouncer.enabled, or use port 5432"}},
	{words: []string{"connection refused"}, explanation: explanation{
		says: "connection refused", means: "nothing listens at this host and port", advice: "check both"}},
	{words: []string{"i/o timeout", "deadline exceeded"}, explanation: explanation{
		says: "timeout", means: "no answer in time",
		advice: "look at the server's firewall rules, which drop what they do not know, and whether port 5432 is open on the way", readme: true}},
}

func (f *failedLogin) foreignAudience() bool { return f.claims.foreignAudience(f.scope) }
func (f *failedLogin) ofApp() bool           { return f.claims.isApp() }

// The three go by this machine's clock: for a diagnosis, never for a decision.
func (f *failedLogin) stillValid() bool { return f.claims.Expires.Time().After(f.now) }
func (f *failedLogin) hasExpired() bool {
	return f.claims.Expires != 0 && !f.stillValid()
}
func (f *failedLogin) notYetValid() bool {
	return f.claims.NotBefore.Time().After(f.now.Add(time.Second))
}

// otherTenant compares ids only: azure_tenant_id may also be a domain.
func (f *failedLogin) otherTenant() bool {
	asked := f.cfg.TenantID
	return guid.regexp().MatchString(asked) && guid.regexp().MatchString(f.claims.TenantID) && !strings.EqualFold(asked, f.claims.TenantID)
}

func (f *failedLogin) namesGUID() bool { return guid.regexp().MatchString(f.user) }

func (f *failedLogin) otherCase() bool {
	name := f.claims.userName()
	return name != f.user && strings.EqualFold(name, f.user)
}

// namesServer reports whether the user ends in @ and the first label of a host.
func (f *failedLogin) namesServer() bool {
	at := strings.LastIndex(f.user, "@")
	for _, h := range f.cfg.Hosts {
		label, _, dotted := strings.Cut(h.Name, ".")
		if at >= 0 && dotted && strings.EqualFold(f.user[at+1:], label) {
			return true
		}
	}
	return false
}

// toPgBouncer goes by the Config or, for Advice, which has none, by the error.
func (f *failedLogin) toPgBouncer() bool {
	for _, h := range f.cfg.Hosts {
		if h.port() == pgBouncerPort {
			return true
		}
	}
	return len(f.cfg.Hosts) == 0 && strings.Contains(f.words, ":"+strconv.Itoa(pgBouncerPort)+": ")
}

// asksDNSInVain tells a name server that fails from a name that it does not know.
func (f *failedLogin) asksDNSInVain() bool {
	_, lookup, found := strings.Cut(f.words, "lookup ")
	return found && (strings.Contains(lookup, "server misbehaving") || strings.Contains(lookup, ":53: i/o timeout") || strings.Contains(lookup, "temporary failure in name resolution"))
}

// pgBouncerPort is where flexible servers have PgBouncer, if the server parameter
// pgbouncer.enabled is true. Source: learn.microsoft.com, "PgBouncer in Azure Database
// for PostgreSQL - Flexible Server", read 2026-11.
const pgBouncerPort = 6432
