package azurepgtest

import "strings"

// A Wording is one of the ways in which Azure words the same refusals: servers change
// from one to the other with their updates, so programs should go by neither.
type Wording string

// The wordings. Where Azure has been seen to use one text alone, both have it.
const (
	OldWording Wording = ""    // speaks of Azure AD: "Please acquire a new token and retry."
	NewWording Wording = "new" // speaks of Microsoft Entra: "Acquire a new token and try again."
)

// SetWording sets the words in which tokens are refused from now on. OldWording is the
// default; any value but NewWording means it.
func (p *Postgres) SetWording(w Wording) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.wording = w
}

// Why tokens are refused, in the words of LastRefusal.
const (
	becauseExpired     = "expired"
	becauseRevoked     = "revoked"
	becauseNoToken     = "not a token"
	becauseSignature   = "signature not by the current key"
	becauseNotYetValid = "not valid yet"
	becauseTenant      = "another tenant"
	becauseAudience    = "wrong audience"
	becauseAppForUser  = "token of an application for the role of a user"
	becauseUserForApp  = "token of a user for the role of an application"
	becauseOtherApp    = "token of another application"
)

// azureSays holds Azure's words for a reason, the old ones and, if they differ, the new
// ones; names in braces are filled in. How it words a wrong signature, a token from the
// future and another tenant's is not known: here they cannot be read, which is true.
//
// Sources, read 2026-11: darold/ora2pg#1851 (expired), Azure-Samples/rag-postgres-openai-python#161
// (format), microsoft/azuredatastudio-postgresql#505 (audience), MicrosoftDocs/azure-docs#120133
// (types); the new words, and both of mismatched ids, where people noted in public
// repositories what they had met.
var azureSays = map[string]struct{ old, new string }{
	becauseExpired:     {expiredOld, expiredNew},
	becauseRevoked:     {expiredOld, expiredNew},
	becauseNoToken:     {old: invalidFormat},
	becauseSignature:   {old: invalidFormat},
	becauseNotYetValid: {old: invalidFormat},
	becauseTenant:      {old: invalidFormat},
	becauseAudience: {old: `The access token does not have a valid audience claim. ` +
		`Please acquire a new token for the resource "{audience}".`},
	becauseAppForUser: {
		"Azure AD user token for role[{role}]" + noUserToken,
		`Microsoft Entra user token for role "{role}"` + noUserToken,
	},
	becauseUserForApp: {
		"Service Principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role[{role}]",
		`Service principals cannot generate AAD_AUTH_TOKENTYPE_APP_USER tokens for role "{role}".`,
	},
	becauseOtherApp: {
		"Service Principal oid mismatch for role[{role}]",
		// This is indeed what stands where the role's name should.
		`Service principal oid mismatch for role "The oid in the security label [{label}] ` +
			`does not match the appid [{appid}] or oid [{oid}] in the token."`,
	},
}

const (
	expiredOld    = "The access token has expired. Please acquire a new token and retry."
	expiredNew    = "The access token has expired. Acquire a new token and try again."
	invalidFormat = "The access token has invalid format. Please ensure the token is passed exactly as returned by the authentication endpoint and retry."
	noUserToken   = " is neither an AAD_AUTH_TOKENTYPE_APP_USER or an AAD_AUTH_TOKENTYPE_APP_OBO token."
)

// refusal returns the refusal of a token because of why, one of the reasons above. The
// values are pairs of a name in braces and what takes its place.
func (p *Postgres) refusal(why string, values ...string) *refusal {
	p.mu.Lock()
	wording := p.wording
	p.mu.Unlock()
	text := azureSays[why].old
	if renewed := azureSays[why].new; wording == NewWording && renewed != "" {
		text = renewed
	}
	return &refusal{"", strings.NewReplacer(values...).Replace(text), why}
}
