// Package hostlist tries the hosts of a Config in order, for bases that log in at one of
// them at a time: which session is the right one, after which error no other host may
// be asked, and what is said if none would do.
package hostlist

import (
	"context"
	"errors"
)

// Open returns what try returns for the first host, by its place in addresses, whose
// session is as session (target_session_attrs) wants; with prefer-standby, if none is, for
// the first that let us in. Try also says whether the token has been sent.
func Open[C any](ctx context.Context, addresses []string, session string, try func(i int, session string) (conn C, sent bool, err error)) (C, *Failed) {
	failed := new(Failed)
	all := make([]int, len(addresses))
	for i := range all {
		all[i] = i
	}
	conn, others, found := tryAll(ctx, addresses, all, session, failed, try)
	if !found && session == preferStandby && !failed.final() {
		conn, _, found = tryAll(ctx, addresses, others, anySession, failed, try)
	}
	if !found {
		return conn, failed
	}
	return conn, nil
}

// tryAll tries those of addresses. It also returns the ones whose session was not as
// wanted, and adds to failed why each one is not it.
func tryAll[C any](ctx context.Context, addresses []string, which []int, session string, failed *Failed,
	try func(int, string) (C, bool, error)) (none C, others []int, found bool) {
	for _, i := range which {
		conn, sent, err := try(i, session)
		if err == nil {
			return conn, nil, true
		}
		failed.add(addresses[i], sent, err)
		if ctx.Err() != nil || failed.final() {
			break
		}
		if errors.Is(err, errOtherSession) {
			others = append(others, i)
		}
	}
	return none, others, false
}
