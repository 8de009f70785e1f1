package azurepg

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/cloud"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"github.com/azurepg/azurepg/internal/explain"
	"github.com/azurepg/azurepg/internal/testroute"
)

// authority returns the URL of the Entra authority: the Config's, else the
// environment's, else the cloud's.
func authority(cfg *Config) string {
	switch host := os.Getenv("AZURE_AUTHORITY_HOST"); {
	case cfg.AuthorityHost != "":
		return cfg.AuthorityHost
	case host != "":
		return host
	case cfg.Cloud == cloudUSGovernment:
		return cloud.AzureGovernment.ActiveDirectoryAuthorityHost
	case cfg.Cloud == cloudChina:
		return cloud.AzureChina.ActiveDirectoryAuthorityHost
	}
	return cloud.AzurePublic.ActiveDirectoryAuthorityHost
}

// setting is a part of a credential: a DSN key, and the variable that azidentity
// reads in its place.
type setting struct {
	key, variable, value string
}

func newSetting(key, variable, value string) setting {
	if value == "" {
		value = os.Getenv(variable)
	}
	return setting{key, variable, value}
}

func missing(settings ...setting) error {
	var names []string
	for _, s := range settings {
		if s.value == "" {
			names = append(names, s.key+" (or "+s.variable+")")
		}
	}
	if names == nil {
		return nil
	}
	key, _, _ := strings.Cut(names[0], " ")
	return &DSNError{Key: key, Err: errors.New("Azure AD credentials are missing: " + strings.Join(names, ", "))}
}

// newCredential builds the credential that cfg names. It reads environment and
// files, and asks nobody for a token. watch sees each answer of Entra.
func newCredential(cfg *Config, watch policy.Policy) (azcore.TokenCredential, error) {
	tenant := newSetting("azure_tenant_id", "AZURE_TENANT_ID", cfg.TenantID)
	client := newSetting("azure_client_id", "AZURE_CLIENT_ID", cfg.ClientID)
	host := authority(cfg)
	if u, err := url.Parse(host); err != nil || u.Scheme != "https" || u.Host == "" || u.User != nil {
		return nil, &DSNError{Key: "AZURE_AUTHORITY_HOST", Err: errors.New("the authority must be an https URL, such as https://login.microsoftonline.com/")}
	}
	b := credentialBuilder{
		cfg: cfg, tenant: tenant, client: client,
		options: azcore.ClientOptions{
			Cloud:            cloud.Configuration{ActiveDirectoryAuthorityHost: host},
			PerRetryPolicies: []policy.Policy{watch},
		},
	}
	if t := testroute.Lookup(tenant.value, client.value, cfg.ManagedIdentityResourceID, cfg.ManagedIdentityObjectID); t != nil {
		b.options.Transport = t
	}
	c, err := b.build()
	var de *DSNError
	if err == nil || errors.As(err, &de) {
		return c, err
	}
	// What azidentity says about its arguments holds values: the file's path, the id.
	return nil, &DSNError{Key: "azure_credential", Err: fmt.Errorf("the credential %s cannot be made of these settings: %s", cfg.AzureCredential, quoteForeign(err.Error()))}
}

type credentialBuilder struct {
	cfg            *Config
	tenant, client setting
	options        azcore.ClientOptions
}

func (b credentialBuilder) build() (azcore.TokenCredential, error) {
	tenant := b.cfg.TenantID // for the tools, which know a tenant of their own
	switch b.cfg.AzureCredential {
	case credentialDefault:
		return azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{
			ClientOptions: b.options, DisableInstanceDiscovery: b.cfg.DisableInstanceDiscovery, TenantID: tenant})
	case credentialEnvironment:
		return b.environment()
	case credentialWorkload:
		return b.workloadIdentity()
	case credentialManaged:
		return b.managedIdentity()
	case credentialSecret:
		return b.clientSecret()
	case credentialCertificate:
		return b.clientCertificate()
	case credentialAzureCLI:
		return azidentity.NewAzureCLICredential(&azidentity.AzureCLICredentialOptions{TenantID: tenant})
	case credentialAzureDeveloper:
		return azidentity.NewAzureDeveloperCLICredential(&azidentity.AzureDeveloperCLICredentialOptions{TenantID: tenant})
	case credentialAzurePowerShell:
		return azidentity.NewAzurePowerShellCredential(&azidentity.AzurePowerShellCredentialOptions{TenantID: tenant})
	}
	return nil, &DSNError{Key: "azure_credential", Err: errors.New("it names no credential")}
}

func (b credentialBuilder) environment() (azcore.TokenCredential, error) {
	var names []string
	for _, name := range []string{"AZURE_TENANT_ID", "AZURE_CLIENT_ID"} {
		if os.Getenv(name) == "" {
			names = append(names, name)
		}
	}
	if os.Getenv("AZURE_CLIENT_SECRET") == "" && os.Getenv("AZURE_CLIENT_CERTIFICATE_PATH") == "" && os.Getenv("AZURE_USERNAME") == "" {
		names = append(names, "AZURE_CLIENT_SECRET (or AZURE_CLIENT_CERTIFICATE_PATH)")
	}
	if names != nil {
		return nil, &DSNError{Key: "azure_credential", Err: errors.New("Azure AD credentials are missing: " + strings.Join(names, ", "))}
	}
	return azidentity.NewEnvironmentCredential(&azidentity.EnvironmentCredentialOptions{
		ClientOptions: b.options, DisableInstanceDiscovery: b.cfg.DisableInstanceDiscovery})
}

