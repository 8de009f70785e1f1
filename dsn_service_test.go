package azurepg

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

func TestSettingsComeFromDSNThenServiceThenEnvironmentThenDefault(t *testing.T) {
	const service = "[s]\n application_name = service \nconnect_timeout=2\n"
	for _, tt := range []struct {
		name, dsn string
		service   string
		env       map[string]string
		app       string
		seconds   float64
	}{
		{"default", "", "", nil, "", 30},
		{"environment", "", "", map[string]string{"PGAPPNAME": "env", "PGCONNECT_TIMEOUT": "3"}, "env", 3},
		{"empty variable", "", "", map[string]string{"PGAPPNAME": "", "PGCONNECT_TIMEOUT": ""}, "", 30},
		{"service before environment", "", service, map[string]string{"PGAPPNAME": "env", "PGCONNECT_TIMEOUT": "3"}, "service", 2},
		{"DSN before service", "application_name=dsn", service, map[string]string{"PGAPPNAME": "env"}, "dsn", 2},
		{"DSN before environment", "application_name=dsn connect_timeout=1", "", map[string]string{"PGAPPNAME": "env", "PGCONNECT_TIMEOUT": "3"}, "dsn", 1},
		{"overruled variables may be wrong", "connect_timeout=1", "", map[string]string{"PGCONNECT_TIMEOUT": "x"}, "", 1},
		{"empty in the DSN", "application_name='' connect_timeout=''", service, nil, "service", 2},
	} {
		t.Run(tt.name, func(t *testing.T) {
			dsn := "host=h " + tt.dsn
			if tt.service != "" {
				dsn += " service=s"
			}
			c, err := parseDSN(dsn, stubSource(tt.env, map[string]string{"/home/u/.pg_service.conf": tt.service}))
			if err != nil {
				t.Fatal(err)
			}
			if app := c.RuntimeParams["application_name"]; app != tt.app || c.ConnectTimeout.Seconds() != tt.seconds {
				t.Errorf("got %q, %v; want %q, %v s", app, c.ConnectTimeout, tt.app, tt.seconds)
			}
		})
	}
}

const serviceFile = "\ufeff# comment\r\n" +
	"nonsense before any section\r\n" +
	"[other]\r\nalso nonsense\r\npassword=HUNTER\r\n" +
	"[s]\r\n# host=x\r\n\r\nhost=a,b\r\nport = 1,2\r\nuser=alice@contoso.com\r\ndbname=my shop\r\nazure_credential=client_secret\r\nazure_client_secret=HUN=TER\r\n" +
	"Search_Path=app\r\npassword=\r\n" +
	"[s]\r\nhost=second\r\n" +
	"[weak]\r\nhost=h\r\nsslmode=disable\r\n"

func TestServiceFileIsReadAsLibpqDoes(t *testing.T) {
	want := defaultConfig(Host{Name: "a", Port: 1}, Host{Name: "b", Port: 2})
	want.User, want.Database, want.AzureCredential, want.ClientSecret = "alice@contoso.com", "my shop", "client_secret", "HUN=TER"
	want.RuntimeParams = map[string]string{"search_path": "app"}
	files := map[string]string{"/f": serviceFile}
	home := map[string]string{"/home/u/.pg_service.conf": serviceFile}
	sys := map[string]string{"/home/u/.pg_service.conf": "[t]\nhost=x", "/etc/pg/pg_service.conf": serviceFile, "/f": "[t]"}
	for _, tt := range []struct {
		name, dsn  string
		env, files map[string]string
	}{
		{"servicefile of the DSN", "service=s servicefile=/f", map[string]string{"PGSERVICEFILE": "/missing", "PGSERVICE": "t"}, files},
		{"variables", "", map[string]string{"PGSERVICEFILE": "/f", "PGSERVICE": "s"}, files},
		{"in a URL", "postgres://?service=s", map[string]string{"PGSERVICEFILE": "/f"}, files},
		{"home directory", "service=s", nil, home},
		{"system's file without another", "service=s", map[string]string{"PGSYSCONFDIR": "/etc/pg"}, map[string]string{"/etc/pg/pg_service.conf": serviceFile}},
		{"system's file behind that of the home", "service=s", map[string]string{"PGSYSCONFDIR": "/etc/pg"}, sys},
		{"system's file behind a named one", "service=s servicefile=/f", map[string]string{"PGSYSCONFDIR": "/etc/pg"}, sys},
	} {
		t.Run(tt.name, func(t *testing.T) {
			got, err := parseDSN(tt.dsn, stubSource(tt.env, tt.files))
			if err != nil {
				t.Fatal(err)
			}
			if !reflect.DeepEqual(got, want) {
				t.Errorf("got  %+v\nwant %+v", got, want)
			}
		})
	}
}

