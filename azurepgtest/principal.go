package azurepgtest

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
)

// Kind says what a Principal is.
type Kind string

// The kinds of principals.
const (
	ServicePrincipal       Kind = "service principal"
	User                   Kind = "user"
	UserAssignedIdentity   Kind = "user-assigned managed identity"
	SystemAssignedIdentity Kind = "system-assigned managed identity"
	Group                  Kind = "group"
)

// azureCLIClientID is the application that users of az sign in to, the same in every
// tenant.
const azureCLIClientID = "04b07795-8ddb-461a-bbee-02f9e1bf7b46"

// A Principal is an identity in the directory of a [Server]. All its values are
// invented and random, the names apart. It does not change; what can change, such as
// the secret that Entra takes, is changed by methods of [Entra] and [Server].
type Principal struct {
	Name     string // display name, resource name or user principal name: the PostgreSQL role
	Kind     Kind
	ObjectID string // what PostgreSQL roles are matched by
	ClientID string // also called application id; "" for users and groups
	TenantID string

	UPN        string // user principal name; users only
	ResourceID string // Azure resource; managed identities only

	Secret             string // client secret; service principals only
	CertificateFile    string // PEM of certificate and key; service principals only
	FederatedTokenFile string // Kubernetes service account token; service principals and user-assigned identities
}

// isApp reports whether tokens of p are application tokens.
func (p *Principal) isApp() bool { return p.Kind != User && p.Kind != Group }

// hasID reports whether id is one of p's ids, which are compared as Azure does,
// without regard to case.
func (p *Principal) hasID(id string) bool {
	return id != "" && (strings.EqualFold(id, p.ObjectID) || strings.EqualFold(id, p.ClientID) || strings.EqualFold(id, p.ResourceID))
}

// newGUID returns a random (version 4) GUID.
func newGUID() string {
	var b [16]byte
	rand.Read(b[:]) // does not fail
	b[6] = b[6]&0x0f | 0x40
	b[8] = b[8]&0x3f | 0x80
	return formatGUID(b)
}

// hashedGUID returns a GUID that is always the same for s.
func hashedGUID(s string) string {
	sum := sha256.Sum256([]byte(s))
	return formatGUID([16]byte(sum[:16]))
}

func formatGUID(b [16]byte) string {
	h := hex.EncodeToString(b[:])
	return h[:8] + "-" + h[8:12] + "-" + h[12:16] + "-" + h[16:20] + "-" + h[20:]
}

// newSecret returns a random client secret in Entra's shape.
func newSecret() string {
	t := strings.ReplaceAll(rand.Text()+rand.Text(), "=", "")
	return t[:3] + "8Q~" + t[3:37]
}
