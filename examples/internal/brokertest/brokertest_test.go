package brokertest

import (
	"bufio"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
	"github.com/redis/go-redis/v9"

	"github.com/azurepg/azurepg/examples/internal/child"
)

func TestMain(m *testing.M) {
	if os.Getenv("BROKERTEST_TO_BE_KILLED") != "" {
		waitToBeKilled()
	}
	os.Exit(m.Run())
}

func newAuthority(t *testing.T) *Authority {
	t.Helper()
	a, err := NewAuthority()
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, a)
	return a
}

func TestRedisWantsAClientCertificateAndAPassword(t *testing.T) {
	r, err := StartRedis(newAuthority(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, r)
	config, err := r.TLSConfig()
	if err != nil {
		t.Fatal(err)
	}
	ping := func(password string, config *tls.Config) error {
		client := redis.NewClient(&redis.Options{Addr: r.Addr, Username: "default", Password: password, TLSConfig: config, MaxRetries: -1})
		defer client.Close()
		return client.Ping(t.Context()).Err()
	}
	if err := ping(r.Password, config); err != nil {
		t.Error(err)
	}
	if err := ping("other", config); err == nil || !strings.HasPrefix(err.Error(), "WRONGPASS") {
		t.Errorf("with another password: %v; want WRONGPASS", err)
	}
	expired, err := r.Authority.Issue("late", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Minute) })
	if err != nil {
		t.Fatal(err)
	}
	late, err := expired.Load()
	if err != nil {
		t.Fatal(err)
	}
	for want, certificates := range map[string][]tls.Certificate{"certificate required": nil, "expired certificate": {late}} {
		config.Certificates = certificates
		if err := alert(t, r.Addr, config); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v; want %s", err, want)
		}
	}
}

// alert is what a server says of a client's certificate in TLS 1.3, in which that comes
// after the handshake. To write before would hide it behind a reset.
func alert(t *testing.T, addr string, config *tls.Config) error {
	t.Helper()
	conn, err := tls.Dial("tcp", addr, config)
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Read(make([]byte, 1))
	return err
}

func TestRabbitMQKeepsDurableMessagesThroughACrash(t *testing.T) {
	b, err := StartRabbitMQ(newAuthority(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	closeAtEnd(t, b)
	publish(t, b)
	if err := b.Crash(); err != nil {
		t.Fatal(err)
	}
	if conn, err := net.Dial("tcp", b.Addr); err == nil {
		conn.Close()
		t.Error("somebody listens after Crash")
	}
	if err := b.Start(); err != nil {
		t.Fatal(err)
	}
	if body := get(t, b); body != "kept" {
		t.Errorf("after Start there is %q; want what was confirmed", body)
	}
}

func channel(t *testing.T, b *RabbitMQ) *amqp.Channel {
	t.Helper()
	conn, err := b.dial()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	ch, err := conn.Channel()
	if err != nil {
		t.Fatal(err)
	}
	return ch
}

func publish(t *testing.T, b *RabbitMQ) {
	t.Helper()
	ch := channel(t, b)
	if err := ch.Confirm(false); err != nil {
		t.Fatal(err)
	}
	if _, err := ch.QueueDeclare("q", true, false, false, false, nil); err != nil {
		t.Fatal(err)
	}
	confirmation, err := ch.PublishWithDeferredConfirm("", "q", true, false, amqp.Publishing{DeliveryMode: amqp.Persistent, Body: []byte("kept")})
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := confirmation.WaitContext(t.Context()); err != nil || !ok {
		t.Fatal("not confirmed:", err)
	}
}

func get(t *testing.T, b *RabbitMQ) string {
	t.Helper()
	message, ok, err := channel(t, b).Get("q", true)
	if err != nil || !ok {
		t.Fatal("no message:", err)
	}
	return string(message.Body)
}

// waitToBeKilled starts one of each, says where they are, and stays.
func waitToBeKilled() {
	a, err := NewAuthority()
	if err != nil {
		panic(err)
	}
	r, err := StartRedis(a, nil)
	if err != nil {
		panic(err)
	}
	b, err := StartRabbitMQ(a, nil)
	if err != nil {
		panic(err)
	}
	fmt.Println(r.Addr, b.Addr, net.JoinHostPort("localhost", b.epmdPort), a.dir.path, r.dir.path, b.dir.path)
	select {}
}

func TestNothingIsLeftOfAKilledProcess(t *testing.T) {
	cmd := exec.Command(os.Args[0])
	cmd.Env = append(os.Environ(), "BROKERTEST_TO_BE_KILLED=1")
	cmd.Stderr = os.Stderr
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	words := strings.Fields(line)
	if err != nil || len(words) != 6 {
		t.Fatalf("it printed %q, %v", line, err)
	}
	for _, addr := range words[:3] {
		child.Until(t, addr+" to be closed", func() bool {
			conn, err := net.Dial("tcp", addr)
			if err == nil {
				conn.Close()
			}
			return err != nil
		})
	}
	for _, dir := range words[3:] {
		child.Until(t, dir+" to go", func() bool {
			_, err := os.Stat(dir)
			return errors.Is(err, os.ErrNotExist)
		})
	}
}
