package child

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
)

const toBeKilled = "CHILD_TEST_TO_BE_KILLED"

func noLeaks(string) []string { return nil }

// As at the time limit of go test, which runs no Cleanup.
func TestProcessEndsWithAKilledTest(t *testing.T) {
	if os.Getenv(toBeKilled) != "" {
		p := Start(t, noLeaks, exec.Command("sleep", "600"))
		fmt.Println("pid", p.PID())
		p.Succeeds()
		return
	}
	cmd := exec.Command(os.Args[0], "-test.run", "^"+t.Name()+"$")
	cmd.Env = append(os.Environ(), toBeKilled+"=1")
	test := Start(t, noLeaks, cmd)
	pid, printed := strings.CutPrefix(test.Line(), "pid ")
	if !printed {
		t.Fatalf("it printed %s", test)
	}
	test.Signal(os.Kill)
	if status := test.Status(); status != -1 {
		t.Errorf("the killed test ended with %d", status)
	}
	Until(t, "the end of process "+pid, func() bool {
		status, err := os.ReadFile("/proc/" + pid + "/status")
		return err != nil || strings.Contains(string(status), "State:\tZ")
	})
}

func TestEveryLineComesInOrderAndStandardErrorIsKept(t *testing.T) {
	p := Start(t, noLeaks, exec.Command("/bin/sh", "-c", `echo complaint >&2; while read -r line; do echo "heard $line"; done; printf 'no end'; exit 3`))
	for i := range 100 {
		p.Say(fmt.Sprint(i))
	}
	for i := range 100 {
		if got, want := p.Line(), fmt.Sprintf("heard %d", i); got != want {
			t.Fatalf("got %q; want %q", got, want)
		}
	}
	if status := p.Status(); status != 3 || p.Printed("complaint") != 1 || p.Printed("no end") != 1 {
		t.Errorf("status %d, it printed\n%s", status, p)
	}
}
