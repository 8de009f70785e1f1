package azurepgtest

import (
	"fmt"
	"net"
	"net/url"
	"strings"
)

// DSN returns a URL for azurepg that logs in to database postgres as role name. The
// principal of that name does so, else the one that the role belongs to, else a service
// principal that is added, which AddServicePrincipal(name) then returns. A service
// principal logs in with its secret, the one of [Entra.NewSecret] if there was one, as
// does a group through a member; a managed identity asks its endpoint, and a user az,
// which has to be in front of PATH.
//
// The URL holds a secret, which opens nothing but s.
func (s *Server) DSN(name string) string {
	if s.tb != nil {
		s.tb.Helper()
	}
	return s.dsn(name, "postgres")
}

func (s *Server) dsn(name, database string) string {
	if s.tb != nil {
		s.tb.Helper()
	}
	if s.Postgres == nil {
		s.fail(fmt.Errorf("azurepgtest: DSN: there is no PostgreSQL"))
	}
	who := s.accountFor(name)
	if who.Kind == Group {
		who = s.directory.firstMember(who, ServicePrincipal, UserAssignedIdentity, SystemAssignedIdentity, User)
		if who == nil {
			s.fail(fmt.Errorf("azurepgtest: DSN: group %q has no members", name))
		}
	}
	settings := [][2]string{{"sslmode", "verify-full"}, {"sslrootcert", s.caFile}}
	if s.cloud != "" && s.cloud != Public {
		settings = append(settings, [2]string{"azure_cloud", string(s.cloud)})
	}
	settings = append(settings, s.credentialSettings(who)...)
	return "azurepg://" + url.User(name).String() + "@" + s.Postgres.Addr() + "/" + database + "?" + query(settings)
}

// accountFor returns the account that logs in as role name, a new one if there is none.
func (s *Server) accountFor(name string) *account {
	if a := s.directory.named(name); a != nil {
		return a
	}
	if owner := s.Postgres.roles.owner(name); owner != nil { // renamed, or of a role by AddRole
		if a := s.directory.withID(owner.ObjectID); a != nil {
			return a
		}
	}
	s.AddServicePrincipal(name)
	return s.directory.named(name)
}

// credentialSettings returns the azure_* keys with which azurepg becomes a. Each has an
// id of a or its tenant, by which azurepg finds the way here; so a system-assigned
// identity is named too, though it need not be for IMDS.
func (s *Server) credentialSettings(a *account) [][2]string {
	switch p := a.Principal; p.Kind {
	case ServicePrincipal:
		return [][2]string{{"azure_credential", "client_secret"}, {"azure_tenant_id", p.TenantID},
			{"azure_client_id", p.ClientID}, {"azure_client_secret", s.directory.secretOf(a)}}
	case UserAssignedIdentity:
		return [][2]string{{"azure_credential", "managed_identity"}, {"azure_client_id", p.ClientID}}
	case SystemAssignedIdentity:
		return [][2]string{{"azure_credential", "managed_identity"}, {"azure_managed_identity_object_id", p.ObjectID}}
	}
	return [][2]string{{"azure_credential", "azure_cli"}, {"azure_tenant_id", a.TenantID}}
}

// query joins settings for a URL. Not url.Values: its "+" for a space is a plus to
// PostgreSQL's clients.
func query(settings [][2]string) string {
	parts := make([]string, len(settings))
	for i, kv := range settings {
		parts[i] = kv[0] + "=" + strings.ReplaceAll(url.QueryEscape(kv[1]), "+", "%20")
	}
	return strings.Join(parts, "&")
}

// Env returns environment settings by which other processes, azidentity's users among
// them, take s for Azure and its PostgreSQL for the server: authority, tenant and
// certificates, PG* variables, and a proxy that stands for Entra's host names and IMDS
// and leads nowhere else. Go honours SSL_CERT_FILE everywhere but on Windows and
// macOS. Append them to os.Environ(), together with PGUSER and what the credential needs:
// for psql PGPASSWORD, a token of [Entra.Mint], and for a service principal
// AZURE_CLIENT_ID and AZURE_CLIENT_SECRET.
func (s *Server) Env() []string {
	web := "http://" + s.Entra.routes.identity
	env := []string{
		"AZURE_AUTHORITY_HOST=" + s.Entra.URL + "/",
		"AZURE_TENANT_ID=" + s.Entra.TenantID,
		"SSL_CERT_FILE=" + s.caFile,
		"HTTP_PROXY=" + web,
		"HTTPS_PROXY=" + web,
		"NO_PROXY=localhost,127.0.0.1,::1",
	}
	if s.Postgres != nil {
		host, port, _ := net.SplitHostPort(s.Postgres.Addr())
		env = append(env,
			"PGHOST="+host,
			"PGPORT="+port,
			"PGDATABASE=postgres",
			"PGSSLMODE=verify-full",
			"PGSSLROOTCERT="+s.caFile,
		)
	}
	return env
}
