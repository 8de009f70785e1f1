package azurepgtest

import (
	"bytes"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
)

// pieceLength is short enough to find a secret that was cut, and long enough to be
// nothing else.
const pieceLength = 24

// Leaks searches text, such as all that a program has printed, for secrets of this
// Server: the tokens that any part of it has issued, client secrets, private keys of
// client certificates and federated tokens, whole or in pieces of 47 bytes and more. It
// returns what was found, in words that hold no secret; nil is nothing. The words "token
// 3" mean the third of [Entra.Tokens].
func (s *Server) Leaks(text string) []string {
	var found []string
	search := func(what, secret string) {
		if holdsPiece(text, secret) {
			found = append(found, what)
		}
	}
	for i, token := range s.Entra.Tokens() {
		search(fmt.Sprintf("token %d", i+1), token)
	}
	for _, a := range s.directory.all() {
		search("the client secret of "+a.Name, a.Secret)
		search("the client secret of "+a.Name+" after NewSecret", s.directory.secretOf(a))
		if a.CertificateFile != "" {
			search("the private key of "+a.Name, privateKeyIn(a.CertificateFile))
		}
		if a.FederatedTokenFile != "" {
			federated, _ := os.ReadFile(a.FederatedTokenFile)
			search("the federated token of "+a.Name, string(federated))
		}
	}
	return found
}

// holdsPiece reports whether text holds a piece of secret, the whole of a short one.
func holdsPiece(text, secret string) bool {
	if len(secret) < pieceLength {
		return secret != "" && strings.Contains(text, secret)
	}
	for i := 0; i+pieceLength <= len(secret); i += pieceLength {
		if strings.Contains(text, secret[i:i+pieceLength]) {
			return true
		}
	}
	return false
}

// privateKeyIn returns the first line of the private key in a PEM file, after which
// every key of the same kind differs; "" if there is none.
func privateKeyIn(file string) string {
	rest, _ := os.ReadFile(file)
	for len(rest) > 0 {
		block, next := pem.Decode(rest)
		if block == nil {
			return ""
		}
		if strings.HasSuffix(block.Type, "PRIVATE KEY") {
			lines := bytes.Split(pem.EncodeToMemory(block), []byte("\n"))
			return string(bytes.Join(lines[2:len(lines)-2], []byte("\n")))
		}
		rest = next
	}
	return ""
}
