// Package doctor finds out why a login to Azure Database for PostgreSQL fails, step by
// step: the DSN, the server's names and addresses, TCP, TLS, the credential, its token,
// the login, and what the role and the server are like.
//
//	report := doctor.Examine(ctx, dsn, nil)
//	fmt.Print(report)
//
// # Steps
//
// Every step says what it found and how long it took, and one that fails what to do about
// it, in the words of azurepg's own errors. It logs in once, as a program with this DSN
// would, and changes nothing. "azurepg doctor" is this package at the terminal.
//
// # Secrets
//
// A report holds no token, password or secret, and no DSN. Names, ids and addresses of the
// principal and the server are in it.
package doctor
