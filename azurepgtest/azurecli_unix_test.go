//go:build unix

package azurepgtest_test

import (
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/azurepg/azurepg/azurepgtest"
)

// Calls that have not been answered yet when the Server closes used to wait for ever.
func TestCloseLeavesNoCallOfAzureCLI(t *testing.T) {
	t.Parallel()
	for range 5 {
		s, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
		if err != nil {
			t.Fatal(err)
		}
		az := s.AzureCLI(s.AddUser("alice@contoso.com"))
		const calls = 10
		ended := make(chan error, calls)
		for range calls {
			cmd := exec.CommandContext(t.Context(), filepath.Join(az.Dir, "az"), "account", "show")
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			go func() { ended <- cmd.Wait() }()
		}
		within(t, 10*time.Second, "first call", func() bool { return az.Calls() > 0 })
		if err := s.Close(); err != nil {
			t.Error(err)
		}
		late := time.After(10 * time.Second)
		for range calls {
			select {
			case <-ended: // answered or turned away
			case <-late:
				t.Fatal("az still waits for an answer")
			}
		}
	}
}

// Programs that others start have been given what was open for writing, until they ran.
func TestAzureCLIRunsAtOnceThoughOthersStartPrograms(t *testing.T) {
	t.Parallel()
	s := withoutPostgres(t)
	user := s.AddUser("alice@contoso.com")
	done := make(chan struct{})
	var others sync.WaitGroup
	for range 4 {
		others.Go(func() {
			for {
				select {
				case <-done:
					return
				default:
					_ = exec.Command("/bin/true").Run()
				}
			}
		})
	}
	for range 100 {
		if err := exec.Command(filepath.Join(s.AzureCLI(user).Dir, "az"), "account", "show").Run(); err != nil {
			t.Error(err)
			break
		}
	}
	close(done)
	others.Wait()
}

func TestAzureCLIWorksInADirectoryOfOddCharacters(t *testing.T) {
	t.Setenv("TMPDIR", shortDir(t, `azpg 'a" $b;%c\n`))
	az := withoutPostgres(t)
	out, err := exec.Command(filepath.Join(az.AzureCLI(az.AddUser("alice@contoso.com")).Dir, "az"), "account", "show").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "alice@contoso.com") {
		t.Errorf("got %v, %s; want the account", err, out)
	}
}
