package main

import (
	"context"
	"fmt"
	"os"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
)

// person is a credential that asks somebody to log in. Asked by Authenticate
// alone, it does so when the program says, not in the middle of a query; later
// tokens come without a person, for as long as Entra lets the login last.
type person interface {
	azcore.TokenCredential
	Authenticate(context.Context, *policy.TokenRequestOptions) (azidentity.AuthenticationRecord, error)
}

// The credentials are no DSN keys: the first two open a window or print a line for
// a person, the third takes the token of a running build, which is no setting. A
// driver must do neither by itself.
var credentials = map[string]func(azcore.ClientOptions) (azcore.TokenCredential, error){
	"browser":   browser,
	"device":    device,
	"pipelines": pipelines,
}

func browser(options azcore.ClientOptions) (azcore.TokenCredential, error) {
	return azidentity.NewInteractiveBrowserCredential(&azidentity.InteractiveBrowserCredentialOptions{
		ClientOptions:                  options,
		TenantID:                       os.Getenv("AZURE_TENANT_ID"), // empty: the person's own
		DisableAutomaticAuthentication: true,
	})
}

// device prints an address and a code, for machines without a browser.
func device(options azcore.ClientOptions) (azcore.TokenCredential, error) {
	return azidentity.NewDeviceCodeCredential(&azidentity.DeviceCodeCredentialOptions{
		ClientOptions:                  options,
		TenantID:                       os.Getenv("AZURE_TENANT_ID"),
		DisableAutomaticAuthentication: true,
		UserPrompt: func(_ context.Context, message azidentity.DeviceCodeMessage) error {
			_, err := fmt.Fprintln(os.Stderr, message.Message)
			return err
		},
	})
}

// pipelines is the service connection of an Azure Pipelines task. The tasks
// AzureCLI@2 and AzurePowerShell@5 set the first three variables; a script has to
// be given the last one: env: SYSTEM_ACCESSTOKEN: $(System.AccessToken).
func pipelines(options azcore.ClientOptions) (azcore.TokenCredential, error) {
	return azidentity.NewAzurePipelinesCredential(
		os.Getenv("AZURESUBSCRIPTION_TENANT_ID"),
		os.Getenv("AZURESUBSCRIPTION_CLIENT_ID"),
		os.Getenv("AZURESUBSCRIPTION_SERVICE_CONNECTION_ID"),
		os.Getenv("SYSTEM_ACCESSTOKEN"),
		&azidentity.AzurePipelinesCredentialOptions{ClientOptions: options})
}
