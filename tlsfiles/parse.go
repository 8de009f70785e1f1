package tlsfiles

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"strings"
)

// anchors are the authorities that are trusted.
type anchors struct{ pool *x509.CertPool }

// parseAnchors takes what can be read, as crypto/x509 does, but not the beginning
// of a file that is being written.
func parseAnchors(files []file, contents [][]byte) (*anchors, *Error) {
	a := &anchors{pool: x509.NewCertPool()}
	if bytes.Count(contents[0], []byte("-----BEGIN ")) != bytes.Count(contents[0], []byte("-----END ")) {
		return nil, files[0].errorf("the file ends in the middle of a certificate")
	}
	if !a.pool.AppendCertsFromPEM(contents[0]) {
		return nil, files[0].errorf("the file holds no certificate in PEM")
	}
	return a, nil
}

// clientPair is the client's certificate with its key.
type clientPair struct {
	cert tls.Certificate
	ends *x509.Certificate // the one of the chain that ends first
}

func parsePair(files []file, contents [][]byte) (*clientPair, *Error) {
	cert, err := tls.X509KeyPair(contents[0], contents[1])
	if err != nil {
		return nil, pairError(files, contents, err)
	}
	p := &clientPair{cert: cert, ends: cert.Leaf}
	for _, der := range cert.Certificate[1:] {
		other, err := x509.ParseCertificate(der)
		if err == nil && other.NotAfter.Before(p.ends.NotAfter) {
			p.ends = other
		}
	}
	return p, nil
}

// pairError says what is wrong with a pair. The text of crypto/tls is not passed on.
func pairError(files []file, contents [][]byte, err error) *Error {
	block, _ := pem.Decode(contents[1])
	switch {
	case block != nil && (block.Type == "ENCRYPTED PRIVATE KEY" || strings.Contains(block.Headers["Proc-Type"], "ENCRYPTED")):
		return files[1].errorf("the key is encrypted: write it without a password, readable by its owner alone")
	case strings.Contains(err.Error(), "does not match"):
		return &Error{files[0].name, errors.New("the certificate and the key do not belong together: the key in " + files[1].name + " must be its own")}
	}
	return &Error{files[0].name, errors.New(files[0].name + " and " + files[1].name + " must be a certificate and its own unencrypted private key in PEM")}
}
