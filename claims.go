package azurepg

import (
	"cmp"
	"encoding/base64"
	"encoding/json"
	"net/url"
	"strings"
	"time"
	"unicode"
)

// claims are what an Entra access token says about itself. They are read
// without checking the signature: good for a user name or a diagnosis, never for
// a decision about trust or expiry.
type claims struct {
	Audience          audience `json:"aud"`
	ObjectID          string   `json:"oid"`
	AppID             string   `json:"appid"`
	AuthorizedParty   string   `json:"azp"` // what version 2 tokens call appid
	TenantID          string   `json:"tid"`
	IdentityType      string   `json:"idtyp"` // "app" for everything that is not a person
	UPN               string   `json:"upn"`
	PreferredUsername string   `json:"preferred_username"`
	UniqueName        string   `json:"unique_name"`
	ResourceID        string   `json:"xms_mirid"` // of a managed identity
	Expires           unixTime `json:"exp"`
	NotBefore         unixTime `json:"nbf"`
}

// unixTime is a NumericDate (RFC 7519, 2) in whole seconds. Zero: there is none.
type unixTime int64

// UnmarshalJSON takes what is no number for none, so that the other claims can
// be read.
func (u *unixTime) UnmarshalJSON(b []byte) error {
	var n float64
	if json.Unmarshal(b, &n) == nil && n > 0 && n < 1e11 {
		*u = unixTime(n)
	}
	return nil
}

func (u unixTime) time() time.Time { return time.Unix(int64(u), 0) }

// audience is the aud claim, which may be one string or several (RFC 7519, 4.1.3).
type audience []string

func (a *audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// readClaims reads the claims of a JWT; ok is false if token is not one.
func readClaims(token string) (c claims, ok bool) {
	_, rest, found := strings.Cut(token, ".")
	payload, _, found2 := strings.Cut(rest, ".")
	if !found || !found2 {
		return claims{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return claims{}, false
	}
	if c.AppID == "" {
		c.AppID = c.AuthorizedParty
	}
	return c, true
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
