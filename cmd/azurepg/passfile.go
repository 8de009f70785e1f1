package main

import (
	"context"
	"flag"
	"log/slog"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/internal/passfile"
)

var passfileCommand = command{
	name:    "passfile",
	args:    "-out FILE [DSN…]",
	summary: "keeps a libpq password file fresh",
	help: `
It writes a line for each host of each DSN into FILE, with a token for the password,
and renews it before the token ends. libpq reads the file for each connection:

	azurepg passfile -out /run/shop/pgpass 'postgres://shop@mydb.postgres.database.azure.com/shop'

	PGPASSFILE=/run/shop/pgpass PGSSLMODE=verify-full PGSSLROOTCERT=/etc/ssl/certs/ca-certificates.crt \
		psql -h mydb.postgres.database.azure.com -U shop shop

Clients name host, port, database and user as the DSN does, letter for letter; where
the DSN has no database, any will do. How they verify the server is up to them:
libpq's default, sslmode=prefer, verifies nothing and sends the token to whoever
answers. psycopg2, SQLAlchemy, Django and whatever else is made of libpq can use the
file. libpq before 13.0, 12.5 and 11.10 cuts its lines, and cannot.

FILE is for its owner only (0600), whose tokens it holds: run the clients under the
same user, and put it where no backup goes, such as below /run. It is replaced in one
step. A file that another program wrote is left alone, and the command ends.

While Entra cannot be reached, or FILE cannot be written, the old one stays, and its
tokens are good until their end. A line on standard error tells of each renewal and
of each failure. SIGTERM and interrupts remove FILE. The first tokens have to come:
without them the command ends with exit code 1, and leaves an older file as it is.
Under systemd, Type=notify lets other units wait for the file.`,
	setup: setupPassfile,
}

func setupPassfile(flags *flag.FlagSet) func(context.Context, *streams, []string) error {
	out := flags.String("out", "", "the passfile; needed")
	once := flags.Bool("once", false, "write it once and end: it is good for as long as its token, of an hour mostly")
	keep := flags.Bool("keep", false, "leave it at the end")
	return func(ctx context.Context, std *streams, dsns []string) error {
		if *out == "" {
			return usagef("-out is missing: it names the file to write")
		}
		p, err := openPassfile(*out, dsns, slog.New(slog.NewTextHandler(std.err, nil)))
		if err != nil {
			return &exitError{exitUsage, err}
		}
		if err := p.Write(ctx); err != nil || *once {
			return err
		}
		notifyReady()
		p.Keep(ctx)
		if *keep {
			return nil
		}
		return p.Remove()
	}
}

// openPassfile reads the DSNs; none is the one that the environment says.
func openPassfile(out string, dsns []string, logger *slog.Logger) (*passfile.Passfile, error) {
	if len(dsns) == 0 {
		dsns = []string{""}
	}
	configs := make([]*azurepg.Config, len(dsns))
	for i, dsn := range dsns {
		var err error
		if configs[i], err = azurepg.ParseDSN(dsn); err != nil {
			return nil, passfile.Numbered(i, len(dsns), err)
		}
	}
	return passfile.New(out, configs, logger)
}
