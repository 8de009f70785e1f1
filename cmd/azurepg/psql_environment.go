package main

import (
	"maps"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/azurepg/azurepg"
)

// psqlEnvironment is environ with the settings of cfg and login for libpq in place of all
// it has for one, and without Azure's secrets.
func psqlEnvironment(cfg *azurepg.Config, login azurepg.Login, environ []string, roots string) []string {
	hidden := secretsOf(cfg, environ)
	env := slices.DeleteFunc(slices.Clone(environ), func(kv string) bool {
		name, value, _ := strings.Cut(kv, "=")
		name = strings.ToUpper(name) // Windows knows no case in them
		return isLibpqs(name) || slices.Contains(secretVariables, name) || holdsOneOf(value, hidden)
	})
	for _, set := range psqlSettings(cfg, login, roots) {
		if set[1] != "" {
			env = append(env, set[0]+"="+set[1])
		}
	}
	return env
}

// isLibpqs reports whether a variable describes a connection. All of libpq's begin alike;
// the others are of psql itself, or say where files of the installation are.
func isLibpqs(name string) bool {
	return strings.HasPrefix(name, "PG") && !slices.Contains([]string{"PG_COLOR", "PG_COLORS", "PGSYSCONFDIR", "PGLOCALEDIR"}, name)
}

// secretVariables are those of azidentity and of Azure's identity endpoints.
var secretVariables = []string{"AZURE_CLIENT_SECRET", "AZURE_CLIENT_CERTIFICATE_PASSWORD", "AZURE_PASSWORD", "IDENTITY_HEADER", "MSI_SECRET"}

// secretsOf are the secrets that a variable can hold under any name, such as that of the
// DSN.
func secretsOf(cfg *azurepg.Config, environ []string) []string {
	secrets := []string{string(cfg.ClientSecret), string(cfg.ClientCertificatePassword)}
	for _, kv := range environ {
		if name, value, _ := strings.Cut(kv, "="); slices.Contains(secretVariables, strings.ToUpper(name)) {
			secrets = append(secrets, value)
		}
	}
	return slices.DeleteFunc(secrets, func(s string) bool { return s == "" })
}

func holdsOneOf(value string, secrets []string) bool {
	plain, err := url.PathUnescape(value)
	if err != nil {
		plain = value
	}
	return slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(value, s) || strings.Contains(plain, s) })
}

// psqlSettings are libpq's variables. An empty value is none.
// Source: PostgreSQL documentation, 34.15 Environment Variables, read 2026-11.
func psqlSettings(cfg *azurepg.Config, login azurepg.Login, roots string) [][2]string {
	names, addrs, ports := hostLists(cfg.Hosts)
	params := maps.Clone(cfg.RuntimeParams)
	take := func(name string) string {
		defer delete(params, name)
		return params[name]
	}
	return [][2]string{
		{"PGHOST", names}, {"PGHOSTADDR", addrs}, {"PGPORT", ports},
		{"PGDATABASE", cfg.Database}, {"PGUSER", login.User}, {"PGPASSWORD", string(login.Password)},
		{"PGSSLMODE", cfg.SSLMode}, {"PGSSLROOTCERT", rootsFor(cfg, roots)}, {"PGSSLCERT", cfg.SSLCert}, {"PGSSLKEY", cfg.SSLKey},
		{"PGSSLMINPROTOCOLVERSION", cfg.SSLMinVersion}, {"PGSSLNEGOTIATION", cfg.SSLNegotiation},
		{"PGGSSENCMODE", "disable"}, {"PGREQUIREAUTH", "password"}, // as azurepg itself; psql before 16 does not know the second
		{"PGCONNECT_TIMEOUT", timeoutSeconds(cfg.ConnectTimeout)}, {"PGTARGETSESSIONATTRS", cfg.TargetSessionAttrs},
		{"PGAPPNAME", take("application_name")}, {"PGCLIENTENCODING", take("client_encoding")}, {"PGTZ", take("timezone")},
		{"PGDATESTYLE", take("datestyle")}, {"PGGEQO", take("geqo")}, {"PGOPTIONS", serverOptions(take("options"), params)},
	}
}

// rootsFor is the file that verifies the server. For sslmode=require there is none;
// libpq then takes ~/.postgresql/root.crt if that exists, and verifies more.
func rootsFor(cfg *azurepg.Config, roots string) string {
	if cfg.SSLRootCert == "" && cfg.SSLMode == "verify-full" {
		return roots
	}
	return cfg.SSLRootCert
}

// hostLists are the hosts as libpq writes them.
func hostLists(hosts []azurepg.Host) (names, addrs, ports string) {
	var n, a, p []string
	for _, h := range hosts {
		n, a, p = append(n, h.Name), append(a, h.Addr), append(p, strconv.Itoa(int(h.Port)))
	}
	if addrs = strings.Join(a, ","); strings.Trim(addrs, ",") == "" {
		addrs = ""
	}
	return strings.Join(n, ","), addrs, strings.Join(p, ",")
}

// timeoutSeconds rounds up: less than asked for would be a new limit.
func timeoutSeconds(d time.Duration) string {
	if d < 0 {
		return "0"
	}
	return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10)
}

// serverOptions adds the run-time parameters that have no variable.
func serverOptions(options string, params map[string]string) string {
	escape := strings.NewReplacer(`\`, `\\`, " ", `\ `, "\t", "\\\t", "\n", "\\\n", "\r", "\\\r", "\v", "\\\v", "\f", "\\\f")
	for _, name := range slices.Sorted(maps.Keys(params)) {
		options += " -c " + name + "=" + escape.Replace(params[name])
	}
	return strings.TrimSpace(options)
}
