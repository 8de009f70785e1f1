package celery_test

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"

	"github.com/azurepg/azurepg/examples/internal/brokertest"
	"github.com/azurepg/azurepg/examples/internal/child"
	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

func TestMain(m *testing.M) { os.Exit(pythontest.Main(m)) }

// A desk is a worker of two processes, and a client that sends a batch of tasks at each call.
type desk struct {
	t              *testing.T
	site           *pythontest.Site
	worker, client *child.Process

	tasks int   // that have been sent, and have come back
	pids  []int // of the worker's processes, as the results say
}

func open(t *testing.T, s *pythontest.Site) *desk {
	t.Helper()
	broker := []string{"CELERY_BROKER_URL=" + brokertest.RedisFor(t).CeleryURL(0)}
	d := &desk{t: t, site: s}
	d.worker = s.Python(t, ".", broker, "-m", "celery", "-A", "tasks", "worker", "--loglevel", "INFO", "--concurrency", "2")
	d.worker.Prints(" ready.", 1)
	d.client = s.Python(t, ".", broker, "client.py")
	return d
}

// batch waits for the results of a batch that has been sent.
func (d *desk) batch() {
	d.t.Helper()
	var answer struct {
		Tasks int
		Pids  []int
	}
	if err := json.Unmarshal([]byte(d.client.Line()), &answer); err != nil {
		d.t.Fatal(err)
	}
	d.tasks += answer.Tasks
	for _, pid := range answer.Pids {
		if !slices.Contains(d.pids, pid) {
			d.pids = append(d.pids, pid)
		}
	}
}

// Celery's results cross the ends of tokens and of all connections. Nobody restarts
// anything, and no task fails.
func TestEveryTaskSucceedsWhileTokensAndBackendsEnd(t *testing.T) {
	pythontest.EachWay(t, "sp_celery@db", func(t *testing.T, s *pythontest.Site) {
		d := open(t, s)
		send := func() { d.client.Say("") }
		for end := time.Now().Add(pythontest.TokenLife); time.Now().Before(end); { // the first token's
			send()
			d.batch()
		}
		if s.Terminate(t) == 0 {
			t.Error("the worker keeps no connection: there was nothing to terminate")
		}
		send()
		d.batch()
		// Between batches a connection's end is not even noticed.
		if d.worker.Printed("Failed operation") > 0 {
			t.Error("the worker used connections that had ended")
		}
		for range 3 { // in the middle of one, what was under way is done again
			received := d.worker.Printed(" received")
			send()
			d.worker.Prints(" received", received+5)
			if s.Azure.Postgres.KillConnections() == 0 {
				t.Error("there was no connection to cut")
			}
			d.batch()
		}
		d.client.Succeeds()
		d.worker.Stop()
		if len(d.pids) > 2 {
			t.Errorf("the results are of the processes %v; want two that were never replaced", d.pids)
		}
		if n := d.worker.Printed(" succeeded in "); n != d.tasks || d.worker.Printed("ERROR") > 0 {
			t.Errorf("%d tasks succeeded; want %d, and no error", n, d.tasks)
		}
		if got := stored(t, s); got["SUCCESS"] != d.tasks || len(got) != 1 {
			t.Errorf("the results are %v; want %d of SUCCESS", got, d.tasks)
		}
		t.Logf("%d tasks, %d tokens, %d logins", d.tasks, s.Azure.Entra.TokenRequests(), s.Azure.Postgres.Logins())
	})
}

