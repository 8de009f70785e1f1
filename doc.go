// Package azurepg is a database/sql driver for Azure Database for PostgreSQL
// without passwords: each new physical connection logs in with a Microsoft
// Entra ID access token, from a cache that the whole process shares, over TLS
// that cannot be turned off.
//
//	import _ "github.com/azurepg/azurepg"
//
//	db, err := sql.Open("azurepg", "postgres://app@mydb.postgres.database.azure.com/shop")
//
// # What it hands out
//
// The connections in the pool are the PostgreSQL driver's own: pgx's
// *stdlib.Conn, unless Config.Base says otherwise; package pq is lib/pq for it,
// under the driver name "azurepg-pq". Queries take the same way as
// without azurepg, db.Conn(ctx).Raw reaches COPY, batches and LISTEN, and errors
// of queries are *pgconn.PgError as ever.
//
// # Whose token
//
// The key azure_credential names one of azidentity's credentials; the default is
// its DefaultAzureCredential. The token cache is shared by all connectors with
// the same identity settings. A token is renewed in the background before it
// ends, and one that the server refuses is replaced once. See TokenCache.
//
// # Who the user is
//
// The PostgreSQL role is the DSN's user, else PGUSER, else what the token says:
// the name of a user-assigned managed identity, or a person's user principal
// name. Service principals and system-assigned identities do not carry their
// role's name: set user.
//
// # TLS
//
// sslmode is verify-full (the default), verify-ca or require; for Azure host
// names every mode means verify-full. For other hosts require, if it is asked for
// by name, skips verification: it is for test servers. A token leaves only inside
// TLS 1.2 or newer, to a server verified as the mode demands, in answer to a
// request for a cleartext password, as Azure sends it. After a refusal no other
// host gets it.
//
// # Counters
//
// Connector.Stats and TokenCache.Stats return plain counters, for expvar or any
// other monitor; they cost a login nothing. See Stats.
//
// # Logging
//
// Config.Logger gets one line for each fetch of a token and each refused login,
// and nothing for the rest: most logins take the token that is there. These are all
// lines, with their attributes in order:
//
//	INFO   azurepg: token fetched                                          credential scope attempt forced took expires
//	INFO   azurepg: token refreshed                                        credential scope attempt forced took expires
//	DEBUG  azurepg: the credential has no newer token yet                  credential scope attempt forced took expires
//	WARN   azurepg: token refresh failed, the old token stays in use       credential scope attempt forced took expires left error
//	ERROR  azurepg: no token                                               credential scope attempt forced took error
//	WARN   azurepg: login refused                                          user credential attempt took expires sqlstate server token_sent advice
//	INFO   azurepg: logging in again with a new token                      user credential attempt took expires
//	WARN   azurepg: not logging in again                                   user credential attempt took expires error
//	WARN   azurepg: sslmode=require: tokens go to a server that is not verified  none
//
// These are about TLS and its files, from package tlsfiles. The first is written once
// for each combination of version, cipher and server certificate, then at level DEBUG:
//
//	INFO   azurepg: TLS: the server is verified           version cipher peer days_left
//	DEBUG  azurepg: TLS: the server is verified           version cipher peer days_left
//	WARN   azurepg: TLS: the server is not verified       version cipher peer days_left
//	DEBUG  azurepg: TLS: the server is not verified       version cipher peer days_left
//	INFO   azurepg: TLS: changed files are taken up       files
//	WARN   azurepg: TLS: what the files hold now cannot serve, what they held before stays in use  files error
//	WARN   azurepg: TLS: a certificate is about to end    file subject not_after days_left
//	ERROR  azurepg: TLS: a certificate has ended          file subject not_after days_left
//
// A token is fetched when somebody waits for it, and refreshed while the old one
// still serves. The attributes:
//
//	credential  azure_credential, or the type of a Credential from code
//	user        the PostgreSQL role
//	scope       what the token is for; databases and other services have different ones
//	attempt     of a fetch: counted from the last new token, beginning with 1;
//	            of a login: 2 with the token that replaced a refused one, else 1
//	forced      the fetch was asked for by a refused login
//	took        how long the fetch, the login or the wait for another token took
//	expires     the end of the token: of the new one if there is one
//	left        how long the token in use lasts still
//	sqlstate    the server's code
//	server      the server's words, quoted
//	token_sent  the server had the token when it refused
//	advice      what to do, as in AuthError
//	error       why not, as in TokenError or DSNError
//	version     of TLS
//	cipher      its cipher suite
//	peer        the names in the server's certificate
//	days_left   until a certificate ends: the server's own, or the one of the line
//	files, file the keys of the files; file: "server" for what the server sent
//	subject     of the certificate
//	not_after   when it ends
//
// No line holds a token, a password or another secret.
//
// # Errors
//
// A setting that cannot work is a *DSNError, at sql.Open. No token is a
// *TokenError and a refused login an *AuthError, both from the first use of a
// connection. Their texts are one line, say what to do, and hold no secret. With
// pgxpool a refused login is pgx's own error, which holds none either.
package azurepg
