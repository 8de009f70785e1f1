// Package testroute lets azurepgtest answer the token requests of identities
// that it invented itself.
//
// A token request goes to the authority over HTTPS, whose certificate a test
// cannot have. So azurepgtest registers a transport here under the random
// tenant and client ids of its identities, and the credential built for such
// an id uses it. Nothing else registers anything, and being internal nothing
// outside this module can: in a program without azurepgtest the table is empty
// and every request takes azidentity's own way.
package testroute

import (
	"net/http"
	"strings"
	"sync"
)

// Transport sends a token request; azcore calls it policy.Transporter.
type Transport interface {
	Do(*http.Request) (*http.Response, error)
}

var routes sync.Map // tenant, client, object or resource id in lower case → Transport

// Add sends the token requests of the identity or tenant id through t.
func Add(id string, t Transport) { routes.Store(strings.ToLower(id), t) }

// Remove undoes Add.
func Remove(id string) { routes.Delete(strings.ToLower(id)) }

// Lookup returns the transport of the first of ids that has one, else nil.
func Lookup(ids ...string) Transport {
	for _, id := range ids {
		if id == "" {
			continue
		}
		if t, ok := routes.Load(strings.ToLower(id)); ok {
			return t.(Transport)
		}
	}
	return nil
}
