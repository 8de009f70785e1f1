package azurepgtest

import (
	"net/http"
	"sync"
	"time"
)

// A faultQueue holds the faults to come of one endpoint, of which the first is in
// force. The zero value is empty.
type faultQueue struct {
	mu    sync.Mutex // guards all below
	queue []queuedFault
	ended chan struct{} // closed by clear, then replaced; nil while nobody waited
}

type queuedFault struct {
	Fault
	begun time.Time // when its turn came; zero before
	met   int       // requests so far
}

// ends returns when the fault ends, zero for never.
func (q *queuedFault) ends() time.Time {
	if q.lasts == 0 {
		return time.Time{}
	}
	return q.begun.Add(q.lasts)
}

func (q *faultQueue) add(fault Fault) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = append(q.queue, queuedFault{Fault: fault})
	if len(q.queue) == 1 {
		q.queue[0].begun = time.Now()
	}
}

func (q *faultQueue) clear() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.queue = nil
	if q.ended != nil {
		close(q.ended)
		q.ended = nil
	}
}

// take returns the fault that the next request meets, when it ends, and the channel
// that is closed if it is cleared.
func (q *faultQueue) take() (_ Fault, ends time.Time, ended <-chan struct{}) {
	q.mu.Lock()
	defer q.mu.Unlock()
	now := time.Now()
	for len(q.queue) > 0 && q.queue[0].lasts > 0 && !now.Before(q.queue[0].ends()) {
		q.pop(q.queue[0].ends())
	}
	if len(q.queue) == 0 {
		return Fault{}, time.Time{}, nil
	}
	if q.ended == nil {
		q.ended = make(chan struct{})
	}
	first := &q.queue[0]
	fault, ends := first.Fault, first.ends()
	if first.met++; first.met == first.times {
		q.pop(now)
	}
	return fault, ends, q.ended
}

// pop ends the first fault; the turn of the next one comes at that time.
func (q *faultQueue) pop(at time.Time) {
	q.queue = q.queue[1:]
	if len(q.queue) > 0 {
		q.queue[0].begun = at
	}
}

// wrap returns a handler for a token endpoint that fails when it is told to.
func (q *faultQueue) wrap(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fault, ends, ended := q.take()
		fault.strike(w, r, ends, ended, next)
	})
}
