package azurepgtest

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
)

// imdsHost is where virtual machines find their metadata service.
const imdsHost = "169.254.169.254"

// routes knows which address stands for which host of Azure.
type routes struct {
	entra, identity string // host:port of the listeners
	client          *http.Client
}

func newRoutes(entra, identity string, roots *x509.CertPool) *routes {
	r := &routes{entra: entra, identity: identity}
	r.client = &http.Client{
		Transport: &http.Transport{
			DialContext:     r.dial,
			TLSClientConfig: &tls.Config{RootCAs: roots, MinVersion: tls.VersionTLS12},
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // azcore's way
	}
	return r
}

// address returns the listener that stands for the host:port asked for, "" if none
// does.
func (r *routes) address(asked string) string {
	host, port, err := net.SplitHostPort(asked)
	switch {
	case err != nil:
		return ""
	case asked == r.entra || port == "443" && slices.Contains(authorityHosts, strings.ToLower(host)):
		return r.entra
	case asked == r.identity || asked == imdsHost+":80":
		return r.identity
	}
	return ""
}

// dial connects to the listener that stands for asked. There is no way out to the real
// Azure: a test that would reach it by mistake fails instead.
func (r *routes) dial(ctx context.Context, network, asked string) (net.Conn, error) {
	address := r.address(asked)
	if address == "" {
		return nil, fmt.Errorf("azurepgtest: nothing stands for %s", asked)
	}
	return new(net.Dialer).DialContext(ctx, network, address)
}

// Transport returns an HTTP client for the Transport field of azcore.ClientOptions. It
// reaches this Entra under all of Entra's host names in the public, US Government and
// China clouds, through TLS whose certificate it verifies, and the managed identity
// endpoint under the address of IMDS and its own; requests to other hosts fail. It is
// always the same client.
func (e *Entra) Transport() *http.Client { return e.routes.client }

// proxy is an HTTP proxy for processes that take no Transport, announced by HTTP_PROXY
// and HTTPS_PROXY in Server.Env: azidentity's discovery requests and IMDS have fixed
// addresses. It leads to the same listeners as Transport and nowhere else.
type proxy struct {
	routes *routes
	next   http.Handler // for requests that are not a proxy's
}

func (p *proxy) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch {
	case r.Method == http.MethodConnect:
		p.tunnel(w, r)
	case r.URL.IsAbs() && p.routes.address(hostPort(r.URL.Host)) != p.routes.identity:
		http.Error(w, "azurepgtest: nothing stands for this host", http.StatusForbidden)
	default:
		p.next.ServeHTTP(w, r)
	}
}

// tunnel joins the client's connection with the listener that stands for the host.
func (p *proxy) tunnel(w http.ResponseWriter, r *http.Request) {
	if p.routes.address(r.Host) == "" {
		http.Error(w, "azurepgtest: nothing stands for this host", http.StatusForbidden)
		return
	}
	server, err := p.routes.dial(r.Context(), "tcp", r.Host)
	if err != nil {
		http.Error(w, "azurepgtest: closed", http.StatusBadGateway)
		return
	}
	client, buffered, err := http.NewResponseController(w).Hijack()
	if err != nil {
		server.Close()
		return
	}
	if _, err := io.WriteString(client, "HTTP/1.1 200 Connection established\r\n\r\n"); err != nil {
		client.Close()
		server.Close()
		return
	}
	// The reader may hold bytes that the client sent early.
	splice(&bufferedConn{client, buffered.Reader}, server)
}

func hostPort(host string) string {
	if _, _, err := net.SplitHostPort(host); err == nil {
		return host
	}
	return net.JoinHostPort(host, "80")
}
