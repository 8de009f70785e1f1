// Package passfile keeps a password file of libpq fresh, with Entra tokens for passwords.
// libpq reads the file for each connection, so programs that log in through it need no
// change, and none notices when a token is replaced.
package passfile

import (
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"

	"github.com/azurepg/azurepg"
)

const (
	// longestPause is between two looks at a token that is not near its end. The first
	// look after its time for renewal starts a fetch in the background, and the next one
	// writes what that brought: a minute of the five that azure_refresh_ahead leaves. Near
	// its end, or where all of its life is short, a look is due when an eighth of what is
	// left has passed. A look that finds nothing to do costs less than the timer.
	longestPause  = 30 * time.Second
	shortestPause = 250 * time.Millisecond
	// lookTimeout is how long a look waits for the fetch of a token that has ended, which
	// goes on behind it: the tokens of other identities are to be written meanwhile.
	lookTimeout = 5 * time.Second
	// failurePause follows a look that found no valid token, or a file that could not be
	// written. It doubles with each failure in a row, up to longestPause.
	failurePause = time.Second
)

// A Passfile is one file and the DSNs whose tokens stand in it. It is not safe for
// concurrent use.
type Passfile struct {
	path    string
	sources []*source
	log     *slog.Logger

	content  [sha256.Size]byte // hash of what was written last
	written  os.FileInfo       // of it; nil: nothing yet
	failures int               // to write, in a row
}

// New checks the configurations and whether there may be a passfile at path. It dials
// nothing and fetches nothing. The file will have a line for each host of each
// configuration, in that order; libpq takes the first one that fits.
func New(path string, configs []*azurepg.Config, logger *slog.Logger) (*Passfile, error) {
	p := &Passfile{path: path, log: logger}
	for i, cfg := range configs {
		s, err := newSource(cfg, logger)
		if err != nil {
			return nil, Numbered(i, len(configs), err)
		}
		p.sources = append(p.sources, s)
	}
	if _, err := render(p.sources); err != nil {
		return nil, err
	}
	return p, checkPlace(path)
}

// Numbered says which of several DSNs err is about.
func Numbered(i, of int, err error) error {
	if of == 1 {
		return err
	}
	return fmt.Errorf("DSN %d: %w", i+1, err)
}

// Write waits for a token for each DSN and writes the file. On any error a file from
// before stays as it is: its tokens may still be good.
func (p *Passfile) Write(ctx context.Context) error {
	if err := p.look(ctx); err != nil {
		return err
	}
	return p.write()
}

// Keep renews the file until ctx ends, whatever goes wrong meanwhile: as long as there is
// no newer token, or the file cannot be written, the old one stays. Failures are logged.
func (p *Passfile) Keep(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-time.After(p.pause(time.Now())):
		}
		looking, done := context.WithTimeout(ctx, lookTimeout)
		_ = p.look(looking) // the token cache logs it
		done()
		if err := p.write(); err != nil {
			p.failures++
			p.log.Error("azurepg: passfile not written, what is there stays", "file", p.path, "error", err.Error())
		}
	}
}

// Remove removes the file, unless another process has put its own in its place.
func (p *Passfile) Remove() error {
	if p.written == nil {
		return nil
	}
	if err := remove(p.path, p.written); err != nil {
		return err
	}
	p.log.Info("azurepg: passfile removed", "file", p.path)
	return nil
}

// look asks every source for its token, all at once. It returns the first source's error.
func (p *Passfile) look(ctx context.Context) error {
	errs := make([]error, len(p.sources))
	var wg sync.WaitGroup
	for i, s := range p.sources {
		wg.Go(func() { errs[i] = s.look(ctx) })
	}
	wg.Wait()
	for i, err := range errs {
		if err != nil {
			return Numbered(i, len(errs), err)
		}
	}
	return nil
}

// write writes the file if it is to hold something else than it does, or is gone: what is
// old below /tmp gets cleaned away.
func (p *Passfile) write() error {
	content, err := render(p.sources)
	if err != nil {
		return err
	}
	if sum := sha256.Sum256([]byte(content)); sum != p.content || isGone(p.path) {
		if err := checkPlace(p.path); err != nil {
			return err
		}
		written, err := replace(p.path, content)
		if err != nil {
			return err
		}
		p.content, p.written = sum, written
		p.log.Info("azurepg: passfile written", "file", p.path, "expires", p.expires())
	}
	p.failures = 0
	return nil
}

// expires is when the first of the tokens ends.
func (p *Passfile) expires() time.Time {
	first := p.sources[0].token.ExpiresOn
	for _, s := range p.sources[1:] {
		if s.token.ExpiresOn.Before(first) {
			first = s.token.ExpiresOn
		}
	}
	return first
}

// pause is how long to wait before the next look.
func (p *Passfile) pause(now time.Time) time.Duration {
	wait := longestPause
	if p.failures > 0 {
		wait = afterFailures(p.failures)
	}
	for _, s := range p.sources {
		wait = min(wait, s.pause(now))
	}
	return wait
}

func afterFailures(n int) time.Duration {
	return min(failurePause<<min(n-1, 10), longestPause)
}
