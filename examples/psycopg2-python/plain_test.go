package psycopg2_test

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

func TestMain(m *testing.M) { os.Exit(pythontest.Main(m)) }

// verified is what somebody who uses a passfile has to say, and the socket of the proxy ignores.
var verified = []string{"PGSSLMODE=verify-full"}

// Each line of the program's input is a row that SQLAlchemy's pool writes and reads, and a
// connection of psycopg2's own.
func TestPsycopg2AndSQLAlchemyNoticeNoTokensEnd(t *testing.T) {
	pythontest.EachWay(t, "sp_notes@db", func(t *testing.T, s *pythontest.Site) {
		p := s.Python(t, ".", verified, "plain.py")
		n := 0
		round := func() {
			n++
			p.Say("note")
			if got, want := p.Line(), fmt.Sprintf("note %d sp_notes@db %s %[1]d", n, s.Database); got != want {
				t.Fatalf("round %d: got %q; want %q", n, got, want)
			}
		}
		round()
		for end := time.Now().Add(pythontest.TokenLife); time.Now().Before(end); {
			round()
		}
		if s.Terminate(t) == 0 {
			t.Error("there was nothing to terminate: the pool's connection has gone")
		}
		round()
		s.Azure.Postgres.KillConnections()
		round()
		p.Succeeds()
	})
}

// pooled asks its pool for an answer at every line.
const pooled = `
import sys, sqlalchemy
engine = sqlalchemy.create_engine("postgresql+psycopg2://", pool_pre_ping=True)
print("ready", flush=True)
for line in sys.stdin:
    try:
        with engine.connect() as conn:
            print(conn.execute(sqlalchemy.text("select 'fine'")).scalar_one(), flush=True)
    except sqlalchemy.exc.OperationalError:
        print("refused", flush=True)
`

// What the two ways are for: a token that nobody renews, as in a URL, is good for the
// connections that there are. Its end shows when one of them has to be replaced.
func TestTokenThatNobodyRenewsIsMissedAtTheFirstReconnect(t *testing.T) {
	t.Parallel()
	s, write := pythontest.OnceOnly(t, "sp_fixed@db")
	p := s.Python(t, ".", verified, "-c", pooled)
	if got := p.Line(); got != "ready" { // which takes seconds, of which the token has few
		t.Fatalf("got %q; want ready", got)
	}
	write()
	ask := func(want string) {
		t.Helper()
		p.Say("")
		if got := p.Line(); got != want {
			t.Errorf("got %q; want %q", got, want)
		}
	}
	ask("fine")
	for end := time.Now().Add(pythontest.TokenLife + time.Second); time.Now().Before(end); time.Sleep(100 * time.Millisecond) {
		ask("fine")
	}
	if s.Terminate(t) != 1 {
		t.Error("the pool's connection has gone by itself")
	}
	ask("refused")
	ask("refused")
	p.Succeeds()
}
