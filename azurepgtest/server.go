package azurepgtest

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/azurepg/azurepg/internal/testroute"
)

// Options changes what [New] starts. The zero value is everything, silent.
type Options struct {
	// NoPostgres leaves PostgreSQL out, for tests of tokens alone: Server.Postgres is
	// nil and the start takes some milliseconds.
	NoPostgres bool

	// Cloud is the one whose tokens PostgreSQL takes. The zero value is Public.
	Cloud Cloud

	// Logger receives what the fakes' HTTP servers complain of, at level debug. Nil is
	// silence.
	Logger *slog.Logger
}

// A Server is Azure on loopback. Its methods and those of its parts are safe for
// concurrent use.
type Server struct {
	Entra    *Entra
	Identity *ManagedIdentityEndpoint
	Postgres *Postgres // nil with Options.NoPostgres

	directory *directory
	cloud     Cloud
	dir       string // temporary, holds all files
	caFile    string
	tb        testing.TB // nil unless from Start

	adding  sync.Mutex // makes one step of the look-up and the addition of a principal
	closing sync.Once
	closed  error
	closers []func() error // run last to first by Close; guarded by adding once New has returned
}

var _ io.Closer = (*Server)(nil)

// Start starts a Server with all parts for the duration of a test, and ends the test
// if that is not possible. It takes about a second, initdb most of it; several tests
// can share the Server that TestMain gets from New.
func Start(tb testing.TB) *Server {
	tb.Helper()
	s, err := New(nil)
	if err != nil {
		tb.Fatal(err)
	}
	s.tb = tb
	tb.Cleanup(func() {
		if err := s.Close(); err != nil {
			tb.Error(err)
		}
	})
	return s
}

// New starts a Server for a program, or for several tests. A nil opts is the zero
// Options. The caller closes it.
func New(opts *Options) (_ *Server, err error) {
	if opts == nil {
		opts = new(Options)
	}
	if opts.Cloud.audiences() == nil {
		return nil, fmt.Errorf("azurepgtest: unknown cloud %q", string(opts.Cloud))
	}
	s := &Server{cloud: opts.Cloud, directory: newDirectory()}
	defer func() {
		if err != nil {
			s.Close()
		}
	}()
	if s.dir, err = temporaryDir(); err != nil {
		return nil, err
	}
	s.closeLater(func() error { return os.RemoveAll(s.dir) })

	ca, err := newCertAuthority()
	if err != nil {
		return nil, fmt.Errorf("azurepgtest: certificate authority: %w", err)
	}
	s.caFile = filepath.Join(s.dir, "ca.pem")
	if err := os.WriteFile(s.caFile, ca.pem(), 0o644); err != nil {
		return nil, fmt.Errorf("azurepgtest: %w", err)
	}
	certificate, err := ca.issue(append([]string{"localhost", "127.0.0.1", "::1"}, authorityHosts...)...)
	if err != nil {
		return nil, fmt.Errorf("azurepgtest: certificate: %w", err)
	}
	go clientKey() // on the other core, while initdb runs
	var started chan error
	if !opts.NoPostgres {
		s.Postgres, started = s.startPostgres(certificate)
	}
	webErr := s.startWeb(opts, ca, certificate)
	if started != nil {
		if err := <-started; err != nil {
			return nil, err
		}
	}
	if webErr != nil {
		return nil, webErr
	}
	return s, nil
}

// startPostgres starts PostgreSQL beside the caller, who receives the outcome once.
func (s *Server) startPostgres(certificate tls.Certificate) (*Postgres, chan error) {
	p := newPostgres(s.cloud, s.directory, s.caFile)
	started := make(chan error, 1)
	s.closeLater(p.close)
	go func() { started <- p.start(context.Background(), s.dir, certificate) }()
	return p, started
}

// startWeb starts Entra and the managed identity endpoint.
func (s *Server) startWeb(opts *Options, ca *certAuthority, certificate tls.Certificate) error {
	entra, err := newEntra(s.directory, opts.Cloud)
	if err != nil {
		return err
	}
	s.Entra = entra
	s.Identity = newManagedIdentityEndpoint(entra)
	if s.Postgres != nil {
		s.Postgres.trust(entra)
	}
	entraListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	identityListener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		entraListener.Close()
		return fmt.Errorf("azurepgtest: %w", err)
	}
	entra.CAFile = s.caFile
	entra.URL = "https://" + entraListener.Addr().String()
	entra.routes = newRoutes(entraListener.Addr().String(), identityListener.Addr().String(), ca.pool())
	s.Identity.URL = "http://" + identityListener.Addr().String() + appServicePath

	s.serve(tls.NewListener(entraListener, &tls.Config{
		Certificates: []tls.Certificate{certificate},
		MinVersion:   tls.VersionTLS12,
	}), entra.handler(), opts.Logger)
	s.serve(identityListener, &proxy{entra.routes, s.Identity.handler()}, opts.Logger)
	s.closeLater(func() error {
		entra.ClearFaults()
		s.Identity.ClearFaults()
		entra.routes.client.CloseIdleConnections()
		return nil
	})
	s.route(s.directory.ids())
	s.closeLater(func() error {
		for _, id := range s.directory.ids() {
			testroute.Remove(id)
		}
		return nil
	})
	return nil
}

// route makes azurepg's credentials for ids come here.
func (s *Server) route(ids []string) {
	for _, id := range ids {
		testroute.Add(id, s.Entra.Transport())
	}
}

// serve serves handler until Close. Connections speak HTTP/1.1 only, which can be cut.
func (s *Server) serve(l net.Listener, handler http.Handler, logger *slog.Logger) {
	server := &http.Server{Handler: handler, ErrorLog: log.New(io.Discard, "", 0)}
	if logger != nil {
		server.ErrorLog = slog.NewLogLogger(logger.Handler(), slog.LevelDebug)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		server.Serve(l)
	}()
	s.closeLater(func() error {
		err := server.Close()
		<-done
		return err
	})
}

func (s *Server) closeLater(f func() error) { s.closers = append(s.closers, f) }

// Close stops everything, cuts all connections and removes all files. It may be
// called more than once.
func (s *Server) Close() error {
	s.closing.Do(func() {
		var errs []error
		for i := len(s.closers) - 1; i >= 0; i-- {
			errs = append(errs, s.closers[i]())
		}
		if err := errors.Join(errs...); err != nil {
			s.closed = fmt.Errorf("azurepgtest: close: %w", err)
		}
	})
	return s.closed
}

// fail ends the test, or the program if there is none.
func (s *Server) fail(err error) {
	if s.tb != nil {
		s.tb.Helper()
		s.tb.Fatal(err)
	}
	panic(err)
}

// temporaryDir makes the directory of a Server. Its path has to be short, for the path
// of a unix socket inside is limited to about 100 bytes, and everyone may pass through
// it, for PostgreSQL runs as another user if we are root; what it holds is private.
func temporaryDir() (string, error) {
	parent := os.TempDir()
	if len(parent) > 60 {
		parent = "/tmp"
	}
	dir, err := os.MkdirTemp(parent, "azpg")
	if err != nil {
		return "", fmt.Errorf("azurepgtest: %w", err)
	}
	if err := os.Chmod(dir, 0o711); err != nil {
		os.Remove(dir)
		return "", fmt.Errorf("azurepgtest: %w", err)
	}
	return dir, nil
}
