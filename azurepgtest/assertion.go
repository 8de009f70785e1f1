package azurepgtest

import (
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// federatedAudience is whom a Kubernetes token must be meant for to be exchanged.
// Source: learn.microsoft.com, "Workload identity federation", read 2026-11.
const federatedAudience = "api://AzureADTokenExchange"

// clusterIssuer is the issuer of the tenant's imaginary AKS cluster.
func clusterIssuer(tenantID string) string {
	return "https://eastus.oic.prod-aks.azure.com/" + tenantID + "/"
}

// checkAssertion checks a client assertion (RFC 7523): signed by the application
// itself with its certificate, or by the Kubernetes cluster for the service account
// that the application trusts.
func (e *Entra) checkAssertion(a *account, assertion, endpoint string) *entraError {
	token, err := parseJWT(strings.TrimSpace(assertion))
	if err != nil {
		return aadsts(50013)
	}
	if strings.EqualFold(token.text("iss"), token.text("sub")) {
		return e.checkCertificateAssertion(a, token, endpoint)
	}
	return e.checkFederatedAssertion(a, token)
}

func (e *Entra) checkCertificateAssertion(a *account, token *jwt, endpoint string) *entraError {
	if !strings.EqualFold(token.text("sub"), a.ClientID) {
		return aadsts(700021)
	}
	if a.certificate == nil || !token.names(a.certificate) ||
		token.verify(a.certificate.PublicKey.(*rsa.PublicKey)) != nil {
		return aadsts(700027, a.ClientID)
	}
	if !token.isFor(endpoint) {
		return aadsts(50013)
	}
	return checkTimes(token, e.clock.now())
}

func (e *Entra) checkFederatedAssertion(a *account, token *jwt) *entraError {
	key, err := clusterKey()
	if err != nil || token.verify(&key.PublicKey) != nil {
		return aadsts(50013)
	}
	switch {
	case token.text("iss") != clusterIssuer(e.TenantID):
		return aadsts(700211, token.text("iss"))
	case !token.isFor(federatedAudience):
		return aadsts(700212, token.text("aud"))
	case a.subject == "" || token.text("sub") != a.subject:
		return aadsts(700213, token.text("sub"))
	}
	return checkTimes(token, e.clock.now())
}

func checkTimes(token *jwt, now time.Time) *entraError {
	expires, ok := token.time("exp")
	begins, _ := token.time("nbf")
	if !ok || now.After(expires) || now.Add(clockSkew).Before(begins) {
		return aadsts(700024, now.UTC().Format(time.RFC3339), expires.UTC().Format(time.RFC3339))
	}
	return nil
}

// names reports whether the header's thumbprint is c's. MSAL writes it in standard
// base64, RFC 7515 wants base64url; Entra takes both.
func (j *jwt) names(c *x509.Certificate) bool {
	s1, s256 := sha1.Sum(c.Raw), sha256.Sum256(c.Raw)
	return isBase64Of(j.header.X5TS256, s256[:]) || isBase64Of(j.header.X5T, s1[:])
}

func isBase64Of(s string, b []byte) bool {
	return s == base64.StdEncoding.EncodeToString(b) || s == base64.RawURLEncoding.EncodeToString(b)
}

// writeCertificate gives a a certificate and writes it with its key to CertificateFile.
func (a *account) writeCertificate(dir string) error {
	key, err := clientKey()
	if err != nil {
		return err
	}
	template := certificateTemplate(a.ClientID)
	a.certificate, err = signCertificate(template, template, key.Public(), key)
	if err != nil {
		return err
	}
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key.PrivateKey)
	if err != nil {
		return err
	}
	a.CertificateFile = filepath.Join(dir, a.ClientID+".pem")
	return os.WriteFile(a.CertificateFile, append(certificatePEM(a.certificate),
		pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: pkcs8})...), 0o600)
}

// joinCluster gives a a Kubernetes service account and names the file for its tokens.
func (a *account) joinCluster(dir string) {
	a.subject = "system:serviceaccount:default:" + a.ClientID
	a.FederatedTokenFile = filepath.Join(dir, a.ClientID+".jwt")
}

// writeFederatedToken writes a token of a's service account, good for a day, in place of
// the one before, as the kubelet does: nobody reads half of one.
func (a *account) writeFederatedToken(now time.Time) error {
	key, err := clusterKey()
	if err != nil {
		return err
	}
	token, err := signJWT(key, map[string]any{"kid": key.id}, map[string]any{
		"aud": []string{federatedAudience},
		"exp": now.Add(24 * time.Hour).Unix(),
		"iat": now.Unix(),
		"nbf": now.Add(-clockSkew).Unix(), // the clock of another machine
		"iss": clusterIssuer(a.TenantID),
		"sub": a.subject,
		"kubernetes.io": map[string]any{
			"namespace":      "default",
			"serviceaccount": map[string]any{"name": a.ClientID, "uid": newGUID()},
		},
	})
	if err != nil {
		return err
	}
	fresh := a.FederatedTokenFile + ".new"
	if err := os.WriteFile(fresh, []byte(token), 0o600); err != nil {
		return err
	}
	return os.Rename(fresh, a.FederatedTokenFile)
}
