package main

import (
	"github.com/azurepg/azurepg/azurepgtest"
)

// identity is what DefaultAzureCredential finds in the environment of the application.
var identity = []string{"AZURE_TENANT_ID={tenant}", "AZURE_CLIENT_ID={client}", "AZURE_CLIENT_SECRET={secret}"}

// known are the variables of a machine that trusts the server's authority.
func known(more ...string) []string { return append([]string{"PGSSLROOTCERT={ca}"}, more...) }

var (
	everything = known(identity...)
	works      = settings{"postgres://app@{host}/shop", everything}
)

var faults = []fault{
	{
		title: "A server whose certificate nobody here knows",
		cause: "A server of your own, or a test server, with a certificate that is signed by itself or by an authority of yours. Azure's are public.",
		do: "Give the file of the authority's certificate. (`sslmode=require` would connect to whoever answers, and send him the token: for a server " +
			"that is not Azure's azurepg does that if it is told to, and warns of it.)",
		bad:  settings{"postgres://app@{host}/shop", identity},
		good: settings{"postgres://app@{host}/shop?sslrootcert={ca}", identity},
	},
	{
		title: "A role that is not there",
		cause: "The user in the DSN is misspelt, or nobody has made the role yet.",
		do:    "Spell it as the server does, or make it: the message holds the statement, with the object id of the token's owner in its place.",
		bad:   settings{"postgres://ap@{host}/shop", everything},
		good:  works,
	},
	{
		title: "No user, and a token that names none",
		cause: "Without a user azurepg asks the token. Those of people and of user-assigned identities name one; those of service principals and system-assigned identities do not.",
		do:    "Name the role, in the DSN or in PGUSER.",
		bad:   settings{"postgres://{host}/shop", everything},
		good:  works,
	},
	{
		title: "No credentials",
		cause: "The chain of credentials is asked one by one, and none has anything to log in with. Here only the tenant is set.",
		do:    "Set what the one needs that is meant to work here: on Azure an identity assigned to the machine, elsewhere an application's variables or `az login`.",
		bad:   settings{"postgres://app@{host}/shop", known("AZURE_TENANT_ID={tenant}")},
		good:  works,
	},
	{
		title: "A client secret that has expired",
		cause: "Entra knows the application and takes its secret no more.",
		do:    "Make a new secret, deploy it and start the program anew. (A certificate or federated token in a file is read again by itself.)",
		spoil: func(s *stage) { s.azure.Entra.ExpireSecret(s.app) },
		bad:   works,
		cure:  func(s *stage) { s.secret = s.azure.Entra.NewSecret(s.app) },
		good:  works,
	},
	{
		title: "A firewall that refuses",
		cause: "The server's firewall rules do not have the address that you come from.",
		do:    "Add a rule, or come from the virtual network.",
		spoil: func(s *stage) { s.azure.Postgres.RejectBefore(true) },
		bad:   works,
		cure:  func(s *stage) { s.azure.Postgres.RejectBefore(false) },
		good:  works,
	},
	{
		title: "A firewall that is silent",
		cause: "Something on the way drops the packets. azurepg waits for 30 seconds at each host, or for `connect_timeout`.",
		do:    "Let them through, to port 5432.",
		spoil: func(s *stage) { s.azure.Postgres.SetBlackHole(true) },
		bad:   settings{"postgres://app@{host}/shop?connect_timeout=1", everything},
		cure:  func(s *stage) { s.azure.Postgres.SetBlackHole(false) },
		good:  works,
	},
	{
		title: "A host that is not known",
		cause: "The name is misspelt, or the server has private access, and its name is known in its own network alone.",
		do:    "Correct it, or link the private DNS zone to the network of this machine. For a tunnel, `hostaddr` is the address to dial, and host stays the name to verify.",
		bad:   settings{"postgres://app@mydb.postgres.database.azure.com/shop", everything},
		good:  works,
	},
	{
		title: "Port 6432, and no PgBouncer",
		cause: "Azure's PgBouncer listens there once it is switched on. Behind it logins need [some care](pgbouncer.md).",
		do:    "Switch it on (server parameter `pgbouncer.enabled`), or use port 5432.",
		bad:   settings{"postgres://app@{closed}/shop", everything},
		good:  works,
	},
	{
		title: "A password in the DSN",
		cause: "A DSN from before. azurepg sends no passwords, so this one is refused before anything is dialled, and it is not shown.",
		do:    "Take it out, and change it where it is still good.",
		bad:   settings{"postgres://app:hunter2@{host}/shop", everything},
		good:  works,
	},
	{
		title: "TLS switched off",
		cause: "A DSN from a database on a developer's machine.",
		do:    "Leave sslmode out: verify-full is the default.",
		bad:   settings{"postgres://app@{host}/shop?sslmode=disable", everything},
		good:  works,
	},
}

// newStage starts Azure, and an application with a database.
func newStage() (*stage, error) {
	azure, err := azurepgtest.New(nil)
	if err != nil {
		return nil, err
	}
	app := azure.AddServicePrincipal("app")
	s := &stage{azure: azure, app: app, secret: app.Secret}
	return s, nil
}
