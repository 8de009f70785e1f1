package brokertest

import (
	"bufio"
	"context"
	"crypto/rand"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// A Front makes a Redis as hard as Azure's: it wants client certificates and Entra tokens,
// and cuts every connection whose last token has ended. Behind it the tokens are passwords
// of the Redis's ACL users, and what users may do is the Redis's affair.
//
// Source: learn.microsoft.com, "Use Microsoft Entra ID for cache authentication", read 2026-11.
type Front struct {
	Addr string // localhost:port

	redis    *Redis
	verifier *verifier
	upstream *tls.Config
	listener net.Listener
	running  sync.WaitGroup

	mu      sync.Mutex // guards all below
	conns   map[net.Conn]struct{}
	closed  bool
	cut     int
	logins  int
	refused []string
}

// StartFront starts a Front before r for the tokens of azure. The caller closes it. Nobody
// can log in before Grant.
func StartFront(r *Redis, azure *azurepgtest.Server) (*Front, error) {
	pair, err := r.Authority.Server()
	if err != nil {
		return nil, err
	}
	certificate, err := pair.Load()
	if err != nil {
		return nil, err
	}
	upstream, err := r.TLSConfig()
	if err != nil {
		return nil, err
	}
	upstream.ServerName = "localhost"
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{
		Certificates: []tls.Certificate{certificate}, ClientCAs: r.Authority.Pool(),
		ClientAuth: tls.RequireAndVerifyClientCert, MinVersion: tls.VersionTLS12,
	})
	if err != nil {
		return nil, err
	}
	_, port, _ := net.SplitHostPort(l.Addr().String())
	f := &Front{
		Addr: net.JoinHostPort("localhost", port), redis: r, verifier: newVerifier(azure),
		upstream: upstream, listener: l, conns: make(map[net.Conn]struct{}),
	}
	f.running.Go(f.accept)
	return f, nil
}

// Grant is the assignment of a data access policy: rules of Redis's ACL for the principal
// with that object id, such as "~* &* +@all" for the Data Owner.
func (f *Front) Grant(ctx context.Context, objectID, rules string) error {
	args := append([]any{"acl", "setuser", objectID, "reset", "on"}, fields(rules)...)
	return f.redis.Admin().Do(ctx, args...).Err()
}

func fields(s string) (args []any) {
	for _, word := range strings.Fields(s) {
		args = append(args, word)
	}
	return args
}

// Cut is how many connections have been cut because their token had ended.
func (f *Front) Cut() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.cut
}

// Logins is how many tokens have been accepted.
func (f *Front) Logins() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.logins
}

// Refused says why tokens were refused, in order.
func (f *Front) Refused() []string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return append([]string(nil), f.refused...)
}

// Close cuts all connections. The Redis goes on.
func (f *Front) Close() error {
	f.mu.Lock()
	f.closed = true
	for conn := range f.conns {
		conn.Close()
	}
	f.mu.Unlock()
	err := f.listener.Close()
	f.running.Wait()
	return err
}

func (f *Front) accept() {
	for {
		client, err := f.listener.Accept()
		if err != nil {
			return
		}
		f.running.Go(func() { f.serve(client) })
	}
}

// serve joins a client with the Redis. Either side's end is the other's.
func (f *Front) serve(client net.Conn) {
	defer client.Close()
	server, err := tls.Dial("tcp", f.redis.Addr, f.upstream)
	if err != nil {
		return
	}
	defer server.Close()
	if !f.enter(client, server) {
		return
	}
	defer f.leave(client, server)
	f.running.Go(func() {
		defer client.Close()
		_, _ = io.Copy(client, server)
	})
	s := &session{front: f, client: client, server: server}
	defer s.stop()
	_ = s.run()
}

func (f *Front) enter(conns ...net.Conn) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range conns {
		f.conns[conn] = struct{}{}
	}
	return !f.closed
}

func (f *Front) leave(conns ...net.Conn) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, conn := range conns {
		delete(f.conns, conn)
	}
}

// A session is one connection through a Front.
type session struct {
	front          *Front
	client, server net.Conn
	end            *time.Timer // of the last token; nil before the first
}

// run passes commands on, in order and as they are but for passwords: a token is made one
// of its user's, and what is no good token is replaced by noise. So every reply, also WRONGPASS,
// is the Redis's own and comes in its turn.
func (s *session) run() error {
	r, w := bufio.NewReader(s.client), bufio.NewWriter(s.server)
	for {
		command, err := readCommand(r)
		if err != nil {
			return err
		}
		if user, password := credentials(command); password != nil {
			if err := s.login(*user, string(*password)); err != nil {
				*password = []byte(rand.Text())
			}
		}
		writeCommand(w, command)
		if r.Buffered() == 0 {
			if err := w.Flush(); err != nil {
				return err
			}
		}
	}
}

// login makes a good token a password of its user, who must have been granted something,
// and the token's end that of the connection.
func (s *session) login(user []byte, token string) error {
	f := s.front
	expires, err := f.verifier.verify(string(user), token)
	if err == nil {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		if f.redis.Admin().Do(ctx, "acl", "getuser", user).Err() != nil {
			err = errors.New("no data access policy is assigned to the user")
		} else {
			err = f.redis.Admin().Do(ctx, "acl", "setuser", user, ">"+token).Err()
		}
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if err != nil {
		f.refused = append(f.refused, err.Error())
		return err
	}
	f.logins++
	s.stop()
	s.end = time.AfterFunc(time.Until(expires), s.cut)
	return nil
}

func (s *session) cut() {
	s.front.mu.Lock()
	s.front.cut++
	s.front.mu.Unlock()
	s.client.Close()
	s.server.Close()
}

func (s *session) stop() {
	if s.end != nil {
		s.end.Stop()
	}
}
