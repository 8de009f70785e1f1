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
		addUserClaims(c, p)
	} else {
		c["appid"] = p.ClientID
		c["appidacr"] = appIDACR
		c["idp"] = issuer(p.TenantID)
		c["idtyp"] = "app"
		delete(c, "sid")
	}
	d.addResourceClaims(c, p)
	addGroupClaims(c, p, d.groupsOf(p.ObjectID))
	if roles := d.rolesOf(p.ObjectID, audience); len(roles) > 0 {
		c["roles"] = roles
	}
	return c
}

// addResourceClaims says of a managed identity which Azure resource it is, and which
// resource has asked: the same for a system-assigned one, a machine for the others.
//
// Source: the claims that gravitational/teleport reads, read 2026-11.
func (d *directory) addResourceClaims(c map[string]any, p *Principal) {
	if p.ResourceID == "" {
		return
	}
	c["xms_mirid"], c["xms_az_rid"] = p.ResourceID, p.ResourceID
	if p.Kind == UserAssignedIdentity {
		c["xms_az_rid"] = d.resourceID("Microsoft.Compute/virtualMachines", "machine")
	}
}

// maxGroups is how many groups a token names; of more it says where to ask.
// Source: learn.microsoft.com, "Access token claims reference", read 2026-11.
const maxGroups = 200

func addGroupClaims(c map[string]any, p *Principal, groups []string) {
	if len(groups) > maxGroups {
		kind := "users"
		if p.isApp() {
			kind = "servicePrincipals"
		}
		endpoint := "https://graph.windows.net/" + p.TenantID + "/" + kind + "/" + p.ObjectID + "/getMemberObjects"
		c["_claim_names"] = map[string]any{"groups": "src1"}
		c["_claim_sources"] = map[string]any{"src1": map[string]any{"endpoint": endpoint}}
	} else if groups != nil {
		c["groups"] = groups
	}
}

// addUserClaims adds what tokens of users have.
func addUserClaims(c map[string]any, p *Principal) {
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
	if home, domain, guest := p.home(); guest {
		delete(c, "upn")
		c["acct"] = 1
		c["altsecid"] = "5::" + c["puid"].(string)
		c["email"] = home
		c["idp"] = issuer(hashedGUID(domain))
		c["unique_name"] = home
	}
}

// home returns the address by which a guest is known at home, and its domain. It is what
// the guest's token says; the name here, with #EXT#, which is that of the PostgreSQL role,
// stands in a token only if the resource's application asks for it.
//
// Source: learn.microsoft.com, "Optional claims reference" (upn, acct) and "Access token
// claims reference" (idp), read 2026-11.
func (p *Principal) home() (address, domain string, guest bool) {
	name, _, guest := strings.Cut(p.UPN, "#EXT#")
	at := strings.LastIndex(name, "_")
	if !guest || at < 0 {
		return "", "", false
	}
	return name[:at] + "@" + name[at+1:], name[at+1:], true
}

func issuer(tenantID string) string { return "https://sts.windows.net/" + tenantID + "/" }

// noise returns n random bytes as base64url.
func noise(n int) string {
	b := make([]byte, n)
	rand.Read(b) // does not fail
	return base64.RawURLEncoding.EncodeToString(b)
}
