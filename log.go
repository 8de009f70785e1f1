package azurepg

import (
	"context"
	"log/slog"
	"time"
)

// What an operator reads. Every line that azurepg writes stands here, and the
// package documentation lists them under Logging.

// log tells of the fetch f, which brought fresh or err while old was the last token.
func (c *TokenCache) log(f *flight, fresh, old *cachedToken, err error) {
	l := c.logger.Load()
	if l == nil {
		return
	}
	now := time.Now()
	attrs := append(make([]slog.Attr, 0, 8), slog.String("credential", c.source.name), slog.String("scope", c.scope),
		slog.Int("attempt", f.attempt), slog.Bool("forced", f.forced), slog.Duration("took", now.Sub(f.started)))
	level, message := slog.LevelInfo, "azurepg: token fetched"
	switch {
	case err == nil:
		if f.renewed {
			message = "azurepg: token refreshed"
		}
		attrs = append(attrs, slog.Time("expires", fresh.token.ExpiresOn))
	case isFinal(err) && old != nil:
		level, message = slog.LevelDebug, "azurepg: the credential has no newer token yet"
		attrs = append(attrs, slog.Time("expires", old.token.ExpiresOn))
	case old.valid(now):
		level, message = slog.LevelWarn, "azurepg: token refresh failed, the old token stays in use"
		attrs = append(attrs, slog.Time("expires", old.token.ExpiresOn),
			slog.Duration("left", time.Duration(old.endsAt-now.UnixNano()).Round(time.Second)), slog.String("error", logText(err)))
	default:
		level, message = slog.LevelError, "azurepg: no token"
		attrs = append(attrs, slog.String("error", logText(err)))
	}
	l.LogAttrs(context.Background(), level, message, attrs...)
}

// try is one login, for the log.
type try struct {
	login   Login
	attempt int       // 1, or 2 with the token that replaced a refused one
	began   time.Time // the login, or the wait for another token
}

// log writes a line about t.
func (c *Connector) log(level slog.Level, message string, t try, more ...slog.Attr) {
	l := c.cfg.Logger
	if l == nil {
		return
	}
	attrs := append(make([]slog.Attr, 0, 9), slog.String("user", cutForeign(t.login.User)), slog.String("credential", c.tokens.source.name),
		slog.Int("attempt", t.attempt), slog.Duration("took", time.Since(t.began)), slog.Time("expires", t.login.ExpiresOn))
	l.LogAttrs(context.Background(), level, message, append(attrs, more...)...)
}

// logRefused tells of a refused login. The server's words and its code are foreign.
// The advice is there for pgxpool, which returns pgx's own error.
func (c *Connector) logRefused(t try, server sqlStateError, sent bool, advice string) {
	c.log(slog.LevelWarn, "azurepg: login refused", t, slog.String("sqlstate", cutForeign(server.SQLState())),
		slog.String("server", cutForeign(server.Error())), slog.Bool("token_sent", sent), slog.String("advice", advice))
}

// logRetry tells that there is a new token to log in with.
func (c *Connector) logRetry(t try) {
	c.log(slog.LevelInfo, "azurepg: logging in again with a new token", t)
}

// logNoRetry says why a refused login is not tried again.
func (c *Connector) logNoRetry(t try, why error) {
	c.log(slog.LevelWarn, "azurepg: not logging in again", t, slog.String("error", logText(why)))
}

// logUnverified warns of tokens that go to whoever answers.
func logUnverified(l *slog.Logger) {
	if l != nil {
		l.LogAttrs(context.Background(), slog.LevelWarn, "azurepg: sslmode=require: tokens go to a server that is not verified")
	}
}
