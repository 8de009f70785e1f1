package azurepgtest

import (
	"crypto/sha256"
	"maps"
	"testing"
	"time"
)

func TestAssertionsThatEntraRefusesAreRefused(t *testing.T) {
	s, err := New(&Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	s.AddServicePrincipal("app")
	a := s.directory.named("app")
	own, err := clientKey()
	if err != nil {
		t.Fatal(err)
	}
	cluster, err := clusterKey()
	if err != nil {
		t.Fatal(err)
	}
	const endpoint = "https://login.microsoftonline.com/tenant/oauth2/v2.0/token"
	thumbprint := sha256.Sum256(a.certificate.Raw)
	byCertificate := map[string]any{"x5t#S256": base64URL.EncodeToString(thumbprint[:])}
	in, ago := time.Now().Add(time.Hour).Unix(), time.Now().Add(-time.Hour).Unix()
	itself := map[string]any{"aud": endpoint, "iss": a.ClientID, "sub": a.ClientID, "exp": in}
	account := map[string]any{"aud": []string{federatedAudience}, "iss": clusterIssuer(a.TenantID), "sub": a.subject, "exp": in}
	for _, tt := range []struct {
		name   string
		key    *signingKey
		header map[string]any
		claims map[string]any
		change map[string]any
		code   int // 0 is none
	}{
		{"certificate", own, byCertificate, itself, nil, 0},
		{"certificate, not named", own, nil, itself, nil, 700027},
		{"certificate, another's key", cluster, byCertificate, itself, nil, 700027},
		{"certificate, another application", own, byCertificate, itself, map[string]any{"iss": "x", "sub": "x"}, 700021},
		{"certificate, another endpoint", own, byCertificate, itself, map[string]any{"aud": endpoint + "/"}, 50013},
		{"certificate, expired", own, byCertificate, itself, map[string]any{"exp": ago}, 700024},
		{"certificate, without end", own, byCertificate, itself, map[string]any{"exp": nil}, 700024},
		{"certificate, not valid yet", own, byCertificate, itself, map[string]any{"nbf": in}, 700024},
		{"federated", cluster, nil, account, nil, 0},
		{"federated, another's key", own, nil, account, nil, 50013},
		{"federated, another issuer", cluster, nil, account, map[string]any{"iss": clusterIssuer("x")}, 700211},
		{"federated, another audience", cluster, nil, account, map[string]any{"aud": "https://kubernetes.default.svc"}, 700212},
		{"federated, another subject", cluster, nil, account, map[string]any{"sub": a.subject + "x"}, 700213},
		{"federated, expired", cluster, nil, account, map[string]any{"exp": ago}, 700024},
	} {
		t.Run(tt.name, func(t *testing.T) {
			claims := maps.Clone(tt.claims)
			maps.Copy(claims, tt.change)
			assertion, err := signJWT(tt.key, tt.header, claims)
			if err != nil {
				t.Fatal(err)
			}
			got := 0
			if refusal := s.Entra.checkAssertion(a, assertion, endpoint); refusal != nil {
				got = refusal.code
			}
			if got != tt.code {
				t.Errorf("got AADSTS%d; want AADSTS%d", got, tt.code)
			}
		})
	}
}
