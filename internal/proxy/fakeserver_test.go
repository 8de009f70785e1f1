package proxy_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"io"
	"math/big"
	"net"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgproto3"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// stage is how far a fakeServer goes with a client.
type stage int

const (
	accepted stage = iota // and reads nothing
	agreed                // to TLS
	secured
	asking  // for the password
	told    // the password
	letIn   // AuthenticationOk
	keyed   // BackendKeyData
	ready   // for queries
	halfway // through a message of 100 bytes
)

// fakeServer is a PostgreSQL that goes as far as a stage, and then hangs up or falls
// silent until the client does.
type fakeServer struct {
	net.Listener
	tls    *tls.Config
	at     stage
	silent bool
	deaf   atomic.Bool // from now on clients are accepted, and nothing else

	reached, left atomic.Int64 // clients: how many got there, and how many have left
}

// startFake starts one, and returns it with a Config for it.
func startFake(tb testing.TB, at stage, silent bool) (*fakeServer, *azurepg.Config) {
	tb.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		tb.Fatal(err)
	}
	cert, pool := selfSigned(tb)
	f := &fakeServer{Listener: l, tls: &tls.Config{Certificates: []tls.Certificate{cert}}, at: at, silent: silent}
	tb.Cleanup(func() { _ = l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go f.serve(conn)
		}
	}()
	return f, &azurepg.Config{
		Hosts: []azurepg.Host{{Name: "127.0.0.1", Port: uint16(l.Addr().(*net.TCPAddr).Port)}}, User: "app", Database: "postgres",
		TLSConfig: &tls.Config{RootCAs: pool}, Credential: azurepgtest.NewCredential("app"), ConnectTimeout: patience,
	}
}

func (f *fakeServer) serve(raw net.Conn) {
	defer func() { _ = raw.Close() }()
	if f.deaf.Load() {
		_, _ = io.Copy(io.Discard, raw)
		return
	}
	conn := f.advance(raw)
	if conn == nil {
		return
	}
	f.reached.Add(1)
	if f.silent {
		_, _ = io.Copy(io.Discard, conn)
		f.left.Add(1)
	}
}

// advance returns the connection once the stage is reached, or nil.
func (f *fakeServer) advance(raw net.Conn) net.Conn {
	if f.at == accepted {
		return raw
	}
	packet := make([]byte, 8)
	if _, err := io.ReadFull(raw, packet); err != nil {
		return nil
	}
	_, _ = raw.Write([]byte{'S'})
	if f.at == agreed {
		return raw
	}
	conn := tls.Server(raw, f.tls)
	if conn.Handshake() != nil {
		return nil
	}
	if f.at == secured {
		return conn
	}
	_, _ = io.ReadFull(conn, packet[:4])
	_, _ = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(packet))-4)
	say(conn, &pgproto3.AuthenticationCleartextPassword{})
	if f.at == asking {
		return conn
	}
	_, _ = io.ReadFull(conn, packet[:5])
	_, _ = io.CopyN(io.Discard, conn, int64(binary.BigEndian.Uint32(packet[1:]))-4)
	return f.welcome(conn)
}

func (f *fakeServer) welcome(conn net.Conn) net.Conn {
	if f.at == told {
		return conn
	}
	say(conn, &pgproto3.AuthenticationOk{})
	if f.at == letIn {
		return conn
	}
	say(conn, &pgproto3.ParameterStatus{Name: "server_version", Value: "15"}, &pgproto3.BackendKeyData{ProcessID: 7, SecretKey: []byte{1, 2, 3, 4}})
	if f.at == keyed {
		return conn
	}
	say(conn, &pgproto3.ReadyForQuery{TxStatus: 'I'})
	if f.at == halfway {
		_, _ = conn.Write([]byte{'D', 0, 0, 0, 100, 'h', 'a', 'l', 'f'})
	}
	return conn
}

func say(w io.Writer, messages ...pgproto3.BackendMessage) {
	var all []byte
	for _, m := range messages {
		all, _ = m.Encode(all)
	}
	_, _ = w.Write(all)
}

// selfSigned makes a certificate for 127.0.0.1.
func selfSigned(tb testing.TB) (tls.Certificate, *x509.CertPool) {
	tb.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		tb.Fatal(err)
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		tb.Fatal(err)
	}
	parsed, err := x509.ParseCertificate(der)
	if err != nil {
		tb.Fatal(err)
	}
	pool := x509.NewCertPool()
	pool.AddCert(parsed)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, pool
}

// String names s in the tests' output.
func (s stage) String() string {
	return []string{"accepted", "agreed", "secured", "asking", "told", "letIn", "keyed", "ready", "halfway"}[s]
}
