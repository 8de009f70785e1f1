package azurepgtest

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// Virtual time shows to the second when a fault begins and ends.
func TestFaultsLastAsLongAsTheySay(t *testing.T) {
	for _, row := range []struct {
		name   string
		faults []Fault
		want   []int // statuses of requests 1 s apart, the first one at once
	}{
		{"none", nil, []int{200}},
		{"zero", []Fault{{}}, []int{200, 200}},
		{"without end", []Fault{Status(503, 0)}, []int{503, 503, 503}},
		{"For", []Fault{Status(503, 0).For(2 * time.Second)}, []int{503, 503, 200}},
		{"Times", []Fault{Status(503, 0).Times(2)}, []int{503, 503, 200}},
		{"both, time first", []Fault{Status(503, 0).Times(9).For(time.Second)}, []int{503, 200}},
		{"both, count first", []Fault{Status(503, 0).Times(1).For(time.Hour)}, []int{503, 200}},
		{"one after the other", []Fault{Status(503, 0).For(2 * time.Second), Status(500, 0).For(2 * time.Second)}, []int{503, 503, 500, 500, 200}},
		{"two missed", []Fault{Hang.For(500 * time.Millisecond), Status(500, 0).For(100 * time.Millisecond), Status(429, 0)}, []int{200, 429}},
		{"count, then time", []Fault{Status(503, 0).Times(2), Status(500, 0).For(1500 * time.Millisecond)}, []int{503, 503, 500, 200}},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var q faultQueue
				for _, f := range row.faults {
					q.add(f)
				}
				var got []int
				for range row.want {
					next := time.After(time.Second)
					got = append(got, answer(t, &q).Code)
					<-next
				}
				if !slices.Equal(got, row.want) {
					t.Errorf("got %v; want %v", got, row.want)
				}
			})
		})
	}
}

func TestFaultsWaitAsLongAsTheySay(t *testing.T) {
	for _, row := range []struct {
		name   string
		fault  Fault
		clear  time.Duration // when ClearFaults comes; 0 is never
		took   time.Duration
		status int
	}{
		{"Delay", Delay(3 * time.Second), 0, 3 * time.Second, 200},
		{"Hang that ends", Hang.For(3 * time.Second), 0, 3 * time.Second, 200},
		{"Hang that is cleared", Hang, 2 * time.Second, 2 * time.Second, 200},
		{"its last request is released too", Hang.Times(1), 2 * time.Second, 2 * time.Second, 200},
		{"After", Status(503, 0).After(time.Second), 0, time.Second, 503},
		{"After a Delay", Delay(time.Second).After(2 * time.Second), 0, 3 * time.Second, 200},
		{"Hang after all", Hang.After(time.Second), 2 * time.Second, 2 * time.Second, 200},
		{"After, cleared", Status(503, 0).After(5 * time.Second), time.Second, time.Second, 200},
		{"After, ended", Status(503, 0).After(5 * time.Second).For(2 * time.Second), 0, 2 * time.Second, 200},
	} {
		t.Run(row.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var q faultQueue
				q.add(row.fault)
				if row.clear > 0 {
					time.AfterFunc(row.clear, q.clear)
				}
				begun := time.Now()
				status := answer(t, &q).Code
				if took := time.Since(begun); took != row.took || status != row.status {
					t.Errorf("got %d after %v; want %d after %v", status, took, row.status, row.took)
				}
			})
		})
	}
}

// answer sends one request through q to a handler that says 200.
func answer(t *testing.T, q *faultQueue) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	q.wrap(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(200) })).
		ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), http.MethodPost, "/", nil))
	return w
}
