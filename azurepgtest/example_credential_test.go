package azurepgtest_test

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// What a program does while Entra throttles, and how often it asks.
func ExampleCredential() {
	cred := azurepgtest.NewCredential("alice@contoso.com")
	cred.Fault(azurepgtest.Status(429, 30*time.Second).Times(1))
	tokens := azurepg.NewTokenCache(cred, nil)

	_, err := tokens.Token(context.Background())
	var te *azurepg.TokenError
	if errors.As(err, &te) {
		fmt.Println(te.StatusCode, te.RetryAfter, te.Temporary)
	}
	fmt.Println(cred.TokenRequests(), cred.Requests()[0].Scopes)
	// Output:
	// 429 30s true
	// 1 [https://ossrdbms-aad.database.windows.net/.default]
}
