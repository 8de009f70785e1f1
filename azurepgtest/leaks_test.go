package azurepgtest_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
)

func TestLeaksFindsEverySecretAndNothingElse(t *testing.T) {
	t.Parallel()
	s, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	app := s.AddServicePrincipal("app")
	first, second := s.Entra.Mint(app, nil), s.Entra.Mint(app, nil)
	renewed := s.Entra.NewSecret(app)
	federated, err := os.ReadFile(app.FederatedTokenFile)
	if err != nil {
		t.Fatal(err)
	}
	pem, err := os.ReadFile(app.CertificateFile)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(pem), "PRIVATE KEY-----\n")
	keyLine := strings.Split(key, "\n")[2]

	for _, tt := range []struct {
		name, text string
		want       string
	}{
		{"the end of a token", "cut: …" + second[len(second)-60:], "token 2"},
		{"a whole token", first, "token 1"},
		{"the secret", "client_secret=" + app.Secret + "&", "the client secret of app"},
		{"the secret after NewSecret", renewed, "the client secret of app after NewSecret"},
		{"a line of the key", keyLine, "the private key of app"},
		{"the federated token", string(federated[len(federated)/2:]), "the federated token of app"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if got := s.Leaks(tt.text); !slices.Contains(got, tt.want) {
				t.Errorf("got %q; want %q among them", got, tt.want)
			}
		})
	}
	clean := "login of app " + app.ClientID + " in " + app.TenantID + " at " + s.Entra.URL + " with " + app.CertificateFile
	if got := s.Leaks(clean); got != nil {
		t.Errorf("in a clean line it found %q", got)
	}
}
