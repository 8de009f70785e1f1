package azurepgtest

import (
	"crypto/rand"
	"encoding/base64"
	"strings"
	"time"
)

// clockSkew is how far before its issue a token of Entra begins to be valid.
const clockSkew = 5 * time.Minute

// How an application proved its identity: the appidacr claim.
const (
	bySecret    = "1"
	byAssertion = "2"
)

// claims returns what an access token for p says. It follows tokens that Microsoft
// documents for version 1.0; the opaque ones (aio, rh, uti, xms_ftd) hold noise of
// the usual length, since the size of a token is part of what is tested.
//
// Source: learn.microsoft.com, "Access token claims reference" and "Optional claims
// reference", read 2026-11.
func (d *directory) claims(p *Principal, audience, appIDACR string, now, expires time.Time) map[string]any {
	issued := now.Add(-clockSkew)
	c := map[string]any{
		"aud":         audience,
		"iss":         issuer(p.TenantID),
		"iat":         issued.Unix(),
		"nbf":         issued.Unix(),
		"exp":         expires.Unix(),
		"aio":         noise(48),
		"oid":         p.ObjectID,
		"rh":          "1." + noise(66) + ".",
		"sid":         newGUID(),
		"sub":         p.ObjectID,
		"tid":         p.TenantID,
		"uti":         noise(16),
		"ver":         "1.0",
		"xms_act_fct": "3 9",
		"xms_ftd":     noise(64),
		"xms_idrel":   "7 24",
		"xms_rd":      "0.42LlYBJi9BES4WAXEmj9u2fOjQ2_3R87N7L4vR8gAA",
		"xms_sub_fct": "3 9",
		"xms_tcdt":    issued.Add(-1000 * 24 * time.Hour).Unix(),
		"xms_tnt_fct": "3 2",
		// Users are given roles in the directory; this one is "every other member".
		"wids": []string{"b79fbf4d-3ef9-4689-8143-76b194e85509", "0997a1d0-0d1d-4acb-b408-d5ca73121e90"},
	}
	if p.Kind == User {
		d.addUserClaims(c, p)
	} else {
		c["appid"] = p.ClientID
		c["appidacr"] = appIDACR
		c["idp"] = issuer(p.TenantID)
		c["idtyp"] = "app"
		delete(c, "sid")
	}
	if p.ResourceID != "" {
		c["xms_mirid"] = p.ResourceID
		c["xms_az_rid"] = p.ResourceID
	}
	if groups := d.groupsOf(p.ObjectID); groups != nil {
		c["groups"] = groups
	}
	return c
}

// addUserClaims adds what tokens of users have. A guest's upn is its name in this
// tenant, with #EXT#, which is also the name of its PostgreSQL role.
func (d *directory) addUserClaims(c map[string]any, p *Principal) {
	name, _, _ := strings.Cut(p.UPN, "@")
	name, _, _ = strings.Cut(name, "#EXT#")
	c["acr"] = "1"
	c["acct"] = 0
	c["amr"] = []string{"pwd", "mfa"}
	c["appid"] = azureCLIClientID
	c["appidacr"] = "0" // a public client
	c["given_name"] = name
	c["ipaddr"] = "203.0.113.7" // TEST-NET-3
	c["name"] = name
	c["puid"] = "10032001" + strings.ToUpper(noise(6)[:8])
	c["scp"] = "user_impersonation"
	c["sub"] = noise(32)
	c["unique_name"] = p.UPN
	c["upn"] = p.UPN
}

func issuer(tenantID string) string { return "https://sts.windows.net/" + tenantID + "/" }

// noise returns n random bytes as base64url.
func noise(n int) string {
	b := make([]byte, n)
	rand.Read(b) // does not fail
	return base64.RawURLEncoding.EncodeToString(b)
}
