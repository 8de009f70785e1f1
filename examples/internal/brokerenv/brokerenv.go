// Package brokerenv reads the settings that the examples of brokers share from the
// environment: TLS from files, and the Entra credential.
package brokerenv

import (
	"fmt"
	"io"
	"log/slog"
	"os"
	"strings"
	"time"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/tlsfiles"
)

// TLS reads the variables TLS_ENABLED, TLS_CA_CERT, TLS_CERT_FILE, TLS_KEY_FILE and
// TLS_VERIFY_MODE whose names begin with prefix, such as "REDIS_". TLS cannot be turned
// off, and servers are verified: what is sent to them is as good as a password.
func TLS(prefix string, logger *slog.Logger) (*tlsfiles.Files, error) {
	options, err := TLSOptions(prefix, logger)
	if err != nil {
		return nil, err
	}
	return tlsfiles.New(options)
}

// TLSOptions is for those who have more to say than TLS reads.
func TLSOptions(prefix string, logger *slog.Logger) (tlsfiles.Options, error) {
	name := prefix + "TLS_ENABLED"
	switch strings.ToLower(os.Getenv(name)) {
	case "", "true", "1", "yes", "on":
	default:
		return tlsfiles.Options{}, fmt.Errorf("%s must be true or not set: passwords and tokens go through TLS only", name)
	}
	options := tlsfiles.FromEnv(prefix + "TLS_")
	options.Logger = logger
	return options, nil
}

// Tokens returns the cache for tokens of a scope, which are replaced that long before
// their end. AZURE_CREDENTIAL is one of those that a DSN can name as azure_credential;
// what it needs is in the variables AZURE_* that azidentity reads, and for a user-assigned
// managed identity in AZURE_CLIENT_ID.
func Tokens(scope string, ahead time.Duration, logger *slog.Logger) (*azurepg.TokenCache, error) {
	config := azurepg.Config{AzureCredential: os.Getenv("AZURE_CREDENTIAL"), Scope: scope, RefreshAhead: ahead, Logger: logger}
	if config.AzureCredential == "managed_identity" { // which azidentity does not read it for
		config.ClientID = os.Getenv("AZURE_CLIENT_ID")
	}
	return config.TokenCache()
}

// credentialSettings decide whose tokens Tokens returns.
var credentialSettings = []string{"AZURE_CREDENTIAL", "AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"}

// Show prints the settings with those names and the credential's, what is secret in them
// masked.
func Show(out io.Writer, names ...string) {
	for _, name := range append(names, credentialSettings...) {
		value, set := os.LookupEnv(name)
		switch {
		case !set:
			continue
		case strings.HasSuffix(name, "_SECRET"):
			value = "***"
		}
		fmt.Fprintf(out, "%s=%s\n", name, azurepg.Redact(value))
	}
}

// TLSNames are the settings of TLS that begin with prefix.
func TLSNames(prefix string) []string {
	return []string{prefix + "TLS_ENABLED", prefix + "TLS_CA_CERT", prefix + "TLS_CERT_FILE", prefix + "TLS_KEY_FILE", prefix + "TLS_VERIFY_MODE"}
}