func TestRefusedServices(t *testing.T) {
	const notFound = "azurepg: service: no service file has this service: looked for it in servicefile or PGSERVICEFILE, else ~/.pg_service.conf, and in PGSYSCONFDIR/pg_service.conf"
	for _, tt := range []struct{ name, dsn, file, want string }{
		{"no such section", "service=HUNTER", serviceFile, notFound},
		{"no such file", "service=HUNTER servicefile=/HUNTER", serviceFile, "azurepg: service: the service file does not exist"},
		{"file that cannot be read", "service=HUNTER servicefile=/locked", serviceFile, "azurepg: service: the service file cannot be read"},
		{"password", "service=other", "[other]\nhost=h\nnonsense\npassword=HUNTER", "azurepg: password: in the service file: a password is given, but azurepg logs in with Entra tokens only: remove it"},
		{"password by another name", "service=s", "[s]\nPWD=HUNTER", "azurepg: password: in the service file: a password is given, but azurepg logs in with Entra tokens only: remove it"},
		{"nonsense", "service=s", "[s]\nHUNTER", "azurepg: service: in the service file: line 2 is not of the form key=value"},
		{"nested", "service=s", "[s]\nservice=HUNTER", "azurepg: service: in the service file: line 2 names another service, which libpq forbids too"},
		{"nested file", "service=s", "[s]\nservicefile=HUNTER", "azurepg: service: in the service file: line 2 names another service, which libpq forbids too"},
		{"LDAP", "service=s", "[s]\nldap://HUNTER/?x=y", "azurepg: service: in the service file: line 2 asks an LDAP server, which azurepg does not do"},
		{"weak mode", "service=weak", serviceFile, "azurepg: sslmode: in the service file: a token is only ever sent inside TLS, to a server verified as sslmode demands: use verify-full"},
		{"unix socket", "service=s", "[s]\nhost=/HUNTER", "azurepg: host: in the service file: a unix socket cannot do TLS: give a host name or an IP address"},
		{"port", "host=h service=s", "[s]\nport=HUNTER", "azurepg: port: in the service file: it must be a number from 1 to 65535"},
		{"misspelt", "service=s", "[s]\nhost=h\nsslmod=x", "azurepg: sslmode: in the service file: line 3 looks like a misspelt sslmode: write that"},
		{"unknown azure key", "service=s", "[s]\nazure_HUNTER=x", "azurepg: service: line 2 begins with azure, but is no key of azurepg: ParseDSN lists them"},
		{"inert key", "service=s channel_binding=prefer", "[s]\nhost=h\nchannel_binding=require", "azurepg: channel_binding: in the service file: a token is sent as a password inside TLS, which cannot be bound to the channel: leave it out, or say disable or prefer"},
		{"twice", "service=s", "[s]\nhost=h\nhost=HUNTER", "azurepg: host: in the service file: it is given twice, with different values"},
		{"NUL", "service=s", "[s]\nhost=h\x00", "azurepg: service: it holds a NUL character, which PostgreSQL cannot take"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			src := stubSource(nil, map[string]string{"/home/u/.pg_service.conf": tt.file})
			read := src.readFile
			src.readFile = func(name string) ([]byte, error) {
				if name == "/locked" {
					return nil, &fs.PathError{Op: "open", Path: "/HUNTER", Err: fs.ErrPermission}
				}
				return read(name)
			}
			_, err := parseDSN(tt.dsn, src)
			wantDSNError(t, err, tt.want)
			if strings.HasPrefix(tt.name, "password") != errors.Is(err, ErrPasswordInDSN) {
				t.Errorf("got %v", err)
			}
			if tt.name == "no such file" && !errors.Is(err, fs.ErrNotExist) {
				t.Error("the cause is lost")
			}
			var p *fs.PathError
			if errors.As(err, &p) {
				t.Error("the path can be had from the error")
			}
		})
	}
}

func TestServiceFileIsNotReadWithoutAService(t *testing.T) {
	src := stubSource(map[string]string{"PGSERVICEFILE": "/f", "PGSYSCONFDIR": "/etc"}, nil)
	src.readFile = func(string) ([]byte, error) { t.Error("a file was read"); return nil, fs.ErrNotExist }
	src.homeDir = func() (string, error) { t.Error("the home was asked for"); return "", nil }
	if _, err := parseDSN("host=h servicefile=/g", src); err != nil {
		t.Fatal(err)
	}
}

func TestServiceWithoutAHomeDirectory(t *testing.T) {
	src := stubSource(map[string]string{"PGSYSCONFDIR": "/etc/pg"}, map[string]string{"/etc/pg/pg_service.conf": "[s]\nhost=h"})
	src.homeDir = func() (string, error) { return "", errors.New("$HOME is not defined") }
	if c, err := parseDSN("service=s", src); err != nil || c.Hosts[0].Name != "h" {
		t.Errorf("got %v, %v", c, err)
	}
}

func TestReadSmallFileRefusesLargeFiles(t *testing.T) {
	name := filepath.Join(t.TempDir(), "large")
	for size, ok := range map[int]bool{0: true, 1 << 20: true, 1<<20 + 1: false} {
		if err := os.WriteFile(name, make([]byte, size), 0o600); err != nil {
			t.Fatal(err)
		}
		if data, err := readSmallFile(name); (err == nil) != ok || ok && len(data) != size {
			t.Errorf("%d bytes: got %d, %v", size, len(data), err)
		}
	}
}
