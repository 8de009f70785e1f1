package azurepg

import (
	"errors"
	"testing"
)

// modeWanted is the rule in words, written once more: want is the mode, or the key
// of the ErrInsecureTLS.
func modeWanted(dsn, service, env string, azure bool) (mode, insecureKey string) {
	weak := func(m string) bool { return m == "disable" || m == "prefer" }
	switch {
	case weak(dsn):
		return "", "sslmode"
	case dsn == "" && weak(service):
		return "", "sslmode"
	case dsn == "" && weak(env):
		return "", "PGSSLMODE"
	case azure || dsn == "" || dsn == "verify-full" || service == "verify-full" || env == "verify-full":
		return "verify-full", ""
	}
	return "require", ""
}

func TestSSLModeOfEverySourceAndHost(t *testing.T) {
	modes := []string{"", "disable", "prefer", "require", "verify-full"}
	for _, host := range []string{"h", "10.0.0.1", "x.postgres.database.azure.com", "h,x.postgres.cosmos.azure.com"} {
		azure := len(host) > len("10.0.0.1")
		for _, dsn := range modes {
			for _, service := range modes {
				for _, env := range modes {
					src := stubSource(map[string]string{"PGSSLMODE": env, "PGSERVICE": "s"},
						map[string]string{"/home/u/.pg_service.conf": "[s]\nsslmode=" + service})
					c, err := parseDSN("host="+host+" sslmode='"+dsn+"'", src)
					mode, key := modeWanted(dsn, service, env, azure)
					var d *DSNError
					switch {
					case key != "" && (!errors.Is(err, ErrInsecureTLS) || !errors.As(err, &d) || d.Key != key):
						t.Errorf("host %s, DSN %q, service %q, environment %q: got %v; want ErrInsecureTLS for %s", host, dsn, service, env, err, key)
					case key == "" && (err != nil || c.SSLMode != mode):
						t.Errorf("host %s, DSN %q, service %q, environment %q: got %v, %v; want %s", host, dsn, service, env, c, err, mode)
					}
				}
			}
		}
	}
}

func TestSSLModeWithARootFileIsAtLeastVerifyCA(t *testing.T) {
	for _, tt := range []struct{ host, mode, want string }{
		{"h", "", "verify-full"},
		{"h", "require", "verify-ca"},
		{"h", "verify-ca", "verify-ca"},
		{"h", "verify-full", "verify-full"},
		{"x.postgres.database.azure.com", "verify-ca", "verify-full"},
	} {
		for _, env := range []bool{false, true} {
			dsn, vars := "host="+tt.host+" sslmode='"+tt.mode+"'", map[string]string{}
			if env {
				vars["PGSSLROOTCERT"] = "/r.pem"
			} else {
				dsn += " sslrootcert=/r.pem"
			}
			c, err := parseDSN(dsn, stubSource(vars, nil))
			if err != nil {
				t.Fatal(err)
			}
			if c.SSLMode != tt.want || c.SSLRootCert != "/r.pem" {
				t.Errorf("%s, %v: got %s with %q; want %s", dsn, vars, c.SSLMode, c.SSLRootCert, tt.want)
			}
		}
	}
}

func TestWeakSSLModesSayWhatToUse(t *testing.T) {
	const line = ": a token is only ever sent inside TLS, to a server verified as sslmode demands: use verify-full"
	for _, mode := range []string{"disable", "allow", "prefer"} {
		for _, host := range []string{"h", "x.postgres.database.azure.com"} {
			_, err := parseDSN("host="+host+" sslmode="+mode, stubSource(nil, nil))
			wantDSNError(t, err, "azurepg: sslmode"+line)
			_, err = parseDSN("host="+host, stubSource(map[string]string{"PGSSLMODE": mode}, nil))
			wantDSNError(t, err, "azurepg: PGSSLMODE"+line)
			_, err = parseDSN("host="+host+" service=s", stubSource(nil, map[string]string{"/home/u/.pg_service.conf": "[s]\nsslmode=" + mode}))
			wantDSNError(t, err, "azurepg: sslmode: in the service file"+line)
			if !errors.Is(err, ErrInsecureTLS) {
				t.Errorf("got %v; want ErrInsecureTLS", err)
			}
		}
	}
	_, err := parseDSN("postgres://h/?ssl=false&sslmode=require", stubSource(nil, nil))
	wantDSNError(t, err, "azurepg: sslmode"+line)
	_, err = parseDSN("postgres://h/?sslmode=require", stubSource(map[string]string{"PGSSLMODE": "verify_full"}, nil))
	wantDSNError(t, err, "azurepg: PGSSLMODE: it must be require, verify-ca or verify-full")
}

func TestAzureHostsByLabel(t *testing.T) {
	for _, tt := range []struct {
		name, cloud string
		cosmos, ok  bool
	}{
		{"x.postgres.database.azure.com", "public", false, true},
		{"X.Postgres.Database.Azure.Com.", "public", false, true},
		{"x.writer.postgres.database.azure.com", "public", false, true},
		{"x.privatelink.postgres.database.azure.com", "public", false, true},
		{"postgres.database.azure.com", "public", false, true},
		{"c-x.1.postgres.cosmos.azure.com", "public", true, true},
		{"x.postgres.database.usgovcloudapi.net", "usgovernment", false, true},
		{"x.postgres.cosmos.azure.us", "usgovernment", true, true},
		{"x.postgres.database.chinacloudapi.cn", "china", false, true},
		{"x.postgres.cosmos.azure.cn", "china", true, true},
		{"xpostgres.database.azure.com", "", false, false},
		{"x.postgres.database.azure.com.example.com", "", false, false},
		{"x.mysql.database.azure.com", "", false, false},
		{"database.azure.com", "", false, false},
		{"", "", false, false},
		{".", "", false, false},
	} {
		cloud, cosmos, ok := azureHost(tt.name)
		if cloud != tt.cloud || cosmos != tt.cosmos || ok != tt.ok {
			t.Errorf("azureHost(%q): got %q, %v, %v; want %q, %v, %v", tt.name, cloud, cosmos, ok, tt.cloud, tt.cosmos, tt.ok)
		}
	}
}
