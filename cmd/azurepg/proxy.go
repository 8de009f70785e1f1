package main

import (
	"context"
	"errors"
	"flag"
	"log/slog"
	"net"
	"os"
	"os/signal"
	"syscall"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/internal/proxy"
)

var proxyCommand = command{
	name:    "proxy",
	args:    "-listen unix:PATH|tcp:127.0.0.1:PORT [DSN]",
	summary: "lets local programs in any language log in without a password",
	help: `
It opens verified TLS to the server for each client and logs in with the token. The
role is the DSN's, whatever user a client names, and so is the database, unless
-allow-database is given. Other parameters of a client, such as application_name or
search_path, reach the server. Replication does not go through.

Whoever reaches the listener is logged in. A unix socket can be opened by the user of
the proxy alone: it has mode 0600 and is in a directory of mode 0700, which is made if
it is missing. TCP is for the loopback interface, where every user of this machine can
connect.

	azurepg proxy -listen unix:$HOME/.azurepg/ postgres://app@mydb.postgres.database.azure.com/shop
	psql "host=$HOME/.azurepg"

	azurepg proxy -listen tcp:127.0.0.1:5432 -health 127.0.0.1:8080
	psql "host=127.0.0.1 sslmode=disable"

Between client and proxy nothing is encrypted: a client that insists on TLS at a TCP
port (sslmode=require) is told that there is none. On a unix socket libpq does not ask.

SIGTERM or an interrupt ends it: it stops listening, lets sessions go on for -drain,
and ends what is left with SQLSTATE 57P01. A second one ends it at once. Keep secrets
out of the DSN, where ps shows them: the AZURE_* variables are for them. Under systemd,
Type=notify lets other units wait for the listener.

-health serves /livez, /readyz (logs in to the server, at most every 5 s) and /metrics
(Prometheus) over HTTP, to everyone who reaches that address.`,
	setup: func(flags *flag.FlagSet) func(context.Context, *streams, []string) error {
		p := new(proxyFlags)
		flags.Func("listen", "the `address` to listen at, unix:PATH or tcp:HOST:PORT; may be given more than once. A PATH that ends in / is a directory for libpq's socket, .s.PGSQL.5432", func(s string) error {
			p.listen = append(p.listen, s)
			return nil
		})
		flags.BoolVar(&p.beyond, "listen-beyond-this-machine", false, "let -listen name a TCP address that other machines reach: everyone on the network who can connect is logged in, and nothing is encrypted on that way")
		flags.StringVar(&p.health, "health", "", "the `address`, HOST:PORT, of /livez, /readyz and /metrics")
		flags.BoolVar(&p.options.AllowDatabase, "allow-database", false, "let clients choose the database")
		flags.IntVar(&p.options.MaxConnections, "max-connections", proxy.DefaultMaxConnections, "how many clients may be logged in at a time")
		flags.DurationVar(&p.options.StartupTimeout, "startup-timeout", proxy.DefaultStartupTimeout, "how long a client may take to say what it wants")
		flags.DurationVar(&p.options.IdleTimeout, "idle-timeout", 0, "end sessions that wait so long for their client outside of a transaction; 0 is never")
		flags.DurationVar(&p.options.DrainTimeout, "drain", proxy.DefaultDrainTimeout, "how long sessions may go on after SIGTERM")
		flags.BoolVar(&p.json, "log-json", false, "log in JSON")
		flags.BoolVar(&p.verbose, "verbose", false, "log each connection")
		return p.run
	},
}

// proxyFlags are the command line of proxy.
type proxyFlags struct {
	listen        []string
	beyond        bool
	health        string
	options       proxy.Options
	json, verbose bool
}

func (p *proxyFlags) run(ctx context.Context, std *streams, args []string) error {
	dsn, err := dsnArgument(args)
	switch {
	case err != nil:
		return err
	case len(p.listen) == 0:
		return usagef("-listen is missing: unix:PATH or tcp:127.0.0.1:PORT")
	}
	cfg, err := azurepg.ParseDSN(dsn)
	if err != nil {
		return err
	}
	if p.options.DrainTimeout <= 0 {
		p.options.DrainTimeout = -1
	}
	logger := p.logger(std)
	cfg.Logger, p.options.Logger = logger, logger
	server, err := proxy.New(cfg, p.options)
	if err != nil {
		return err
	}
	now, stop := secondSignal(ctx)
	defer stop()
	listeners, err := p.open(ctx)
	if err != nil {
		return &exitError{exitUsage, err}
	}
	if p.health != "" {
		end, err := serveHealth(ctx, p.health, server, logger)
		if err != nil {
			return errors.Join(err, closeAll(listeners))
		}
		defer end()
	}
	notifyReady()
	return server.Serve(ctx, now, listeners...)
}

func (p *proxyFlags) logger(std *streams) *slog.Logger {
	options := &slog.HandlerOptions{Level: slog.LevelInfo}
	if p.verbose {
		options.Level = slog.LevelDebug
	}
	var handler slog.Handler = slog.NewTextHandler(std.err, options)
	if p.json {
		handler = slog.NewJSONHandler(std.err, options)
	}
	return slog.New(azurepg.NewRedactHandler(handler))
}

// open opens all listeners or none.
func (p *proxyFlags) open(ctx context.Context) ([]net.Listener, error) {
	var listeners []net.Listener
	for _, address := range p.listen {
		l, err := proxy.Listen(ctx, address, p.beyond)
		if err != nil {
			return nil, errors.Join(err, closeAll(listeners))
		}
		listeners = append(listeners, l)
	}
	return listeners, nil
}

func closeAll(listeners []net.Listener) (err error) {
	for _, l := range listeners {
		err = errors.Join(err, l.Close())
	}
	return err
}

// secondSignal returns a context that ends at the second signal from now on. It counts
// from the beginning: one that comes while the first is still taken in is not lost.
func secondSignal(ctx context.Context) (now context.Context, stop func()) {
	now, end := context.WithCancel(context.WithoutCancel(ctx))
	heard := make(chan os.Signal, 2)
	signal.Notify(heard, os.Interrupt, syscall.SIGTERM)
	go func() {
		defer signal.Stop(heard)
		for range 2 {
			select {
			case <-heard:
			case <-now.Done():
				return
			}
		}
		end()
	}()
	return now, end
}
