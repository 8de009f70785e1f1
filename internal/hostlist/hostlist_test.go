package hostlist

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
)

type serverError struct{ code, words string }

func (e *serverError) Error() string    { return e.words }
func (e *serverError) SQLState() string { return e.code }

type ownError struct{}

func (ownError) Error() string     { return "own" }
func (ownError) NoOtherHost() bool { return true }

// After a refusal no other host gets the token, whatever code it comes with.
func TestNoOtherHostIsAskedAfterARefusal(t *testing.T) {
	for _, row := range []struct {
		name string
		err  error
		goes bool
	}{
		{"refused", &serverError{"28P01", "password authentication failed"}, false},
		{"refused, deeper", fmt.Errorf("around: %w", &serverError{"28000", "no pg_hba.conf entry"}), false},
		{"refused by PgBouncer", &serverError{"08P01", "FATAL: password authentication failed"}, false},
		{"PgBouncer cannot read it", &serverError{"08P01", "client sent partial pkt in startup phase"}, true},
		{"no such database", &serverError{"3D000", ""}, false},
		{"a closed database", &serverError{"42501", ""}, false},
		{"starting", &serverError{"57P03", ""}, true},
		{"not reached", errors.New("connection refused"), true},
		{"an error that says so", fmt.Errorf("around: %w", ownError{}), false},
		{"another session", fmt.Errorf("read-only, %w", errOtherSession), true},
	} {
		var asked []int
		conn, failed := Open(t.Context(), []string{"a:1", "b:2"}, anySession, func(i int, _ string) (string, bool, error) {
			asked = append(asked, i)
			if i == 1 {
				return "in", true, nil
			}
			return "", true, row.err
		})
		if goes := len(asked) == 2; goes != row.goes || (conn == "in") != row.goes || (failed == nil) != row.goes {
			t.Errorf("%s: hosts %v were asked, %q, %v; want the second to be: %v", row.name, asked, conn, failed, row.goes)
		}
		if failed != nil && (!errors.Is(failed, row.err) || !failed.PasswordSent()) {
			t.Errorf("%s: got %v", row.name, failed)
		}
	}
}

func TestNobodyIsAskedOnceTheContextHasEnded(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	asked := 0
	_, failed := Open(ctx, []string{"a:1", "b:2"}, anySession, func(int, string) (string, bool, error) {
		asked++
		cancel()
		return "", false, context.Canceled
	})
	if asked != 1 || failed == nil || failed.PasswordSent() {
		t.Errorf("%d hosts asked, %v", asked, failed)
	}
}

func TestAPrimaryServesWhereAStandbyIsPreferred(t *testing.T) {
	var asked []string
	conn, failed := Open(t.Context(), []string{"down:1", "primary:2"}, preferStandby, func(i int, session string) (string, bool, error) {
		asked = append(asked, fmt.Sprint(i, session))
		if i == 0 {
			return "", false, errors.New("connection refused")
		}
		err := CheckSession(session, func(string) (string, error) { return "false", nil })
		return "in", true, err
	})
	if want := []string{"0prefer-standby", "1prefer-standby", "1any"}; conn != "in" || failed != nil || !slices.Equal(asked, want) {
		t.Errorf("asked %q, %q, %v; want %q", asked, conn, failed, want)
	}
}

func TestErrorIsOneLineOfAllHosts(t *testing.T) {
	_, failed := Open(t.Context(), []string{"a:1", "b:2"}, anySession, func(i int, _ string) (string, bool, error) {
		return "", false, fmt.Errorf("azurepg: two\nlines %d %s", i, strings.Repeat("x", 300*i))
	})
	if got := failed.Error(); !strings.HasPrefix(got, "a:1: two?lines 0 ; b:2: two?lines 1 xxx") || len(got) > 1003 {
		t.Errorf("got %s", got)
	}
}
