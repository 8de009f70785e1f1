package azurepgtest_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/azurepgtest"
)

// A test of an application: Azure is there while the test runs.
func ExampleStart() {
	_ = func(t *testing.T) {
		azure := azurepgtest.Start(t)
		db, err := sql.Open("azurepg", azure.DSN("orders"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if err := db.PingContext(t.Context()); err != nil {
			t.Fatal(err)
		}
		azure.Entra.RevokeTokens()
		azure.Postgres.KillConnections()
		if err := db.PingContext(t.Context()); err != nil {
			t.Errorf("after a revocation: %v; want a login with a new token", err)
		}
	}
}

// Tests of a package share a Server that TestMain starts and closes. Each has a database
// of its own, which goes with it.
func ExampleServer_NewDatabase() {
	var azure *azurepgtest.Server // azurepgtest.New(nil), in TestMain
	_ = func(t *testing.T) {
		t.Parallel()
		db, err := sql.Open("azurepg", azure.NewDatabase(t, "orders"))
		if err != nil {
			t.Fatal(err)
		}
		defer db.Close()
		if _, err := db.ExecContext(t.Context(), "create table orders (id int)"); err != nil {
			t.Fatal(err)
		}
	}
}

// A program has the Server of New, and closes it.
func ExampleNew() {
	azure, err := azurepgtest.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer azure.Close()

	db, err := sql.Open(azurepg.DriverName, azure.DSN("my app"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	var user string
	err = db.QueryRowContext(context.Background(), "select current_user").Scan(&user)
	fmt.Println(user, err, len(azure.Entra.Tokens()))
	// Output: my app <nil> 1
}

// The night when Entra is down: with a token connections go on, and without one they
// wait no longer than the caller wants to.
func ExampleEntra_Fault() {
	azure, err := azurepgtest.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer azure.Close()
	db, err := sql.Open(azurepg.DriverName, azure.DSN("app"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	azure.Entra.Fault(azurepgtest.Hang)
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	fmt.Println("no token:", errors.Is(db.PingContext(ctx), context.DeadlineExceeded))

	azure.Entra.ClearFaults()
	fmt.Println("Entra is back:", db.Ping())

	azure.Entra.Fault(azurepgtest.Reset)
	azure.Postgres.KillConnections()
	fmt.Println("with a token:", db.Ping())
	// Output:
	// no token: true
	// Entra is back: <nil>
	// with a token: <nil>
}

// Other processes find the Server by their environment, and log in with a token for a
// password.
func ExampleServer_Env() {
	azure, err := azurepgtest.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer azure.Close()
	app := azure.AddServicePrincipal("app")

	psql := exec.Command("psql", "--no-psqlrc", "--tuples-only", "--no-align", "--command", "select current_user")
	psql.Env = append(os.Environ(), azure.Env()...)
	psql.Env = append(psql.Env, "PGUSER="+app.Name, "PGPASSWORD="+azure.Entra.Mint(app, nil))
	out, err := psql.CombinedOutput()
	fmt.Println(strings.TrimSpace(string(out)), err)
	// Output: app <nil>
}

// A server that goes away and comes back.
func ExamplePostgres_Stop() {
	azure, err := azurepgtest.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer azure.Close()
	db, err := sql.Open(azurepg.DriverName, azure.DSN("app"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()

	for _, step := range []struct {
		name string
		do   func() error
	}{{"stopped", azure.Postgres.Stop}, {"started", azure.Postgres.Start}} {
		if err := step.do(); err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(step.name, db.Ping() == nil)
	}
	// Output:
	// stopped false
	// started true
}

// Without azurepg a token is a password.
func ExampleEntra_Mint() {
	azure, err := azurepgtest.New(nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer azure.Close()
	app := azure.AddServicePrincipal("my app")

	token := azure.Entra.Mint(app, nil)
	db, err := sql.Open("pgx", "host="+azure.Postgres.Host+" port="+fmt.Sprint(azure.Postgres.Port)+
		" user='my app' dbname=postgres sslmode=verify-full sslrootcert="+azure.Postgres.CAFile+" password="+token)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer db.Close()
	var user string
	err = db.QueryRowContext(context.Background(), "select current_user").Scan(&user)
	fmt.Println(user, err)
	// Output: my app <nil>
}
