package azurepg

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// tokenSource calls one credential. It is kept behind a pointer, since it can
// hold secrets.
type tokenSource struct {
	name   string
	config *Config // to build the credential anew; nil: it came from code

	timeout time.Duration
	answer  atomic.Pointer[answer] // the last one to the fetch under way; nil: none yet
	ahead   atomic.Int64           // nanoseconds by which the service's clock is ahead; 0: it did not say

	mu         sync.Mutex // guards credential
	credential azcore.TokenCredential
}

// answer is what azidentity was told and did not take for an end: it tries
// again by itself, until time is up.
type answer struct {
	status     int // zero: there was none
	retryAfter time.Duration
	fault      string // of the network instead of an answer
}

// Do notes the answers that azidentity tries again after. It makes s a policy of
// the credential's HTTP pipeline, called for every try.
func (s *tokenSource) Do(req *policy.Request) (*http.Response, error) {
	s.answer.Store(nil)
	resp, err := req.Next()
	s.noteClock(resp)
	var (
		fault *net.OpError // "dial tcp …", without the URL
		cert  *tls.CertificateVerificationError
	)
	switch {
	case resp != nil && isForNow(resp.StatusCode):
		s.answer.Store(&answer{status: resp.StatusCode, retryAfter: retryAfter(resp.Header, time.Now())})
	case errors.As(err, &fault):
		s.answer.Store(&answer{fault: fault.Error()})
	case errors.As(err, &cert):
		s.answer.Store(&answer{fault: cert.Error()})
	}
	return resp, err
}

// noteClock compares the clock of the service with this machine's. Its Date is cut to a
// second.
func (s *tokenSource) noteClock(resp *http.Response) {
	if resp == nil {
		return
	}
	if date, err := http.ParseTime(resp.Header.Get("Date")); err == nil {
		s.ahead.Store(int64(time.Until(date.Add(time.Second / 2))))
	}
}

// timeoutError is for a fetch that took too long.
func (s *tokenSource) timeoutError() error {
	e := &TokenError{
		Credential: s.name, Temporary: true, cause: context.DeadlineExceeded,
		detail: fmt.Sprintf("no answer within %v (azure_token_timeout)", s.timeout),
	}
	text := e.detail
	switch a := s.answer.Load(); {
	case a == nil:
	case a.status != 0:
		e.StatusCode, e.RetryAfter = a.status, a.retryAfter
		e.detail = fmt.Sprintf("the service kept refusing for %v (azure_token_timeout)", s.timeout)
		text = e.detail
	default:
		text = a.fault
		e.detail += ": " + quoteForeign(a.fault)
	}
	e.Advice = credentialFaultOf(s.name, e.StatusCode, text).advice
	return e
}

// get fetches a token. With rebuild it makes a new credential first, which
// reads files and environment again and has an empty cache of its own.
func (s *tokenSource) get(ctx context.Context, scope string, rebuild bool) (token azcore.AccessToken, err error) {
	defer func() {
		if p := recover(); p != nil { // in a goroutine of ours nobody else could
			err = &TokenError{Credential: s.name, detail: "it panicked: " + s.scrub(fmt.Sprint(p))}
		}
	}()
	s.answer.Store(nil)
	credential, err := s.current(rebuild)
	if err != nil {
		return azcore.AccessToken{}, &TokenError{Credential: s.name, detail: strings.TrimPrefix(err.Error(), "azurepg: "), cause: err}
	}
	token, err = credential.GetToken(ctx, policy.TokenRequestOptions{Scopes: []string{scope}})
	if err != nil {
		return azcore.AccessToken{}, s.explain(ctx, err)
	}
	return token, nil
}

func (s *tokenSource) current(rebuild bool) (azcore.TokenCredential, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if rebuild && s.config != nil {
		c, err := newCredential(s.config, s)
		if err != nil {
			return nil, err
		}
		s.credential = c
	}
	if s.credential == nil {
		return nil, errors.New("azurepg: there is none: NewTokenCache was given nil")
	}
	return s.credential, nil
}
