package azurepg

import (
	"cmp"
	"net/url"
	"strings"
	"unicode"

	"github.com/azurepg/azurepg/internal/jwt"
)

// claims are what an Entra access token says about itself, which nobody has checked.
type claims struct{ jwt.Claims }

// readClaims reads the claims of a JWT; ok is false if token is not one.
func readClaims(token string) (claims, bool) {
	c, ok := jwt.Read(token)
	return claims{c}, ok
}

// userName returns the role name that Azure gives the token's owner by
// default, or "" if the token does not say it. The order is that of Microsoft's
// own helpers for Python and .NET; unlike the Python one, the resource id of a
// system-assigned identity, whose last part names a machine, hides nothing.
// An appid is no role name, and neither is what holds control characters: the
// name becomes part of the start-up packet.
func (c claims) userName() string {
	name := cmp.Or(c.userAssignedIdentity(), c.UPN, c.PreferredUsername, c.UniqueName)
	if strings.ContainsFunc(name, unicode.IsControl) {
		return ""
	}
	return name
}

// userAssignedIdentity returns the name of the user-assigned managed identity
// in the resource id /subscriptions/…/Microsoft.ManagedIdentity/userAssignedIdentities/<name>.
func (c claims) userAssignedIdentity() string {
	parts := strings.Split(strings.TrimRight(c.ResourceID, "/"), "/")
	n := len(parts)
	if n >= 3 && strings.EqualFold(parts[n-3], "Microsoft.ManagedIdentity") && strings.EqualFold(parts[n-2], "userAssignedIdentities") {
		return parts[n-1]
	}
	return ""
}

// isApp reports whether the token is of an application or a managed identity.
// Not every such token has idtyp; those of persons have a name.
func (c claims) isApp() bool {
	person := c.UPN != "" || c.PreferredUsername != "" || c.UniqueName != ""
	return c.IdentityType == "app" || !person && c.AppID != ""
}

// roleType is what Azure's SQL functions call the kind of principal.
func (c claims) roleType() string {
	if c.isApp() {
		return "service"
	}
	return "user"
}

// describe says whose token it is, for an error: foreign text, quoted and cut.
func (c claims) describe() string {
	var who []string
	add := func(name, value string) {
		if value != "" {
			who = append(who, name+" "+quoteForeign(value))
		}
	}
	add("user", c.UPN)
	if c.UPN == "" {
		add("user", c.PreferredUsername)
	}
	add("managed identity", c.userAssignedIdentity())
	if c.isApp() {
		add("application", c.AppID)
	}
	add("object id", c.ObjectID)
	add("tenant", c.TenantID)
	if len(who) == 0 {
		return "an unknown principal"
	}
	return strings.Join(who, ", ")
}

// foreignAudience reports whether the token was issued for another service than
// scope's: an audience that is a URL of another host. An audience that is a
// GUID or an api:// name cannot be compared and passes.
func (c claims) foreignAudience(scope string) bool {
	want, err := url.Parse(scope)
	if err != nil || want.Host == "" || len(c.Audience) == 0 {
		return false
	}
	for _, a := range c.Audience {
		got, err := url.Parse(a)
		if err != nil || (got.Scheme != "https" && got.Scheme != "http") || strings.EqualFold(got.Host, want.Host) {
			return false
		}
	}
	return true
}
