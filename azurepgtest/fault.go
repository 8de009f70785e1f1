package azurepgtest

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"math"
	"net"
	"net/http"
	"strconv"
	"time"
)

// A Fault is a way for token requests to go wrong: those of [Entra], of a
// [ManagedIdentityEndpoint] and of a [Credential]. It goes on until ClearFaults,
// unless Times or For end it. The zero Fault is none.
//
//	azure.Entra.Fault(azurepgtest.Hang)
//	azure.Entra.Fault(azurepgtest.Status(429, 2*time.Second).Times(3))
//	azure.Entra.Fault(azurepgtest.Reset.After(time.Second).For(time.Minute))
type Fault struct {
	serve func(w http.ResponseWriter, r *http.Request, next http.Handler) // nil is next, the answer without the fault
	after time.Duration                                                   // before serve
	times int                                                             // requests it meets; 0 is all
	lasts time.Duration                                                   // 0 is without end
}

// Faults of the network and of what stands in it.
var (
	// Hang lets the client wait until it gives up or the fault ends.
	Hang = Fault{after: math.MaxInt64}

	// Reset cuts the connection with a TCP reset.
	Reset = Fault{serve: serveReset}

	// Garbage answers 200 with a page of HTML, as captive portals do.
	Garbage = Fault{serve: serveGarbage}

	// TruncatedJSON answers 200 with the first two thirds of the true answer, most of
	// a token with it.
	TruncatedJSON = Fault{serve: serveTruncated}

	// Echo answers 400 with the request in the body, secrets and all, as the error
	// pages of some proxies do.
	Echo = Fault{serve: serveEcho}
)

// Refusals of Entra that somebody has to do something about. AADSTS gives others.
var (
	SecretExpired   = AADSTS(7000222)
	AppUnknown      = AADSTS(700016)
	TenantUnknown   = AADSTS(90002)
	MFARequired     = AADSTS(mfaRequired)
	SubjectMismatch = AADSTS(700213) // of a federated token
)

// Delay answers after d.
func Delay(d time.Duration) Fault { return Fault{}.After(d) }

// Status answers with an HTTP status and, unless retryAfter is 0, a Retry-After header
// in whole seconds. The body is what the endpoint says at such times: Entra, App Service
// and IMDS have each its own.
//
// Azidentity tries again at 408, 429 and 5xx, for some 6 s; who waits for less gets the
// error of its own context until then.
func Status(code int, retryAfter time.Duration) Fault {
	return Fault{serve: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		if retryAfter > 0 {
			w.Header().Set("Retry-After", strconv.Itoa(int((retryAfter+time.Second-1)/time.Second)))
		}
		writeStatus(w, r, code)
	}}
}

// AADSTS answers with the Entra error of that number, for instance 7000215; in the
// words of Entra if they are known here. The endpoint of managed identities passes it on.
func AADSTS(code int) Fault {
	return Fault{serve: func(w http.ResponseWriter, r *http.Request, _ http.Handler) {
		aadsts(code).passOn(w, r)
	}}
}

// Times returns the fault for the next n requests; 0 is all.
func (f Fault) Times(n int) Fault {
	f.times = n
	return f
}

// For returns the fault for requests in the next d, from when its turn has come; those
// that wait then are answered. 0 is without end.
func (f Fault) For(d time.Duration) Fault {
	f.lasts = d
	return f
}

// After returns the fault that lets each client wait for d before it strikes, in addition
// to what it waits already: a Hang stays one. The fault itself begins at once; for one
// that begins later call Fault later.
func (f Fault) After(d time.Duration) Fault {
	f.after += min(d, math.MaxInt64-f.after)
	return f
}

// strike serves r with the fault. Once ended is closed, or at the time ends unless that
// is zero, a request that waits is answered without it.
func (f Fault) strike(w http.ResponseWriter, r *http.Request, ends time.Time, ended <-chan struct{}, next http.Handler) {
	wait, cut := f.after, false
	if left := time.Until(ends); !ends.IsZero() && left < wait {
		wait, cut = left, true
	}
	if wait > 0 {
		switch over := hold(r.Context(), wait, ended); {
		case over == gone:
			return
		case over == released:
			cut = true
		}
	}
	if cut || f.serve == nil {
		next.ServeHTTP(w, r)
		return
	}
	f.serve(w, r, next)
}

// How a wait ends.
type over int

const (
	passed over = iota
	released
	gone // the client
)

func hold(ctx context.Context, d time.Duration, ended <-chan struct{}) over {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return gone
	case <-ended:
		return released
	case <-timer.C:
		return passed
	}
}

func serveReset(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	conn, _, err := http.NewResponseController(w).Hijack()
	if err != nil {
		panic(http.ErrAbortHandler)
	}
	reset(conn)
}

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

func serveGarbage(w http.ResponseWriter, _ *http.Request, _ http.Handler) {
	w.Header().Set("Content-Type", "text/html")
	w.WriteHeader(http.StatusOK)
	io.WriteString(w, "<!DOCTYPE html><html><body>Sign in to the hotel's network</body></html>")
}

func serveTruncated(w http.ResponseWriter, r *http.Request, next http.Handler) {
	answer := &heldWriter{header: w.Header()}
	next.ServeHTTP(answer, r)
	w.Header().Del("Content-Length")
	w.WriteHeader(http.StatusOK)
	w.Write(answer.body.Bytes()[:answer.body.Len()*2/3])
}

func serveEcho(w http.ResponseWriter, r *http.Request, _ http.Handler) {
	writeJSON(w, http.StatusBadRequest, map[string]any{
		"error": r.Form.Encode(), "error_description": "AADSTS900144: " + r.Form.Encode(), "headers": r.Header})
}

// A heldWriter holds an answer back.
type heldWriter struct {
	header http.Header
	body   bytes.Buffer
}

func (w *heldWriter) Header() http.Header         { return w.header }
func (w *heldWriter) WriteHeader(int)             {}
func (w *heldWriter) Write(b []byte) (int, error) { return w.body.Write(b) }
