package azurepgtest

import (
	"crypto/tls"
	"io"
	"net"
	"os"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"
)

// Evil is what a hostile or broken server does to get at a token.
type Evil string

// What a [Recorder] can do. A client that hands out a token to any of them but
// AsksPassword, which shows that it gets as far as that, is broken.
const (
	AsksPassword     Evil = "asks for a cleartext password in good TLS"
	SkipsNegotiation Evil = "answers SSLRequest with a password request"
	RefusesTLS       Evil = "answers SSLRequest with N and asks for the password in clear"
	SelfSigned       Evil = "has a self-signed certificate for the right name"
	OtherName        Evil = "has a certificate for another name from the authority in CAFile"
	OldTLS           Evil = "speaks TLS 1.1 at most"
	Downgrades       Evil = "refuses with 28000 inside TLS and waits for a plaintext retry"
	AsksMD5          Evil = "asks for an MD5 hash in good TLS"
	AsksSCRAM        Evil = "asks for SCRAM-SHA-256 in good TLS"
	AsksNothing      Evil = "lets everyone in, in good TLS"
	NeverAnswers     Evil = "accepts connections and never answers"
)

// A Recorder is a server that keeps what clients send. Its methods are safe for
// concurrent use.
type Recorder struct {
	Addr   string // 127.0.0.1:port
	CAFile string // PEM of the authority that vouches for 127.0.0.1 and localhost where TLS is good

	evil  Evil
	tls   *tls.Config
	conns conns

	mu          sync.Mutex   // guards all below
	connections []*clearConn // all there ever were
	passwords   []string
	marks       map[string]chan struct{} // by address of our own end; closed when accepted
}

// Record starts a Recorder for the duration of a test, and ends the test if that is not
// possible.
func Record(tb testing.TB, behaviour Evil) *Recorder {
	tb.Helper()
	r := &Recorder{evil: behaviour, CAFile: filepath.Join(tb.TempDir(), "ca.pem"), marks: make(map[string]chan struct{})}
	if err := r.certify(); err != nil {
		tb.Fatalf("azurepgtest: %v", err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatalf("azurepgtest: %v", err)
	}
	r.Addr = l.Addr().String()
	accepted := make(chan struct{})
	go func() {
		defer close(accepted)
		r.conns.accept(l, r.serve)
	}()
	tb.Cleanup(func() {
		l.Close()
		<-accepted
		r.conns.close()
	})
	return r
}

// certify makes the certificates that the behaviour needs.
func (r *Recorder) certify() error {
	ca, err := newCertAuthority()
	if err != nil {
		return err
	}
	var certificate tls.Certificate
	switch r.evil {
	case SelfSigned:
		certificate, err = selfSigned("localhost", "127.0.0.1")
	case OtherName:
		certificate, err = ca.issue("db.example.com")
	default:
		certificate, err = ca.issue("localhost", "127.0.0.1")
	}
	if err != nil {
		return err
	}
	r.tls = &tls.Config{Certificates: []tls.Certificate{certificate}, NextProtos: []string{"postgresql"}}
	if r.evil == OldTLS {
		r.tls.MinVersion, r.tls.MaxVersion = tls.VersionTLS10, tls.VersionTLS11
	}
	return os.WriteFile(r.CAFile, ca.pem(), 0o600)
}

// settled is the patience with clients that keep a connection open.
const settled = time.Second

// settle waits until all clients so far have hung up, for a second at most. Some may be
// known to the kernel alone, even if they have hung up: it hands them out in order, so a
// connection of our own comes after them.
func (r *Recorder) settle() {
	accepted := make(chan struct{})
	r.mu.Lock() // serve is not to see the mark before it knows it; the dial waits for the kernel alone
	mark, err := net.DialTimeout("tcp", r.Addr, settled)
	if err == nil {
		r.marks[mark.LocalAddr().String()] = accepted
	}
	r.mu.Unlock()
	if err != nil {
		return // closed, and all is there
	}
	defer mark.Close()
	select {
	case <-accepted:
	case <-time.After(settled):
	}
	r.conns.wait(settled)
}

// isMark reports whether conn is settle's, which is no client.
func (r *Recorder) isMark(conn net.Conn) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	accepted, ok := r.marks[conn.RemoteAddr().String()]
	if ok {
		delete(r.marks, conn.RemoteAddr().String())
		close(accepted)
	}
	return ok
}

