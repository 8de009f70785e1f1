package azurepgtest

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgproto3"
)

// A backend is the real server, which the front logs in to.
type backend struct {
	process *process        // nil if the server is not ours
	config  *pgx.ConnConfig // superuser's login; copied, never changed
}

// startBackend uses the server of AZUREPG_TEST_POSTGRES, or starts one in dir.
func startBackend(ctx context.Context, dir string, w *watchdog) (*backend, error) {
	if url := os.Getenv("AZUREPG_TEST_POSTGRES"); url != "" {
		config, err := pgx.ParseConfig(url)
		if err != nil {
			// The error holds the URL, though without its password.
			return nil, errors.New("azurepgtest: AZUREPG_TEST_POSTGRES is no URL of a PostgreSQL server")
		}
		return &backend{config: config}, nil
	}
	bin, err := findBinaries(ctx)
	if err != nil {
		return nil, err
	}
	return startBinaries(ctx, bin, dir, w)
}

// startBinaries starts the PostgreSQL whose executables are in bin.
func startBinaries(ctx context.Context, bin, dir string, w *watchdog) (*backend, error) {
	process, err := newProcess(bin, dir, w)
	if err != nil {
		return nil, err
	}
	if err := process.initCluster(ctx); err != nil {
		return nil, err
	}
	b, err := newBackend(process, dir)
	if err != nil {
		return nil, err
	}
	return b, b.start(ctx)
}

// newBackend is a server of our own, whose files are in dir.
func newBackend(process *process, dir string) (*backend, error) {
	config, err := isolatedConfig(dir)
	if err != nil {
		return nil, err
	}
	config.Host, config.Port = process.socketDir, socketPort
	return &backend{process, config}, nil
}

// isolatedConfig returns a superuser's login by which no PG variable of the tests can be
// in the way. Pgx reads them for all that the DSN does not say, and insists on finding the
// service of PGSERVICE: here an empty one in a file in dir.
func isolatedConfig(dir string) (*pgx.ConnConfig, error) {
	services := filepath.Join(dir, "pg_service.conf")
	if err := os.WriteFile(services, []byte("[azurepgtest]\n"), 0o600); err != nil {
		return nil, fmt.Errorf("azurepgtest: %w", err)
	}
	config, err := pgx.ParseConfig("host=/ port=5432 user=postgres dbname=postgres password='' passfile='' " +
		"sslmode=disable sslcert='' sslkey='' sslrootcert='' sslpassword='' sslsni=1 sslcertmode=allow sslnegotiation=postgres " +
		"connect_timeout=0 target_session_attrs=any min_protocol_version=3.0 max_protocol_version=3.0 " +
		"channel_binding=disable require_auth='' " +
		"service=azurepgtest servicefile='" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(services) + "'")
	if err != nil {
		return nil, fmt.Errorf("azurepgtest: PG* environment: %w", err)
	}
	config.RuntimeParams = map[string]string{} // PGAPPNAME, PGOPTIONS, PGTZ
	return config, nil
}

// start starts a server of our own and waits until it answers, or stops it again.
func (b *backend) start(ctx context.Context) error {
	if b.process == nil {
		return nil
	}
	if err := b.process.start(); err != nil {
		return err
	}
	if err := b.await(ctx); err != nil {
		return errors.Join(err, b.process.stop(stopSignals))
	}
	return nil
}

