package azurepgtest

import (
	"context"
	"fmt"
	"net/http"
	"sync/atomic"
	"time"
)

// A clock tells all parts of a Server the time, which may be ahead of the machine's.
type clock struct{ ahead atomic.Int64 } // nanoseconds

func (c *clock) now() time.Time { return time.Now().Add(time.Duration(c.ahead.Load())) }

// wrap returns a handler whose answers carry the clock's time.
func (c *clock) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		serveAhead(w, r, time.Duration(c.ahead.Load()), next)
	})
}

// aheadKey is for a request's context: by how much the clock that stamps its answer is
// ahead of the machine's.
type aheadKey struct{}

// serveAhead lets next answer r by a clock that is ahead of the machine's.
func serveAhead(w http.ResponseWriter, r *http.Request, ahead time.Duration, next http.Handler) {
	r = r.WithContext(context.WithValue(r.Context(), aheadKey{}, ahead))
	w.Header().Set("Date", stampTime(r).UTC().Format(http.TimeFormat)) // net/http leaves it then
	next.ServeHTTP(w, r)
}

func aheadOf(r *http.Request) time.Duration {
	ahead, _ := r.Context().Value(aheadKey{}).(time.Duration)
	return ahead
}

// stampTime is the present by the clock that stamps the answer to r.
func stampTime(r *http.Request) time.Time { return time.Now().Add(aheadOf(r)) }

// ClockSkew answers as if the clock of the one who issues the token were ahead by d, or
// behind by a negative d: it stamps the token (iat, nbf, exp), expires_on, not_before,
// the Date header and errors. Expires_in, which is relative, and whether a client's own
// assertion is in time, stay as they were. PostgreSQL has a clock of its own: as tokens
// begin five minutes before their issue and last an hour, one from a clock ten minutes
// ahead is not valid yet and one from seventy behind has expired.
func ClockSkew(d time.Duration) Fault {
	return Fault{serve: func(w http.ResponseWriter, r *http.Request, next http.Handler) {
		serveAhead(w, r, aheadOf(r)+d, next)
	}}
}

// SetClock sets the clock of the whole Server: it is ahead of the test's by that much
// from now on, or behind by a negative one; 0 is the default. To a program under test
// this is the same as a clock of its own machine that is wrong. Entra, the managed
// identity endpoint and PostgreSQL's check of tokens go by it, as does the cluster that
// writes federated tokens, all of which are renewed. Not so: SQL's now(), the validity of
// TLS certificates, how long a [Fault] lasts, [Request.Time], and what az, which runs on
// the program's machine, says of a token's end. SetClock ends the test, or panics if s is
// from New, if a token cannot be written.
func (s *Server) SetClock(ahead time.Duration) {
	if s.tb != nil {
		s.tb.Helper()
	}
	s.adding.Lock()
	s.Entra.clock.ahead.Store(int64(ahead))
	err := s.renewFederatedTokens()
	s.adding.Unlock()
	if err != nil {
		s.fail(fmt.Errorf("azurepgtest: SetClock: %w", err))
	}
}

func (s *Server) renewFederatedTokens() error {
	for _, a := range s.directory.all() {
		if a.FederatedTokenFile == "" {
			continue
		}
		if err := a.writeFederatedToken(s.Entra.clock.now()); err != nil {
			return err
		}
	}
	return nil
}
