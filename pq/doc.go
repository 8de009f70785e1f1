// Package pq is lib/pq underneath azurepg, in place of pgx:
//
//	import _ "github.com/azurepg/azurepg/pq"
//
//	db, err := sql.Open("azurepg-pq", "postgres://app@mydb.postgres.database.azure.com/shop")
//
// It is for programs that use lib/pq's own types, such as pq.Array, pq.CopyIn
// and pq.Error, and for libraries that do. DSN, token cache, TLS and errors are
// those of package azurepg: connectors of one identity share one token, whatever
// their base. A Config from code takes lib/pq with
//
//	cfg.Base = pq.Base
//
// The connections in the pool are lib/pq's own, not wrapped, and errors of queries
// are *pq.Error as ever.
//
// # Differences to pgx
//
// Of the DSN's keys, binary_parameters is for lib/pq; default_query_exec_mode,
// statement_cache_capacity and description_cache_capacity are for pgx and are an
// error here. client_encoding must be UTF8 and datestyle "ISO, MDY", since lib/pq
// reads nothing else. Config.ConfigurePgx, NewPool and PoolConfig need pgx.
//
// A host name with several addresses is one host: the first address that answers
// is used, where pgx tries each one with a login. Give hostaddr to name them.
//
// # What lib/pq is spared
//
// lib/pq sees neither DSN nor environment, neither passfile nor service file, and
// not the token: it logs in with a placeholder on a connection whose TLS stands
// and is verified already. What stands between it and TLS puts the token into the
// answer to a request for a cleartext password, refuses every other kind of
// authentication, and ends the login with its context. So no configuration and
// no connection of lib/pq's, printed, shows the token; PQGO_DEBUG=1 does not either.
//
// # LISTEN and NOTIFY
//
// pq.ConnectorWithNotificationHandler takes the Connector:
//
//	db := sql.OpenDB(pq.ConnectorWithNotificationHandler(connector, handler))
//
// The handler is called while lib/pq reads the answer to a statement, so somebody
// must send one now and then on the connection that listens: a ping will do.
// Where the waiting itself should be silent, take the default base: there pgx's
// WaitForNotification, through sql.Conn.Raw, blocks until something comes.
//
// pq.Listener is not for tokens. It takes a DSN and no connector, so that the
// token would stand in a DSN; when it reconnects it sends the same token, which
// by then has expired; and the connection has the TLS of lib/pq's own sslmode.
package pq
