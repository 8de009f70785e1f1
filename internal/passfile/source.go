package passfile

import (
	"context"
	"log/slog"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"github.com/azurepg/azurepg"
)

// A source is one DSN and its token.
type source struct {
	hosts     []azurepg.Host
	database  string
	user      string // empty: nobody has said yet
	tokens    *azurepg.TokenCache
	connector *azurepg.Connector // knows the user's name

	token    *azcore.AccessToken // the last that was to be had; behind a pointer, out of fmt's sight
	failures int                 // to have a valid one, in a row
}

func newSource(cfg *azurepg.Config, logger *slog.Logger) (*source, error) {
	cfg = cfg.Clone()
	cfg.Logger = slog.New(warnings{logger.Handler()}) // the passfile has a line of its own for each renewal
	tokens, err := cfg.TokenCache()
	if err != nil {
		return nil, err
	}
	if cfg.Credential != nil { // each call of TokenCache makes another one for it
		cfg.Credential, cfg.Tokens = nil, tokens
	}
	connector, err := azurepg.NewConnector(cfg)
	if err != nil {
		return nil, err
	}
	return &source{
		hosts: cfg.Hosts, database: cfg.Database, user: cfg.User,
		tokens: tokens, connector: connector, token: new(azcore.AccessToken),
	}, nil
}

// look takes the present token. On an error s keeps the one that it has.
func (s *source) look(ctx context.Context) error {
	token, err := s.tokens.Token(ctx)
	if err == nil && s.user == "" {
		var login azurepg.Login
		login, err = s.connector.Login(ctx)
		s.user = login.User
	}
	if err != nil {
		s.failures++
		return err
	}
	s.token, s.failures = &token, 0
	return nil
}

// pause is how long to wait before the next look.
func (s *source) pause(now time.Time) time.Duration {
	if s.failures > 0 {
		return afterFailures(s.failures)
	}
	left := s.token.ExpiresOn.Sub(now.Round(0)) // by the wall clock, which goes on while a laptop sleeps
	return min(max(left/8, shortestPause), longestPause)
}

// warnings passes on what is worth a warning.
type warnings struct{ slog.Handler }

func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}
