package main

import (
	"context"
	"errors"
	"io"
	"net/rpc"
	"net/rpc/jsonrpc"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// serverCommand makes this program Azure in place of the bench.
const serverCommand = "azure"

// user is who is signed in at az.
const user = "alice@contoso.com"

// Info is what the bench is told of Azure.
type Info struct {
	Env             []string // by which azidentity finds it
	Host, Port      string
	PostgresVersion string
	AzureCLI        string // the directory of az
}

// App is a principal of Azure's, with a role.
type App struct {
	Name, TenantID, ClientID, Secret, FederatedTokenFile string
}

// Trouble is what the token service does from now on.
type Trouble struct {
	Delay  time.Duration // zero: none
	Status int           // zero: it answers
}

// Server is Azure in a process of its own, told what to do over net/rpc.
type Server struct {
	azure *azurepgtest.Server
	az    *azurepgtest.AzureCLI
}

// serve is Azure until in ends, as it does with the bench.
func serve(in io.ReadCloser, out io.WriteCloser) (err error) {
	azure, err := azurepgtest.New(nil)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, azure.Close()) }()
	server := rpc.NewServer()
	if err := server.Register(&Server{azure, azure.AzureCLI(azure.AddUser(user))}); err != nil {
		return err
	}
	server.ServeCodec(jsonrpc.NewServerCodec(pipes{in, out}))
	return nil
}

// pipes are a connection made of two.
type pipes struct {
	io.ReadCloser
	w io.WriteCloser
}

func (p pipes) Write(b []byte) (int, error) { return p.w.Write(b) }
func (p pipes) Close() error                { return errors.Join(p.w.Close(), p.ReadCloser.Close()) }

// None is an argument or answer that says nothing.
type None struct{}

// Start makes what all sections need.
func (s *Server) Start(_ None, info *Info) error {
	p := s.azure.Postgres
	info.Env = append(s.azure.Env(), s.azure.Identity.Env()...)
	info.Host = p.Host
	info.Port = p.Addr()[len(p.Host)+1:]
	info.AzureCLI = s.az.Dir
	ctx := context.Background()
	super, err := p.Superuser(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = super.Close(ctx) }()
	return super.QueryRow(ctx, "show server_version").Scan(&info.PostgresVersion)
}

// AddApp adds a service principal.
func (s *Server) AddApp(name string, app *App) error {
	p := s.azure.AddServicePrincipal(name)
	*app = App{Name: p.Name, TenantID: p.TenantID, ClientID: p.ClientID, Secret: p.Secret, FederatedTokenFile: p.FederatedTokenFile}
	return nil
}

// AddIdentity adds a managed identity.
func (s *Server) AddIdentity(name string, app *App) error {
	p := s.azure.AddManagedIdentity(name)
	*app = App{Name: p.Name, ClientID: p.ClientID}
	return nil
}

// Token issues a token for the service principal of that name, for an hour.
func (s *Server) Token(name string, token *string) error {
	*token = s.azure.Entra.Mint(s.azure.AddServicePrincipal(name), nil)
	return nil
}

// Requests counts the token requests so far, of Entra and of managed identities, and
// the calls of az.
func (s *Server) Requests(_ None, n *int) error {
	*n = s.azure.Entra.TokenRequests() + s.azure.Identity.TokenRequests() + s.az.Calls()
	return nil
}

// Leaks searches text for secrets.
func (s *Server) Leaks(text string, found *[]string) error {
	*found = append([]string{}, s.azure.Leaks(text)...) // never nil, which JSON-RPC cannot answer
	return nil
}

// Exec executes SQL as superuser.
func (s *Server) Exec(sql string, _ *None) error {
	return s.azure.Postgres.Exec(context.Background(), sql)
}

// Make makes t what the token service does.
func (s *Server) Make(t Trouble, _ *None) error {
	s.azure.Entra.ClearFaults()
	s.azure.Identity.ClearFaults()
	var fault azurepgtest.Fault
	switch {
	case t.Status != 0:
		fault = azurepgtest.Status(t.Status, 0)
	case t.Delay != 0:
		fault = azurepgtest.Delay(t.Delay)
	default:
		return nil
	}
	s.azure.Entra.Fault(fault)
	s.azure.Identity.Fault(fault)
	return nil
}
