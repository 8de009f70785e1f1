package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
)

// lives says how long the tokens of one client live: the first that it is answered with,
// the second, and so on; the last is for all that follow. It is a policy of azidentity's
// HTTP pipeline, since one Entra has one lifetime for all and each client wants another
// to renew at the same time. It changes expires_in of the answers, nothing else.
type lives struct {
	of []time.Duration

	mu       sync.Mutex // guards what follows
	answers  int
	requests int
}

// asked is how many token requests there were, azidentity's own second tries among them.
func (l *lives) asked() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.requests
}

// answered is how many tokens there were in the answers.
func (l *lives) answered() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.answers
}

// Do passes the request on and changes the answer.
func (l *lives) Do(req *policy.Request) (*http.Response, error) {
	if !strings.HasSuffix(req.Raw().URL.Path, "/token") {
		return req.Next()
	}
	l.mu.Lock()
	l.requests++
	l.mu.Unlock()
	resp, err := req.Next()
	if err != nil || resp.StatusCode != http.StatusOK {
		return resp, err
	}
	var answer map[string]any
	err = json.NewDecoder(resp.Body).Decode(&answer)
	if err == nil {
		err = resp.Body.Close()
	}
	if err != nil {
		return nil, err
	}
	answer["expires_in"] = int(l.next().Seconds())
	body, err := json.Marshal(answer)
	if err != nil {
		return nil, err
	}
	resp.Body, resp.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	return resp, nil
}

func (l *lives) next() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	life := l.of[min(l.answers, len(l.of)-1)]
	l.answers++
	return life
}
