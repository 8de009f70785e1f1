// Package jwt reads what an Entra access token says about itself, without checking its
// signature: good for a user name or a diagnosis, never for a decision about trust or
// expiry.
package jwt

import (
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"
)

// Claims are the claims that azurepg knows.
type Claims struct {
	Audience          Audience `json:"aud"`
	ObjectID          string   `json:"oid"`
	AppID             string   `json:"appid"`
	AuthorizedParty   string   `json:"azp"` // what version 2 tokens call appid
	TenantID          string   `json:"tid"`
	IdentityType      string   `json:"idtyp"` // "app" for everything that is not a person
	UPN               string   `json:"upn"`
	PreferredUsername string   `json:"preferred_username"`
	UniqueName        string   `json:"unique_name"`
	ResourceID        string   `json:"xms_mirid"` // of a managed identity
	Expires           UnixTime `json:"exp"`
	NotBefore         UnixTime `json:"nbf"`
}

// UnixTime is a NumericDate (RFC 7519, 2) in whole seconds. Zero: there is none.
type UnixTime int64

// UnmarshalJSON takes what is no number for none, so that the other claims can
// be read.
func (u *UnixTime) UnmarshalJSON(b []byte) error {
	var n float64
	if json.Unmarshal(b, &n) == nil && n > 0 && n < 1e11 {
		*u = UnixTime(n)
	}
	return nil
}

// Time is u as a time of the wall clock.
func (u UnixTime) Time() time.Time { return time.Unix(int64(u), 0) }

// Audience is the aud claim, which may be one string or several (RFC 7519, 4.1.3).
type Audience []string

// UnmarshalJSON reads either.
func (a *Audience) UnmarshalJSON(b []byte) error {
	var one string
	if json.Unmarshal(b, &one) == nil {
		*a = Audience{one}
		return nil
	}
	return json.Unmarshal(b, (*[]string)(a))
}

// Read reads the claims of a JWT; ok is false if token is not one.
func Read(token string) (c Claims, ok bool) {
	_, rest, found := strings.Cut(token, ".")
	payload, _, found2 := strings.Cut(rest, ".")
	if !found || !found2 {
		return Claims{}, false
	}
	raw, err := base64.RawURLEncoding.DecodeString(strings.TrimRight(payload, "="))
	if err != nil || json.Unmarshal(raw, &c) != nil {
		return Claims{}, false
	}
	if c.AppID == "" {
		c.AppID = c.AuthorizedParty
	}
	return c, true
}
