package doctor_test

import (
	"context"
	"fmt"
	"log"

	"github.com/azurepg/azurepg/azurepgtest"
	"github.com/azurepg/azurepg/doctor"
)

// An examination of a DSN that names a role of somebody else.
func ExampleExamine() {
	azure, err := azurepgtest.New(nil)
	if err != nil {
		log.Fatal(err)
	}
	defer azure.Close()
	app := azure.AddServicePrincipal("app")
	if err := azure.Postgres.AddRole(context.Background(), "reports", azure.AddServicePrincipal("reporter")); err != nil {
		log.Fatal(err)
	}
	dsn := fmt.Sprintf("host=%s port=%d user=reports dbname=postgres sslrootcert=%s azure_credential=client_secret azure_tenant_id=%s azure_client_id=%s azure_client_secret=%s",
		azure.Postgres.Host, azure.Postgres.Port, azure.Postgres.CAFile, app.TenantID, app.ClientID, app.Secret)

	report := doctor.Examine(context.Background(), dsn, func(s doctor.Step) { fmt.Println(s.Name, s.Status) })
	fmt.Println(report.OK, report.FirstFailure().Cure[:79])
	// Output:
	// dsn ok
	// dns ok
	// tcp ok
	// tls ok
	// credential ok
	// token ok
	// login failed
	// role skipped
	// server skipped
	// false the role was made for another object id: a principal that is made anew keeps it
}
