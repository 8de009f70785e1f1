package azurepg

import (
	"crypto/tls"
	"log/slog"
	"maps"
	"slices"
	"time"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/jackc/pgx/v5"
)

// Host is one server of a Config.
type Host struct {
	// Name is the name or IP address that is dialled and that the server's
	// certificate is verified against.
	Name string
	// Port is the TCP port. Zero: 5432.
	Port uint16
	// Addr is the IP address to dial in place of Name, which is still the name that
	// is verified (DSN key hostaddr): for tunnels and port forwards. Empty: Name.
	Addr string
}

// Config says where to log in, as whom and how. ParseDSN makes one from a DSN;
// the fields without a DSN key can only be set by code. The zero value of a
// field means the default of its DSN key, as ParseDSN documents it.
//
// A Config is not safe for concurrent change; NewConnector keeps a private copy.
type Config struct {
	// Hosts are tried in order. At least one is needed.
	Hosts []Host
	// Database is the database's name. Empty: the server takes the user's name.
	Database string
	// User is the PostgreSQL role. Empty: read from the token's claims.
	User string

	// SSLMode is "require", "verify-ca" or "verify-full". Empty: "verify-full".
	// For Azure host names every mode means verify-full. For others "require" sends
	// the token to a server that nobody has verified: for test servers only.
	SSLMode string
	// SSLRootCert is a file of PEM certificates, or "system". Empty: system, which
	// ParseDSN also leaves empty.
	SSLRootCert string
	// SSLCert and SSLKey are the files of a client certificate. Empty: none. When
	// these files or that of SSLRootCert are replaced, the next connection takes that
	// up; while they cannot serve, what they held before stays in use, and Logger is
	// told. See package tlsfiles.
	SSLCert, SSLKey string
	// SSLMinVersion is "TLSv1.2" or "TLSv1.3". Empty: "TLSv1.2".
	SSLMinVersion string
	// SSLNegotiation is "postgres" or "direct". Empty: "postgres".
	SSLNegotiation string

	// ConnectTimeout limits one attempt at one host. Zero: 30 s. Negative: no limit.
	ConnectTimeout time.Duration
	// TargetSessionAttrs is "any", "read-write", "read-only", "primary",
	// "standby" or "prefer-standby". Empty: "any".
	TargetSessionAttrs string
	// RuntimeParams are sent to the server at start-up, names in lower case:
	// application_name, options, search_path and so on. They are not secret. Nil: none.
	RuntimeParams map[string]string
	// BaseParams are the keys that only one base driver understands, such as
	// default_query_exec_mode (pgx) or binary_parameters (lib/pq). The other
	// base refuses them. Nil: none.
	BaseParams map[string]string
	// PoolParams are the pool_* keys, which PoolConfig and NewPool obey.
	// Driver.OpenConnector refuses them. Nil: none.
	PoolParams map[string]string

	// AzureCredential names the credential, as the DSN key azure_credential.
	// Empty: "default", which ParseDSN also leaves empty. It must be empty if
	// Credential or Tokens is set.
	AzureCredential string
	// TenantID, ClientID and the fields below are what the credential needs.
	// Empty: the AZURE_* variable that azidentity reads.
	TenantID, ClientID                                 string
	ClientSecret                                       Secret
	ClientCertificatePath                              string
	ClientCertificatePassword                          Secret
	FederatedTokenFile                                 string
	ManagedIdentityResourceID, ManagedIdentityObjectID string
	// Cloud is "public", "usgovernment" or "china". Empty: from the first host's
	// name, else public.
	Cloud string
	// RefreshAhead: a token this near its end is replaced in the background.
	// Zero: 5 minutes. Negative is an error.
	RefreshAhead time.Duration
	// TokenTimeout limits one token fetch. Zero: 30 s. Negative is an error.
	TokenTimeout time.Duration

	// Scope is the scope of the tokens. Empty: the database scope of the cloud
	// and host. A DSN can only name a known one (azure_scope).
	Scope string
	// AuthorityHost is the URL of the Entra authority, for private clouds. Empty:
	// AZURE_AUTHORITY_HOST, else that of Cloud. A DSN cannot set it.
	AuthorityHost string
	// DisableInstanceDiscovery stops the credential from asking the public
	// instance discovery about AuthorityHost. Only for private clouds.
	DisableInstanceDiscovery bool

	// Credential gets the tokens. Nil: built from the fields above. A token cache
	// of its own is kept for every Connector made with it.
	Credential azcore.TokenCredential `json:"-"`
	// Tokens is the token cache to use, with the scope and times that it has:
	// Scope, RefreshAhead and TokenTimeout do not change it. Nil: one for each
	// identity, shared by the whole process. At most one of Credential and Tokens
	// may be set.
	Tokens *TokenCache `json:"-"`
	// TLSConfig takes the place of SSLRootCert, SSLCert and SSLKey. Nil: from
	// those. It is cloned for each host; the floor (TLS 1.2, verified) holds for
	// it too: InsecureSkipVerify needs a VerifyConnection.
	TLSConfig *tls.Config `json:"-"`
	// Base is the PostgreSQL driver underneath. Nil: pgx. Package pq has lib/pq.
	Base Base `json:"-"`
	// ConfigurePgx is called once by NewConnector with the settings for pgx, to add
	// tracers and hooks. User, password, hosts and TLS are azurepg's: changes to them
	// are undone. It is an error with another base. Nil: they stay as they are.
	ConfigurePgx func(*pgx.ConnConfig) error `json:"-"`
	// Logger receives the lines that the package documentation lists under
	// Logging. A token cache that several Connectors share logs its fetches to the
	// first Logger among theirs. Nil: silent.
	Logger *slog.Logger `json:"-"`
}

// Clone returns a deep copy of c. Credential, Tokens, Logger and the functions
// are shared; TLSConfig is cloned.
func (c *Config) Clone() *Config {
	d := *c
	d.Hosts = slices.Clone(c.Hosts)
	d.RuntimeParams = maps.Clone(c.RuntimeParams)
	d.BaseParams = maps.Clone(c.BaseParams)
	d.PoolParams = maps.Clone(c.PoolParams)
	if c.TLSConfig != nil {
		d.TLSConfig = c.TLSConfig.Clone()
	}
	return &d
}