func (b credentialBuilder) workloadIdentity() (azcore.TokenCredential, error) {
	file := newSetting("azure_federated_token_file", "AZURE_FEDERATED_TOKEN_FILE", b.cfg.FederatedTokenFile)
	if err := missing(b.tenant, b.client, file); err != nil {
		return nil, webhookError(err)
	}
	if f, err := os.Open(file.value); err != nil {
		return nil, fileError(file.key, err)
	} else {
		_ = f.Close()
	}
	return azidentity.NewWorkloadIdentityCredential(&azidentity.WorkloadIdentityCredentialOptions{
		ClientOptions: b.options, DisableInstanceDiscovery: b.cfg.DisableInstanceDiscovery,
		TenantID: b.tenant.value, ClientID: b.client.value, TokenFilePath: file.value})
}

// webhookError adds to the error of missing who sets these variables.
func webhookError(err error) error {
	var de *DSNError
	if errors.As(err, &de) {
		de.Err = fmt.Errorf("%w: %s", de.Err, webhookAdvice)
	}
	return err
}

// managedIdentity reads no variable: AZURE_CLIENT_ID of an AKS pod names the
// workload's identity, which may be another one. azidentity does the same.
func (b credentialBuilder) managedIdentity() (azcore.TokenCredential, error) {
	o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: b.options}
	switch {
	case b.cfg.ClientID != "":
		o.ID = azidentity.ClientID(b.cfg.ClientID)
	case b.cfg.ManagedIdentityResourceID != "":
		o.ID = azidentity.ResourceID(b.cfg.ManagedIdentityResourceID)
	case b.cfg.ManagedIdentityObjectID != "":
		o.ID = azidentity.ObjectID(b.cfg.ManagedIdentityObjectID)
	}
	return azidentity.NewManagedIdentityCredential(o)
}

func (b credentialBuilder) clientSecret() (azcore.TokenCredential, error) {
	secret := newSetting("azure_client_secret", "AZURE_CLIENT_SECRET", string(b.cfg.ClientSecret))
	if err := missing(b.tenant, b.client, secret); err != nil {
		return nil, err
	}
	return azidentity.NewClientSecretCredential(b.tenant.value, b.client.value, secret.value,
		&azidentity.ClientSecretCredentialOptions{ClientOptions: b.options, DisableInstanceDiscovery: b.cfg.DisableInstanceDiscovery})
}

func (b credentialBuilder) clientCertificate() (azcore.TokenCredential, error) {
	path := newSetting("azure_client_certificate_path", "AZURE_CLIENT_CERTIFICATE_PATH", b.cfg.ClientCertificatePath)
	if err := missing(b.tenant, b.client, path); err != nil {
		return nil, err
	}
	data, err := os.ReadFile(path.value)
	if err != nil {
		return nil, fileError(path.key, err)
	}
	var password []byte
	if p := newSetting("", "AZURE_CLIENT_CERTIFICATE_PASSWORD", string(b.cfg.ClientCertificatePassword)); p.value != "" {
		password = []byte(p.value)
	}
	certs, key, err := azidentity.ParseCertificates(data, password)
	if err != nil {
		return nil, &DSNError{Key: path.key, Err: errors.New("the file must hold a certificate and its private key in PEM or PKCS#12, and azure_client_certificate_password must fit")}
	}
	return azidentity.NewClientCertificateCredential(b.tenant.value, b.client.value, certs, key,
		&azidentity.ClientCertificateCredentialOptions{ClientOptions: b.options, DisableInstanceDiscovery: b.cfg.DisableInstanceDiscovery,
			SendCertificateChain: sendCertificateChain()})
}

// sendCertificateChain reads the variable as azidentity's EnvironmentCredential does.
func sendCertificateChain() bool {
	v := os.Getenv("AZURE_CLIENT_SEND_CERTIFICATE_CHAIN")
	return v == "1" || strings.EqualFold(v, "true")
}

// fileError says what is wrong with the file of key without naming it.
func fileError(key string, err error) error {
	what := explain.File(err)
	if key == "azure_federated_token_file" && errors.Is(err, fs.ErrNotExist) {
		what += ": " + webhookAdvice
	}
	return &DSNError{Key: key, Err: errors.New(what)}
}

// credentialName names a credential from code by its type.
func credentialName(cred azcore.TokenCredential) string {
	if cred == nil {
		return "nil"
	}
	name := fmt.Sprintf("%T", cred)
	return name[strings.LastIndex(name, ".")+1:]
}

// failedResponse returns the response in an error of azidentity or azcore, if it has one.
// Its request can hold the client secret: the response must not be kept.
func failedResponse(err error) *http.Response {
	var failed *azidentity.AuthenticationFailedError
	if errors.As(err, &failed) {
		return failed.RawResponse
	}
	var refused *azcore.ResponseError
	if errors.As(err, &refused) {
		return refused.RawResponse
	}
	return nil
}
