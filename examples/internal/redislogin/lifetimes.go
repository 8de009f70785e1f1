package redislogin

import (
	"context"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/azurepg/azurepg"
)

// Ahead is how long before its end a token is replaced, so that no connection begins with
// one that lasts less. Entra's live for 60 to 90 minutes.
const Ahead = 20 * time.Minute

// Lifetimes say how long what depends on a token may go on.
type Lifetimes struct {
	Token        time.Duration // lasts at least that long when a connection gets it
	Connection   time.Duration // in the pool; what it is doing then may go on
	Command      time.Duration // the longest time to block, in whole seconds
	Subscription time.Duration // on one connection
}

// LifetimesOf returns the Lifetimes for tokens that live that long. A token of 3,600 s is
// replaced when it has 1,200 s left: a connection lives for 300 s, the command that it then
// is in takes 60 s at most, and 840 s are left for all that goes slowly.
func LifetimesOf(token time.Duration) Lifetimes {
	least := min(Ahead, token/2) // at half-life, if they are shorter than twice that
	return Lifetimes{
		Token:        least,
		Connection:   least / 4,
		Command:      max(time.Second, min(time.Minute, least/4).Truncate(time.Second)),
		Subscription: least / 4,
	}
}

// patience is how long to wait for a token that is being replaced.
const patience = 2 * time.Second

// lasting returns a token that lasts at least that long. The cache returns one that is
// nearer to its end while it fetches another, which is right for a login that
// nothing depends on later; here it is worth waiting for. If there is none in time, a
// connection that will be cut is better than none.
func lasting(ctx context.Context, tokens *azurepg.TokenCache, least time.Duration) (azcore.AccessToken, error) {
	for end := time.Now().Add(patience); ; {
		token, err := tokens.Token(ctx)
		if err != nil || time.Until(token.ExpiresOn) >= least || time.Now().After(end) {
			return token, err
		}
		select {
		case <-ctx.Done():
			return token, ctx.Err()
		case <-time.After(10 * time.Millisecond):
		}
	}
}