// stop stops a server of our own; of another it terminates the sessions.
func (b *backend) stop(sessions []uint32) error {
	if b.process != nil {
		return b.process.stop(stopSignals)
	}
	if len(sessions) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(context.Background(), startTimeout)
	defer cancel()
	conn, err := b.superuserConn(ctx, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	_, err = conn.Exec(ctx, "select pg_terminate_backend(id::int) from unnest($1::bigint[]) id", sessions)
	return err
}

// startTimeout is the patience with a PostgreSQL that starts.
const startTimeout = 30 * time.Second

// await waits until the server answers.
func (b *backend) await(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	retry := time.NewTicker(5 * time.Millisecond)
	defer retry.Stop()
	for {
		conn, err := b.superuserConn(ctx, "postgres")
		if err == nil {
			return conn.Close(ctx)
		}
		select {
		case <-retry.C:
		case <-b.process.exited:
			return b.process.failure("PostgreSQL did not start")
		case <-ctx.Done():
			return b.process.failure("PostgreSQL does not answer: " + err.Error())
		}
	}
}

func (b *backend) superuser() string { return b.config.User }

func (b *backend) superuserConn(ctx context.Context, database string) (*pgx.Conn, error) {
	config := b.config.Copy()
	config.Database = database
	return pgx.ConnectConfig(ctx, config)
}

// password returns the password of a role in a server that is not ours: always the
// same, so that test processes which share server and role do not lock each other out.
func (b *backend) password(role string) string {
	mac := hmac.New(sha256.New, []byte("azurepgtest:"+b.config.User+":"+b.config.Password))
	io.WriteString(mac, role)
	return hex.EncodeToString(mac.Sum(nil))
}

// open logs in as role with the run-time parameters of the client's startup packet.
func (b *backend) open(ctx context.Context, role, database string, parameters map[string]string) (*pgconn.HijackedConn, error) {
	config := b.config.Config.Copy()
	config.User, config.Database = role, database
	config.Password = ""
	if b.process == nil {
		config.Password = b.password(role)
	}
	config.RuntimeParams = maps.Clone(parameters)
	maps.DeleteFunc(config.RuntimeParams, func(key, _ string) bool {
		return key == "user" || key == "database" || strings.HasPrefix(key, "_pq_.")
	})
	conn, err := pgconn.ConnectConfig(ctx, config)
	if err != nil {
		return nil, err
	}
	// Where a write took long, pgx has begun to read in a goroutine, which would
	// swallow the first answer to the client.
	if err := conn.SyncConn(ctx); err != nil {
		conn.Close(ctx)
		return nil, fmt.Errorf("azurepgtest: %w", err)
	}
	return conn.Hijack()
}

// dial connects to any address of the server.
func (b *backend) dial(ctx context.Context) (net.Conn, error) {
	network, address := pgconn.NetworkAddress(b.config.Host, b.config.Port)
	return new(net.Dialer).DialContext(ctx, network, address)
}

// cancel passes a cancel request on; to any address of the server, without TLS, which
// PostgreSQL does not ask for here. Like PostgreSQL it reports nothing.
func (b *backend) cancel(ctx context.Context, packet []byte) {
	conn, err := b.dial(ctx)
	if err != nil {
		return
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	length := len(packet) + 4
	conn.Write(append([]byte{byte(length >> 24), byte(length >> 16), byte(length >> 8), byte(length)}, packet...))
	io.Copy(io.Discard, conn) // until the server has done it
}

// welcome returns what the server said after the login, for the client.
func welcome(startup *pgproto3.StartupMessage, session *pgconn.HijackedConn) []pgproto3.BackendMessage {
	var messages []pgproto3.BackendMessage
	if options := unknownOptions(startup); startup.ProtocolVersion > pgproto3.ProtocolVersion30 || options != nil {
		messages = append(messages, &pgproto3.NegotiateProtocolVersion{
			NewestMinorProtocol: pgproto3.ProtocolVersion30, // that of the session; PostgreSQL sends it whole
			UnrecognizedOptions: options,
		})
	}
	messages = append(messages, &pgproto3.AuthenticationOk{})
	for _, name := range slices.Sorted(maps.Keys(session.ParameterStatuses)) {
		messages = append(messages, &pgproto3.ParameterStatus{Name: name, Value: session.ParameterStatuses[name]})
	}
	return append(messages,
		&pgproto3.BackendKeyData{ProcessID: session.PID, SecretKey: session.SecretKey},
		&pgproto3.ReadyForQuery{TxStatus: session.TxStatus})
}

// unknownOptions returns the protocol options that the client asked for; none is known.
func unknownOptions(startup *pgproto3.StartupMessage) []string {
	var options []string
	for name := range startup.Parameters {
		if strings.HasPrefix(name, "_pq_.") {
			options = append(options, name)
		}
	}
	return options
}

// closeOnDone closes conn when ctx ends. The caller calls the function it returns.
func closeOnDone(ctx context.Context, conn net.Conn) func() bool {
	return context.AfterFunc(ctx, func() { conn.Close() })
}