// Clear returns every byte received outside of TLS: startup packets, and the whole of
// handshakes that failed. It waits for the clients to hang up, for a second at most,
// so that what they sent is there.
func (r *Recorder) Clear() []byte {
	r.settle()
	r.mu.Lock()
	defer r.mu.Unlock()
	var clear []byte
	for _, c := range r.connections {
		clear = append(clear, c.seen...)
	}
	return clear
}

// Passwords returns the contents of every password message received, in TLS or not, of
// SASL messages too. It waits as Clear does.
func (r *Recorder) Passwords() []string {
	r.settle()
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]string(nil), r.passwords...)
}

// Connections returns how many connections have been accepted.
func (r *Recorder) Connections() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.connections)
}

func (r *Recorder) serve(raw net.Conn) {
	if r.isMark(raw) {
		return
	}
	conn := &clearConn{Conn: raw, mu: &r.mu}
	r.mu.Lock()
	r.connections = append(r.connections, conn)
	r.mu.Unlock()
	switch r.evil {
	case NeverAnswers:
		io.Copy(io.Discard, conn)
	case SkipsNegotiation:
		r.converse(conn)
	case RefusesTLS:
		if _, err := readStartup(conn); err == nil {
			raw.Write([]byte{'N'})
			r.converse(conn)
		}
	default:
		r.serveTLS(conn)
	}
}

// serveTLS takes a client through the handshake, after an SSLRequest or, if what comes
// is not one, directly. A startup packet in clear, which a client that downgrades
// sends, is asked for the password at once.
func (r *Recorder) serveTLS(conn *clearConn) {
	first := make([]byte, 1)
	if _, err := io.ReadFull(conn, first); err != nil {
		return
	}
	inner := &prefixConn{conn, first}
	negotiation := 0 // bytes before the handshake
	if first[0] == 0 {
		packet, err := readStartup(inner)
		if err != nil {
			return
		}
		if code(packet) != sslCode {
			r.ask(conn)
			r.read(conn)
			return
		}
		negotiation = len(packet) + 4
		conn.Write([]byte{'S'})
	}
	secured := tls.Server(inner, r.tls)
	if secured.Handshake() != nil {
		io.Copy(io.Discard, conn) // what the client says now is in clear
		return
	}
	conn.encryptFrom(negotiation)
	r.converse(secured)
}

// converse reads the startup packet and goes on with the login.
func (r *Recorder) converse(conn net.Conn) {
	if _, err := readStartup(conn); err != nil {
		return
	}
	r.ask(conn)
	r.read(conn)
}

// ask says what the behaviour says after a startup packet.
func (r *Recorder) ask(conn net.Conn) {
	_, secured := conn.(*tls.Conn)
	switch {
	case r.evil == Downgrades && secured:
		send(conn, fatal("28000", `no pg_hba.conf entry for host "127.0.0.1", SSL encryption`))
		closeWrite(conn)
	case r.evil == AsksMD5:
		send(conn, &pgproto3.AuthenticationMD5Password{Salt: [4]byte{1, 2, 3, 4}})
	case r.evil == AsksSCRAM:
		send(conn, &pgproto3.AuthenticationSASL{AuthMechanisms: []string{"SCRAM-SHA-256"}})
	case r.evil == AsksNothing:
		send(conn, &pgproto3.AuthenticationOk{}, &pgproto3.BackendKeyData{ProcessID: 1, SecretKey: []byte{1, 2, 3, 4}},
			&pgproto3.ReadyForQuery{TxStatus: 'I'})
	default:
		send(conn, &pgproto3.AuthenticationCleartextPassword{})
	}
}

// read keeps the password messages that follow, until the client hangs up. It answers
// none: a client has given itself away or not.
func (r *Recorder) read(conn net.Conn) {
	for {
		message, err := readPassword(conn)
		if err != nil {
			io.Copy(io.Discard, conn)
			return
		}
		r.mu.Lock()
		r.passwords = append(r.passwords, message)
		r.mu.Unlock()
		send(conn, fatal("28P01", "password authentication failed"))
	}
}

// A clearConn keeps what is read until it is encrypted.
type clearConn struct {
	net.Conn
	mu        *sync.Mutex // the Recorder's, guards all below
	seen      []byte
	encrypted bool
}

func (c *clearConn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.encrypted {
		c.seen = append(c.seen, b[:n]...)
	}
	return n, err
}

// encryptFrom says that all but the first n bytes are a TLS connection.
func (c *clearConn) encryptFrom(n int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.encrypted = true
	c.seen = c.seen[:n]
}
