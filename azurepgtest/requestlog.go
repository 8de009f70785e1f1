package azurepgtest

import (
	"net/http"
	"sync"
	"time"
)

// A Request is one HTTP request that a fake received. It holds no secrets.
type Request struct {
	Time     time.Time // by the test's clock, whatever SetClock says
	Method   string
	Path     string
	Grant    string // grant_type, for Entra's token endpoint
	ClientID string // as the client named itself; for managed identities any id it gave, "" for none
	Status   int    // of the answer; 0 while there is none, and if the connection was cut instead
	token    bool   // whether it asked for a token
}

// A requestLog remembers requests from their arrival on, so that a request that hangs
// is counted too.
type requestLog struct {
	mu       sync.Mutex // guards requests
	requests []Request
}

// wrap returns a handler that logs and calls next. It parses the form first: net/http
// notices that a client hung up only once the body has been read.
func (l *requestLog) wrap(next http.Handler, isToken func(*http.Request) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
		if err := r.ParseForm(); err != nil {
			http.Error(w, "bad form", http.StatusBadRequest)
			return
		}
		i := l.add(Request{
			Time: time.Now(), Method: r.Method, Path: r.URL.Path,
			Grant: r.PostForm.Get("grant_type"), ClientID: identityIn(r.Form), token: isToken(r),
		})
		next.ServeHTTP(&statusWriter{w, func(status int) { l.setStatus(i, status) }}, r)
	})
}

func (l *requestLog) add(r Request) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests = append(l.requests, r)
	return len(l.requests) - 1
}

func (l *requestLog) setStatus(i, status int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.requests[i].Status = status
}

func (l *requestLog) all() []Request {
	l.mu.Lock()
	defer l.mu.Unlock()
	return append([]Request(nil), l.requests...)
}

func (l *requestLog) tokenRequests() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	n := 0
	for _, r := range l.requests {
		if r.token {
			n++
		}
	}
	return n
}

// A statusWriter tells the status before it is written, so that whoever has the answer
// finds it in the log.
type statusWriter struct {
	http.ResponseWriter
	tell func(int)
}

func (w *statusWriter) WriteHeader(status int) {
	w.tell(status)
	w.ResponseWriter.WriteHeader(status)
}

// Unwrap lets http.ResponseController hijack the connection.
func (w *statusWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }
