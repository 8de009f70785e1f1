package azurepgtest

import (
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"strconv"
	"sync"
	"time"
)

// A Fault is a way for a token request to go wrong. The zero Fault is none.
type Fault struct {
	// serve answers r; next is the answer without the fault. Once released is closed,
	// waiting has to end.
	serve func(w http.ResponseWriter, r *http.Request, released <-chan struct{}, next http.Handler)
}

// Hang lets the client wait until it gives up or the fault is cleared.
func Hang() Fault {
	return Fault{func(w http.ResponseWriter, r *http.Request, released <-chan struct{}, next http.Handler) {
		select {
		case <-r.Context().Done():
		case <-released:
			next.ServeHTTP(w, r)
		}
	}}
}

// Delay answers after d.
func Delay(d time.Duration) Fault {
	return Fault{func(w http.ResponseWriter, r *http.Request, released <-chan struct{}, next http.Handler) {
		timer := time.NewTimer(d)
		defer timer.Stop()
		select {
		case <-r.Context().Done():
			return
		case <-timer.C:
		case <-released:
		}
		next.ServeHTTP(w, r)
	}}
}

// Status answers with an HTTP status and, unless retryAfter is 0, a Retry-After header
// in whole seconds. The body is Entra's for a passing fault.
func Status(code int, retryAfter time.Duration) Fault {
	return Fault{func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}, _ http.Handler) {
		if retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((retryAfter+time.Second-1)/time.Second)))
		}
		e := aadsts(90033)
		e.status = code
		e.write(w, r)
	}}
}

// AADSTS answers with the Entra error of that number, for instance 700016; in the
// words of Entra if they are known here.
func AADSTS(code int) Fault {
	return Fault{func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}, _ http.Handler) {
		aadsts(code).write(w, r)
	}}
}

// Reset cuts the connection with a TCP reset.
func Reset() Fault {
	return Fault{func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}, _ http.Handler) {
		conn, _, err := http.NewResponseController(w).Hijack()
		if err != nil {
			panic(http.ErrAbortHandler)
		}
		reset(conn)
	}}
}

// Garbage answers 200 with a page of HTML, as captive portals do.
func Garbage() Fault {
	return Fault{func(w http.ResponseWriter, _ *http.Request, _ <-chan struct{}, _ http.Handler) {
		w.Header().Set("Content-Type", "text/html")
		w.WriteHeader(http.StatusOK)
		io.WriteString(w, "<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>")
	}}
}

// TruncatedJSON answers 200 with the first two thirds of the true answer, most of a
// token with it.
func TruncatedJSON() Fault {
	return Fault{func(w http.ResponseWriter, r *http.Request, _ <-chan struct{}, next http.Handler) {
		answer := &heldWriter{header: w.Header()}
		next.ServeHTTP(answer, r)
		w.Header().Del("Content-Length")
		w.WriteHeader(http.StatusOK)
		w.Write(answer.body.Bytes()[:answer.body.Len()*2/3])
	}}
}

// A heldWriter holds an answer back.
type heldWriter struct {
	header http.Header
	body   bytes.Buffer
}

func (w *heldWriter) Header() http.Header         { return w.header }
func (w *heldWriter) WriteHeader(int)             {}
func (w *heldWriter) Write(b []byte) (int, error) { return w.body.Write(b) }

// reset closes conn so that the peer sees "connection reset".
func reset(conn net.Conn) {
	raw := conn
	if t, ok := conn.(*tls.Conn); ok {
		raw = t.NetConn()
	}
	if t, ok := raw.(*net.TCPConn); ok {
		t.SetLinger(0)
	}
	raw.Close()
}

// faults holds the faults to come of one endpoint.
type faults struct {
	mu       sync.Mutex // guards all below
	queue    []queuedFault
	released chan struct{} // closed by clear, then replaced
}

type queuedFault struct {
	Fault
	times int // left; negative is without end
}

func newFaults() *faults { return &faults{released: make(chan struct{})} }

func (f *faults) add(fault Fault, times int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if times == 0 {
		times = -1
	}
	f.queue = append(f.queue, queuedFault{fault, times})
}

func (f *faults) clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.queue = nil
	close(f.released)
	f.released = make(chan struct{})
}

// take returns the fault of the next request and the channel that ends its waiting.
func (f *faults) take() (Fault, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.queue) == 0 {
		return Fault{}, f.released
	}
	first := &f.queue[0]
	fault := first.Fault
	if first.times > 0 {
		if first.times--; first.times == 0 {
			f.queue = f.queue[1:]
		}
	}
	return fault, f.released
}

// wrap returns a handler for a token endpoint that fails when it is told to.
func (f *faults) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault, released := f.take()
		if fault.serve == nil {
			next.ServeHTTP(w, r)
			return
		}
		fault.serve(w, r, released, next)
	})
}
