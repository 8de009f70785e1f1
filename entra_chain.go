package azurepg

import "strings"

// chainLink is what one credential of a chain said.
type chainLink struct {
	line string // the first line, which names the credential
	rest string // can be a response's body: it is searched for codes and reasons, never shown
}

var credentialType = pattern{expr: `^[A-Za-z]{1,40}Credential\b`}

// chainOf returns what each credential of a chain said, or nil if text is not of
// a chain. azidentity writes an attempt as a line behind one tab; lines behind two
// go on with it. Its own advice follows the last one.
func chainOf(text string) []chainLink {
	_, list, chain := strings.Cut(text, "Attempted credentials:")
	if !chain {
		return nil
	}
	links := []chainLink{}
	for _, line := range strings.Split(list, "\n\t") {
		switch {
		case strings.TrimSpace(line) == "" || strings.HasPrefix(line, "To troubleshoot"):
		case !strings.HasPrefix(line, "\t"):
			line, _, _ = strings.Cut(line, "\n")
			links = append(links, chainLink{line: line})
		case len(links) > 0:
			links[len(links)-1].rest += line
		}
	}
	return links
}

// fault is what the link failed of, for which status is the HTTP status, if it is known.
func (l chainLink) fault(status int) *credentialFault {
	credential := ""
	if strings.HasPrefix(l.line, "ManagedIdentityCredential") {
		credential = credentialManaged
	}
	return credentialFaultOf(credential, status, l.line+l.rest)
}

// String names the credential and its reason: Entra's code, else what stood in the way,
// else the credential's words.
func (l chainLink) String() string {
	code, name := aadsts.regexp().FindString(l.line+l.rest), credentialType.regexp().FindString(l.line)
	if name != "" && code != "" {
		return name + ": " + codeWords(code)
	}
	if f := l.fault(0); name != "" && f.stopsChain() {
		return name + ": " + f.means + ": " + quoteForeign(withoutBody(strings.TrimPrefix(l.line, name+": ")))
	}
	return quoteForeign(withoutBody(l.line))
}

// explainChain explains the error of a chain, which has tried all credentials
// or ends at one that was ready to be used and failed.
func (e *TokenError) explainChain(links []chainLink) {
	var said []string
	for _, l := range links {
		said = append(said, l.String())
	}
	if e.Code != "" {
		e.explainCode()
	} else {
		f := credentialFaultOf("", e.StatusCode, "Attempted credentials:")
		if n := len(links); n > 0 {
			if last := links[n-1].fault(e.StatusCode); last.stopsChain() {
				f = last // the others were not to be had, and another choice would not help
			}
		}
		e.Advice = f.advice
		e.Temporary = e.Temporary || f.retry
	}
	e.Attempts = said
	e.detail = "no credential of the chain got one: " + strings.Join(said, "; ")
}
