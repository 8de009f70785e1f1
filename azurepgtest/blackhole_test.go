package azurepgtest_test

import (
	"context"
	"errors"
	"net"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/azurepgtest"
)

// inTheBlackHole starts, in the black hole of s, a statement, the wait for a notification
// that is sent, and a login, none of which ends before it ends. Their outcomes come by
// the channel.
func inTheBlackHole(t *testing.T, s *azurepgtest.Server) <-chan error {
	t.Helper()
	app := s.AddServicePrincipal("app")
	token := s.Entra.Mint(app, nil)
	var sessions [2]*pgx.Conn
	for i := range sessions {
		conn, err := login(t.Context(), s.Postgres, "app", token)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close(context.Background()) })
		sessions[i] = conn
	}
	if _, err := sessions[1].Exec(t.Context(), "listen channel"); err != nil {
		t.Fatal(err)
	}
	s.Postgres.SetBlackHole(true)
	s.Postgres.SetBlackHole(true) // once more is no difference
	ended := make(chan error, 3)
	go func() { _, err := sessions[0].Exec(context.Background(), "create table swallowed ()"); ended <- err }()
	go func() { _, err := sessions[1].WaitForNotification(context.Background()); ended <- err }()
	go func() {
		conn, err := login(context.Background(), s.Postgres, "app", token)
		if err == nil {
			err = conn.Close(context.Background())
		}
		ended <- err
	}()
	if err := s.Postgres.Exec(t.Context(), "notify channel"); err != nil {
		t.Fatal(err)
	}
	if got := s.Postgres.Connections(); got != 2 {
		t.Errorf("Connections() = %d; want 2", got)
	}
	select {
	case err := <-ended:
		t.Fatalf("the black hole has let something out: %v", err)
	case <-time.After(300 * time.Millisecond): // without it this takes about ten
	}
	if err := s.Postgres.Exec(t.Context(), "create table swallowed (); drop table swallowed"); err != nil {
		t.Errorf("the black hole has let something in: %v", err)
	}
	return ended
}

func TestAfterABlackHoleEverythingGoesOn(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	ended := inTheBlackHole(t, s)
	s.Postgres.SetBlackHole(false)
	for range 3 {
		if err := <-ended; err != nil {
			t.Error(err)
		}
	}
}

func TestBlackHoleDoesNotKeepWhatIsKilled(t *testing.T) {
	t.Parallel()
	for name, kill := range map[string]func(*azurepgtest.Server) error{
		"KillConnections": func(s *azurepgtest.Server) error {
			// The login's is there when the kernel says so, which it has to tell us first.
			for killed := 0; killed < 3; {
				killed += s.Postgres.KillConnections()
			}
			return nil
		},
		"Stop":  func(s *azurepgtest.Server) error { return s.Postgres.Stop() },
		"Close": (*azurepgtest.Server).Close,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := azurepgtest.Start(t)
			ended := inTheBlackHole(t, s)
			if err := kill(s); err != nil {
				t.Error(err)
			}
			for range 3 {
				if err := <-ended; err == nil {
					t.Error("something has survived")
				}
			}
		})
	}
}

func TestKilledConnectionIsReset(t *testing.T) {
	t.Parallel()
	s := azurepgtest.Start(t)
	for _, blackHole := range []bool{false, true} {
		s.Postgres.SetBlackHole(blackHole)
		conn, err := net.Dial("tcp", s.Postgres.Addr())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		within(t, 10*time.Second, "connection", func() bool { return s.Postgres.KillConnections() == 1 })
		conn.SetDeadline(time.Now().Add(10 * time.Second))
		if _, err := conn.Read(make([]byte, 1)); !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("black hole %v: got %v; want a reset", blackHole, err)
		}
		within(t, 10*time.Second, "end of the connection", func() bool { return s.Postgres.KillConnections() == 0 })
	}
}