// stored counts the results in the database by their status.
func stored(t *testing.T, s *pythontest.Site) map[string]int {
	t.Helper()
	super, err := s.Azure.Postgres.Superuser(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer super.Close(t.Context())
	config := super.Config().Copy()
	config.Database = s.Database
	db, err := pgx.ConnectConfig(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close(t.Context())
	rows, err := db.Query(t.Context(), "select status, count(*)::int from celery_taskmeta group by status")
	if err != nil {
		t.Fatal(err)
	}
	counts := make(map[string]int)
	var status string
	var n int
	if _, err := pgx.ForEachRow(rows, []any{&status, &n}, func() error { counts[status] = n; return nil }); err != nil {
		t.Fatal(err)
	}
	return counts
}

// settings prints what the configuration makes of the variables, and whom it logs in as.
const settings = `
import sqlalchemy, celeryconfig
print(celeryconfig.result_backend)
url = celeryconfig.result_backend.removeprefix("db+")
with sqlalchemy.create_engine(url, **celeryconfig.database_engine_options).connect() as conn:
    print(conn.execute(sqlalchemy.text("select current_user")).scalar_one())
`

func TestResultURLHoldsNoPassword(t *testing.T) {
	pythontest.EachWay(t, "sp_celery@db", func(t *testing.T, s *pythontest.Site) {
		for _, backend := range []string{"", "db+postgresql", "postgresql+psycopg2"} {
			var more []string
			if backend != "" {
				more = append(more, "CELERY_RESULTS_DB_BACKEND="+backend)
			}
			p := s.Python(t, ".", more, "-c", settings)
			url := p.Line()
			if user := p.Line(); user != s.Role {
				t.Errorf("%s logs in as %s", url, user)
			}
			p.Succeeds()
			_, authority, _ := strings.Cut(url, "://")
			if user, _, _ := strings.Cut(authority, "@"); !strings.HasPrefix(url, "db+postgresql") || user != "sp_celery%40db" {
				t.Errorf("the URL is %s; want a user alone in it", url)
			}
			if strings.Contains(p.String(), "AZURE_SERVICE_PRINCIPAL_USER") {
				t.Errorf("it said:\n%s", p)
			}
		}
	})
}

func TestWithoutAServicePrincipalTheOrdinaryUserIsKept(t *testing.T) {
	s := pythontest.NewSite(t, "sp_celery@db")
	p := s.Python(t, ".", s.Ordinary(t), "-c", settings)
	url, user := p.Line(), p.Line()
	p.Succeeds()
	if user != "ordinary" || strings.Contains(p.String(), "HUNTER") {
		t.Errorf("%s logs in as %s", url, user)
	}
	if !strings.Contains(p.String(), "AZURE_SERVICE_PRINCIPAL_USER is not set") {
		t.Errorf("it does not say so:\n%s", p)
	}
}

// DB_PORT and DB_NAME need not be given.
func TestPortAndDatabaseHaveDefaults(t *testing.T) {
	pythontest.NeedPackages(t)
	for host, want := range map[string]string{
		"mydb.postgres.database.azure.com": "db+postgresql://sp_celery%40db@mydb.postgres.database.azure.com:5432/celery",
		"/run/azurepg":                     "db+postgresql://sp_celery%40db@/celery?host=%2Frun%2Fazurepg&port=5432",
	} {
		cmd := exec.Command(pythontest.Python, "-B", "-c", "import celeryconfig; print(celeryconfig.result_backend)")
		cmd.Env = []string{"DB_HOST=" + host, "AZURE_SERVICE_PRINCIPAL_USER=sp_celery@db"}
		if got, err := cmd.CombinedOutput(); err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%v, got %s; want %s", err, got, want)
		}
	}
}

func TestMissingVariableIsNamed(t *testing.T) {
	pythontest.NeedPackages(t)
	all := []string{"DB_HOST=/run/azurepg", "DB_USER=ordinary", "DB_PASS=HUNTER"}
	for i, missing := range []string{"DB_HOST", "DB_USER", "DB_PASS"} {
		cmd := exec.Command(pythontest.Python, "-B", "-c", "import celeryconfig")
		cmd.Env = slices.Delete(slices.Clone(all), i, i+1)
		out, err := cmd.CombinedOutput()
		if err == nil || !strings.Contains(string(out), "ImproperlyConfigured: "+missing+" is not set") || strings.Contains(string(out), "HUNTER") {
			t.Errorf("without %s: %v, it printed\n%s", missing, err, out)
		}
	}
}

// Everything that the README's list of files names is there.
func TestReadmeNamesWhatIsHere(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("*.py")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if !strings.Contains(string(readme), "("+file+")") {
			t.Errorf("the README does not link to %s", file)
		}
	}
}

func TestTokenGoesToVerifiedServersOnly(t *testing.T) {
	pythontest.SendsOnlyToVerified(t, "-c", settings)
}
