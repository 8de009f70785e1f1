package proxy_test

import (
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/internal/proxy"
)

func get(tb testing.TB, h http.Handler, path string) *httptest.ResponseRecorder {
	tb.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, path, nil))
	return w
}

func TestReadyzLogsInOnceForManyProbes(t *testing.T) {
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{})
	before := azure.Postgres.Logins()
	done := make(chan int)
	for range 50 {
		go func() { done <- get(t, s.Health(), "/readyz").Code }()
	}
	for range 50 {
		if code := <-done; code != http.StatusOK {
			t.Errorf("got %d", code)
		}
	}
	if n := azure.Postgres.Logins() - before; n < 1 || n > 10 { // one, or a few where the machine took more than 5 s for it
		t.Errorf("50 probes logged in %d times", n)
	}
	eventually(t, "the session of /readyz is closed", func() bool { return azure.Postgres.Connections() == 0 })
}

func TestReadyzIsAskedAnewAfterFiveSeconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		cred := azurepgtest.NewCredential("app")
		cred.Fault(azurepgtest.Status(503, 0))
		s, err := proxy.New(&azurepg.Config{Hosts: []azurepg.Host{{Name: "localhost"}}, Credential: cred}, proxy.Options{})
		if err != nil {
			t.Fatal(err)
		}
		probe := func() int {
			w := get(t, s.Health(), "/readyz")
			if w.Code != http.StatusServiceUnavailable {
				t.Errorf("got %d %s; want 503", w.Code, w.Body)
			}
			return cred.TokenRequests()
		}
		first := probe()
		time.Sleep(4 * time.Second)
		if again := probe(); again != first {
			t.Errorf("after 4 s there were %d token requests; want %d", again, first)
		}
		time.Sleep(2 * time.Second)
		if again := probe(); again <= first {
			t.Errorf("after 6 s there were %d token requests; want more", again)
		}
	})
}

func TestMetricsAreInPrometheusFormat(t *testing.T) {
	azure := sharedAzure(t)
	s := serve(t, azure.DSN("app"), proxy.Options{})
	enter(t, s.dial(t))
	// Bytes are counted when they have been written, and the client may be sooner.
	eventually(t, "the welcome is counted", func() bool { return s.metric(t, "bytes_to_clients_total") != "0" })
	w := get(t, s.Health(), "/metrics")
	if got := w.Header().Get("Content-Type"); got != "text/plain; version=0.0.4; charset=utf-8" {
		t.Errorf("Content-Type is %q", got)
	}
	entry := regexp.MustCompile(`^# HELP (azurepg_proxy_[a-z_]+) .+\.\n# TYPE (azurepg_proxy_[a-z_]+) (counter|gauge)\n(azurepg_proxy_[a-z_]+) [0-9.]+\n`)
	text := w.Body.String()
	for rest := text; rest != ""; {
		m := entry.FindStringSubmatch(rest)
		if m == nil || m[1] != m[2] || m[1] != m[4] || (m[3] == "counter") != strings.HasSuffix(m[1], "_total") {
			t.Fatalf("this is no metric: %.200q", rest)
		}
		rest = rest[len(m[0]):]
	}
	for name, want := range map[string]string{"sessions_total": "1", "sessions": "1", "sessions_limit": "100", "server_logins_total": "1", "draining": "0"} {
		if got := metricIn(t, text, name); got != want {
			t.Errorf("%s is %s; want %s", name, got, want)
		}
	}
	for _, name := range []string{"bytes_from_clients_total", "bytes_to_clients_total", "token_expires_timestamp_seconds"} {
		if name != "bytes_from_clients_total" && metricIn(t, text, name) == "0" {
			t.Errorf("%s is 0", name)
		}
	}
	if found := azure.Leaks(text); found != nil {
		t.Errorf("found in the metrics: %v", found)
	}
	s.drain()
	eventually(t, "it drains", func() bool { return get(t, s.Health(), "/readyz").Code == http.StatusServiceUnavailable })
	if got := get(t, s.Health(), "/livez").Code; got != http.StatusOK {
		t.Errorf("/livez says %d while it drains", got)
	}
}
