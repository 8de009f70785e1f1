package azurepg

import (
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
)

func TestRedactMasksSecretsByShape(t *testing.T) {
	for _, row := range []struct{ name, in, want string }{
		{"a token", "got " + tokenText + " back", "got [redacted] back"},
		{"a token cut off", "got " + tokenText[:30], "got [redacted]"},
		{"a token cut off within eight characters", "got eyJhbGci", "got [redacted]"},
		{"a token in quotes", `"` + tokenText + `", next`, `"[redacted]", next`},
		{"a token in a URL", "https://h/" + tokenText + "?x=1", "https://h/[redacted]?x=1"},
		{"a token glued to a word", "x" + tokenText, "x[redacted]"},
		{"a token with padding", "eyJhbGciOiJS==.eyJzdWIiOi.SFVOVEVS x", "[redacted] x"},
		{"a token in JSON", `{"access_token":"` + tokenText + `","n":1}`, `{"access_token":"[redacted]","n":1}`},
		{"a token percent-encoded", "?t=" + strings.ReplaceAll(tokenText, ".", "%2E") + "&x=1", "?t=[redacted]&x=1"},
		{"a token percent-encoded twice", "?t=" + strings.ReplaceAll(tokenText, ".", "%252e") + "&x=1", "?t=[redacted]&x=1"},
		{"a token as the user of a URL", "postgres://" + tokenText + "@h/d", "postgres://[redacted]@h/d"},
		{"two tokens", tokenText + " " + tokenText, "[redacted] [redacted]"},

		{"a Bearer header", "Authorization: Bearer abcdefghijkl", "Authorization: Bearer [redacted]"},
		{"a Bearer header in small letters", "authorization: bearer abc", "authorization: bearer [redacted]"},
		{"a Basic header", "Authorization: Basic dTpIVU5URVIy\r\nHost: x", "Authorization: Basic [redacted]\r\nHost: x"},
		{"a header with parameters", "Authorization: Digest user=\"u\", response=\"HUNTER2\"\nHost: x", "Authorization: [redacted]\nHost: x"},
		{"a header without a scheme", "Authorization: HUNTER2", "Authorization: [redacted]"},
		{"a header in a Go map", "map[Authorization:[Bearer HUNTER2] X:[y]]", "map[Authorization:[redacted] X:[y]]"},
		{"an unknown scheme in a Go map", "map[Authorization:[HUN TER2] X:[y]]", "map[Authorization:[redacted] X:[y]]"},
		{"a header in JSON", `{"Authorization":["Bearer HUNTER2"],"n":1}`, `{"Authorization":[redacted],"n":1}`},
		{"a Bearer token alone", "sent Bearer 0.AAAA-HUNTER2 to x", "sent Bearer [redacted] to x"},
		{"the secret of App Service", "X-Identity-Header: 5E29463D-HUNTER2", "X-Identity-Header: [redacted]"},

		{"a URL", "postgres://u:HUNTER2@h/d", "postgres://u:[redacted]@h/d"},
		{"a URL without a user", "postgres://:HUNTER2@h/d", "postgres://:[redacted]@h/d"},
		{"a URL with @ and / in the password", "postgres://u:HUN@TE/R2@h/d", "postgres://u:[redacted]@h/d"},
		{"a URL with ? and # in the password", "postgres://u:HUN?TE#R2@h/d", "postgres://u:[redacted]@h/d"},
		{"a URL with a space in the password", "postgres://u:HUN TER2@h/d", "postgres://u:[redacted]@h/d"},
		{"a URL with quotes in the password", `postgres://u:HUN"TE'R2@h/d`, "postgres://u:[redacted]@h/d"},
		{"a URL with digits and / in the password", "postgres://u:12/HUNTER2@h/d", "postgres://u:[redacted]@h/d"},
		{"a URL with digits in the password", "postgres://u:12345@h/d", "postgres://u:[redacted]@h/d"},
		{"a URL with several hosts", "postgres://u:HUNTER2@h1:5432,h2:5433/d", "postgres://u:[redacted]@h1:5432,h2:5433/d"},
		{"a URL with an @ in the user", "postgres://alice@contoso.com:HUNTER2@h/d", "postgres://alice@contoso.com:[redacted]@h/d"},
		{"a URL with a guest's name", "postgres://a_b.com#EXT#@c.com:HUNTER2@h/d", "postgres://a_b.com#EXT#@c.com:[redacted]@h/d"},
		{"a URL with an @ in the query", "postgres://u:HUNTER2@h/d?user=a@b", "postgres://u:[redacted]@h/d?user=a@b"},
		{"a URL with its colon encoded", "postgres://u%3AHUNTER2@h/d", "postgres://u%3A[redacted]@h/d"},
		{"a URL within a URL", "?to=postgres%3A%2F%2Fu%3AHUNTER2%40h%2Fd&x=1", "?to=postgres%3A%2F%2Fu%3A[redacted]%40h%2Fd&x=1"},
		{"a URL encoded twice", "?to=postgres%253A%252F%252Fu%253AHUNTER2%2540h", "?to=postgres%253A%252F%252Fu%253A[redacted]%2540h"},
		{"a URL in JSON with escaped slashes", `{"u":"postgres:\/\/u:HUNTER2@h\/d"}`, `{"u":"postgres:\/\/u:[redacted]@h\/d"}`},
		{"a URL of the web", "https://u:HUNTER2@x:bad", "https://u:[redacted]@x:bad"},
		{"a URL without a host", "cannot parse `postgres://u:HUNTER2`: invalid port", "cannot parse `postgres://u:[redacted]`: invalid port"},
		{"a URL with a password for its port", "postgres://h:HUNTER2/d", "postgres://h:[redacted]"},
		{"a URL with a password in its query", "postgres://h/d?password=HUNTER2&sslmode=require", "postgres://h/d?password=[redacted]&sslmode=require"},

		{"keyword form", "host=h password=HUNTER2 user=u", "host=h password=[redacted] user=u"},
		{"keyword form, quoted", `host=h password='HUN\'TER 2' user=u`, "host=h password='[redacted]' user=u"},
		{"keyword form, quoted as in SQL", "password='HUN''TER 2' user=u", "password=[redacted] user=u"},
		{"keyword form, a quote too many", "password='HUN'TER2' user=u", "password=[redacted]' user=u"},
		{"keyword form, a quote too few", "password='HUN TER2 user=u", "password=[redacted]"},
		{"keyword form, quoted and printed by %q", `"password='HUN\\'TER 2' user=u"`, `"password='[redacted]' user=u"`},
		{"keyword form, a space escaped", `password=HUN\ TER2 user=u`, "password=[redacted] user=u"},
		{"keyword form, spaces around the sign", "password = HUNTER2 user = u", "password = [redacted] user = u"},
		{"keyword form, what looks like a key after a space", "password= HUN=TER2 user=u", "password= [redacted] user=u"},
		{"keyword form, punctuation in the password", `password=HUN"T,E;R&2}x user=u`, "password=[redacted] user=u"},
		{"keyword form, brackets in the password", "password=[HUN]TER2 user=u", "password=[redacted] user=u"},
		{"keyword form, the end in the password", "password=HUNTER2! user=u", "password=[redacted] user=u"},
		{"keyword form, names as others write them", "PASSWORD=HUNTER2 pwd=HUNTER2 passwd=HUNTER2 sslpassword=HUNTER2", "PASSWORD=[redacted] pwd=[redacted] passwd=[redacted] sslpassword=[redacted]"},
		{"keyword form in a query", "?dsn=host%3Dh%20password%3DHUNTER2&x=1", "?dsn=host%3Dh%20password%3D[redacted]&x=1"},
		{"ADO.NET", "Server=h;Password=HUNTER2;Database=d", "Server=h;Password=[redacted];Database=d"},
		{"ODBC", "Server=h;PWD={HUN;TER2};Database=d", "Server=h;PWD=[redacted];Database=d"},
		{"a Go struct", "{User:u Password:HUNTER2}", "{User:u Password:[redacted]}"},
		{"a Go struct by %#v", `x{Password:"HUN TER2", User:"u"}`, `x{Password:"[redacted]", User:"u"}`},
		{"a Go slice by %#v", `map[string][]string{"password":[]string{"HUN TER2"}, "x":[]string{"y"}}`, `map[string][]string{"password":[redacted], "x":[]string{"y"}}`},
		{"a Go map", "map[password:HUNTER2 user:u]", "map[password:[redacted] user:u]"},
		{"Ruby", `{:password => "HUN TER2", :x => 1}`, `{:password => "[redacted]", :x => 1}`},
		{"Python", `{'password': 'HUN TER2', 'x': 1}`, `{'password': '[redacted]', 'x': 1}`},
		{"YAML", "user: u\npassword: HUNTER2\nx: y", "user: u\npassword: [redacted]\nx: y"},

		{"a client secret", "azure_client_secret=HUNTER2&x=1", "azure_client_secret=[redacted]&x=1"},
		{"a client secret in other letters", "AZURE_CLIENT_SECRET=HUNTER2 clientSecret=HUNTER2 Client-Secret: HUNTER2", "AZURE_CLIENT_SECRET=[redacted] clientSecret=[redacted] Client-Secret: [redacted]"},
		{"a certificate's password", "azure_client_certificate_password=HUNTER2 user=u", "azure_client_certificate_password=[redacted] user=u"},
		{"a form", "client_id=a&client_secret=HUNTER2&client_assertion=HUNTER2", "client_id=a&client_secret=[redacted]&client_assertion=[redacted]"},
		{"a form with punctuation encoded", "client_secret=HUN%26TER2~.&x=1", "client_secret=[redacted]&x=1"},
		{"upper case", "PGPASSWORD=HUNTER2 CLIENT_SECRET: HUNTER2", "PGPASSWORD=[redacted] CLIENT_SECRET: [redacted]"},
		{"JSON with escapes", `{"client_secret":"HUN\"TER\\","x":"y"}`, `{"client_secret":"[redacted]","x":"y"}`},
		{"JSON within JSON", `{"body":"{\"client_secret\":\"HUN\\\"TER2\",\"x\":\"y\"}"}`, `{"body":"{\"client_secret\":\"[redacted]\",\"x\":\"y\"}"}`},
		{"JSON cut off", `{"client_secret":"HUN TER`, `{"client_secret":[redacted]`},
		{"a number in JSON", `{"password": 12345}`, `{"password": [redacted]}`},
		{"a list in JSON", `{"password":["a] b","c"],"x":1}`, `{"password":[redacted],"x":1}`},
		{"a DSN in JSON", `{"dsn":"host=h password=HUNTER2","x":"y z"}`, `{"dsn":"host=h password=[redacted]","x":"y z"}`},

		{"SQL", "alter role x password 'HUN''TER 2' valid until 'x'", "alter role x password [redacted] valid until 'x'"},
		{"SQL with an escape string", `CREATE ROLE x PASSWORD E'HUN\'TER2'`, `CREATE ROLE x PASSWORD E'[redacted]'`},

		{"a literal of Python", "{'password': b'HUN TER2', 'x': 1}", "{'password': b'[redacted]', 'x': 1}"},
		{"a literal of the shell", "PGPASSWORD=$'HUN TER2' psql", "PGPASSWORD=$'[redacted]' psql"},
		{"a value wrapped by its type", `Password: Some("HUN TER2"), n: 1`, `Password: Some("[redacted]"), n: 1`},
		{"a value dumped with its type", `Password: (string) (len=8) "HUN TER2",`, `Password: (string) (len=8) "[redacted]",`},
		{"a plan of Terraform", `~ client_secret = "OLD" -> "HUN TER2"`, `~ client_secret = "[redacted]"`},
		{"ADO.NET, a space in the password", "Host=h; Password=HUN TER2;Database=d", "Host=h; Password=[redacted];Database=d"},
		{"name and value apart in JSON", `{"name":"AZURE_CLIENT_SECRET","value":"HUNTER2"}`, `{"name":"AZURE_CLIENT_SECRET","value":"[redacted]"}`},
		{"name and value apart in YAML", "- name: PGPASSWORD\n  value: HUNTER2\n- name: x", "- name: PGPASSWORD\n  value: [redacted]\n- name: x"},
		{"name and value apart in Go", "{Name:PGPASSWORD Value:HUNTER2 ValueFrom:nil}", "{Name:PGPASSWORD Value:[redacted] ValueFrom:nil}"},
		{"name and value apart in XML", `<add key="ClientSecret" value="HUNTER2" />`, `<add key="ClientSecret" value="[redacted]" />`},
		{"a flag", "az login --username u --password HUNTER2 --tenant t", "az login --username u --password [redacted] --tenant t"},
		{"a flag in quotes", "x --client-secret 'HUN TER2' -v", "x --client-secret '[redacted]' -v"},
		{"a flag in a list", `["x","--password","HUNTER2","-v"]`, `["x","--password","[redacted]","-v"]`},
		{"a flag in a list of Go", `[x --password HUNTER2 -v]`, `[x --password [redacted] -v]`},
		{"an equals sign escaped in JSON", `{"q":"client_secret\u003dHUNTER2 x"}`, `{"q":"client_secret\u003d[redacted] x"}`},
		{"a header in logfmt", `authorization="Basic HUNTER2" n=1`, `authorization="Basic [redacted]" n=1`},
		{"SQL with a Unicode string", `PASSWORD U&'HUN TER2'`, `PASSWORD U&'[redacted]'`},

		{"null over a URL", "password=null://a:HUNTER2", "password=[redacted]"},
		{"a bracket before a URL", "://[postgres://u:p[x]HUNTER2@h", "://[postgres:[redacted]@h"},
		{"a password over a URL", "password=x://u:a,b=HUNTER2@h user=u", "password=[redacted] user=u"},
		{"a token over the next key", "secret=&eyJabcdefgh=1", "secret=[redacted]"},
		{"prose after a key, to be safe", "invalid password: try again", "invalid password: [redacted] again"},
	} {
		t.Run(row.name, func(t *testing.T) {
			got := Redact(row.in)
			if got != row.want {
				t.Errorf("got  %s\nwant %s", got, row.want)
			}
			if again := Redact(got); again != got {
				t.Errorf("a second time: %s", again)
			}
		})
	}
}

// cleanTexts hold no secret, though some come near.
var cleanTexts = []string{
	"", "eyJ", "the letters eyJ and eyJab", "password", "password=", "=", ":", "://", "'",
	"connected to db.example.com:5432 as app in 3 ms",
	"the password was refused", "token: expired", `password authentication failed for user "x"`,
	"FATAL: password authentication failed for user 'x' (SQLSTATE 28P01)",
	"alter role x password null", "alter role x set password_encryption = 'scram-sha-256'", "CREATE ROLE x VALID UNTIL 'infinity'",
	"AADSTS7000215: Invalid client secret provided. Ensure the secret being sent is the value, not the secret ID",
	"https://u@h:80/a@b", "https://h:443/users/a@b", "http://localhost:8080: connection refused", "see http://h:80.",
	"postgres://h:5432/d?user=alice@contoso.com", "postgres://h1:5432,h2:5433/d?user=a@b", "postgres://alice@contoso.com@h:5432/d",
	"postgres://[::1]:5432/d", "postgres://u@[fe80::1%25eth0]:5432/d", "http://[::1]/a:b@c", "postgres://u@%2Fvar%2Frun:5432/d",
	"https://login.microsoftonline.com/contoso.com/oauth2/v2.0/token", "git+ssh://git@github.com:org/repo", "file:///C:/x/y@z",
	`{"u":"http://h:1","m":"x@y"}`, "docker://alpine:latest",
	"alice@contoso.com", "mail a@b, c@d: both", "fe80::1ff:fe23:4567:890a", "::1", "12:34:56.789", "a=b&c=d",
	"password= host=h user=u", "password=&x=1", "password=;x=1", "password='' user=u", `{"password":"","x":1}`, "PGPASSWORD=\nPGUSER=x",
	`{"password":null,"x":1}`, "{Password: User:u Host:h}", "{Password:<nil>}", "has_password=true x=1",
	"session_authorization=app", "SET SESSION AUTHORIZATION 'app'", "passwords=3", "password_file=/x", "secretName: x", "secrets: 3", "pwd",
	"Bearer authentication failed", "bearer token-based login", "Bearer tokens.", `WWW-Authenticate: Bearer realm="x", authorization_uri="https://login/x"`,
	"Basic authentication is off", `Bearer authorization="https://login.windows.net/x"`,
	"select * from t where password = $1 and secret = $12", "update t set password = ? where a = ?", "(password=$1)", "value: 3", "the value=x", "n -- password", "--password", "--password -v", "--password-file x",
	"goroutine 1 [running]:\ngithub.com/x/password.Check(0xc000, {0x1, 0x2})\n\t/src/password.go:10 +0x20", "passwordless: true", "secretary: Bob", "token_count=5", "password_hash_algorithm=scram", "sha256:9f86d081884c7d65",
	"postgres://u:[redacted]@h/d", "password=[redacted] user=u", `{"secret":"[redacted]"}`, "Authorization: Bearer [redacted]",
	"\xff\xfe=\xff", "päss:wörd", "x\x00y",
}

func TestRedactLeavesCleanTextAlone(t *testing.T) {
	for _, text := range cleanTexts {
		if got := Redact(text); got != text {
			t.Errorf("%q becomes %q", text, got)
		}
	}
}

// The name of a credential is no key, in the one place where azurepg writes it so.
func TestRedactLeavesTheErrorOfAClientSecretReadable(t *testing.T) {
	e := &TokenError{Credential: credentialSecret, detail: "AADSTS7000215: invalid client secret"}
	if got := Redact("level=ERROR error=" + e.Error()); !strings.Contains(got, "AADSTS7000215: invalid client secret") {
		t.Errorf("got %s", got)
	}
	if got := Redact("the credential client_secret: HUNTER2"); strings.Contains(got, "HUNTER2") {
		t.Errorf("in other words a secret is shown: %s", got)
	}
}

func TestCleanTextCostsNoAllocation(t *testing.T) {
	for _, text := range append(cleanTexts, cleanLine) {
		if strings.Contains(text, "?user=") || strings.Contains(text, "[redacted]") || strings.Contains(text, "assword= ") || strings.Contains(text, "assword: ") {
			continue // which the table of keys is asked about
		}
		if n := testing.AllocsPerRun(10, func() { Redact(text) }); n != 0 {
			t.Errorf("%q costs %v allocations; want 0", text, n)
		}
	}
}

// Cut off anywhere, a token shows nothing of its payload.
func TestTokenCutOffAnywhereIsHidden(t *testing.T) {
	start := strings.Index(tokenText, ".") + 1
	for n := start; n <= len(tokenText); n++ {
		if got := Redact("x " + tokenText[:n] + " y"); got != "x [redacted] y" {
			t.Errorf("the first %d bytes: got %s", n, got)
		}
	}
	for n := range start {
		if got := Redact(tokenText[n:]); strings.Contains(got, tokenText[start:start+8]) {
			t.Errorf("without the first %d bytes: got %s", n, got)
		}
	}
}

func TestRedactHidesWhatOtherDriversPrint(t *testing.T) {
	rows := LeakyDSNs(t)
	// White space ends a value without quotes; the others do not look like a secret.
	except := []string{"host=h user=u password=HUN TER2 sslmode=bogus", "host=h user=u password=HUN\nTER2 sslmode=bogus",
		"postgres://u:HUN\nTER2@h:5432/d?sslmode=require", "postgres://u:HUN\nTER2@h/d?sslmode=bogus",
		"postgres:u:HUNTER2@h/d", "//u:HUNTER2@h/d", "postgres://u@h/d?AZSEC", "postgres://u:HUNTER2@h/d?sslcert=/HUNTER2x"}
	for _, row := range rows {
		if slices.Contains(except, row.DSN) {
			continue
		}
		for _, text := range []string{row.DSN, fmt.Sprintf("cannot parse %q: invalid", row.DSN), fmt.Sprintf("cannot parse `%s`: invalid", row.DSN)} {
			got := Redact(text)
			for _, secret := range row.Secrets {
				if strings.Contains(got, secret) {
					t.Errorf("%q becomes %q", text, got)
				}
			}
		}
	}
}

func TestRedactReadsWhatGoPrints(t *testing.T) {
	header := http.Header{"Authorization": {"Bearer HUNTER2", "Basic HUNTER2"}, "X": {"y"}}
	form := url.Values{"client_secret": {"HUN TER2&"}, "x": {"y"}}
	for _, text := range []string{fmt.Sprint(header), fmt.Sprintf("%#v", header), fmt.Sprintf("%q", header), form.Encode(), fmt.Sprint(form), fmt.Sprintf("%#v", form)} {
		if got := Redact(text); strings.Contains(got, "TER2") || !strings.Contains(got, "y") {
			t.Errorf("%s becomes %s", text, got)
		}
	}
}

// hostile texts make a careless search go over the rest again from each place.
var hostile = []string{
	"eyJ", "eyJabcdefgh ", "://a:", "://a:b", "://a:1/", "http://a:b", "http://h:1/x@", "postgres://a:b;x=", "postgres://h:1/x", "postgres://h:1/d?user=a@",
	"://[", "%3A%2F%2Fa%3A1,", "%253A", "%25", "postgres://a:%40", "?user=", "password=", "password='", "password=\"", "password=[", "password={(", "password=,",
	"password= ", "password:   ", "password", "password_", "secret=&a", "secret=\\", "secret=\"\\", "\\\"secret\\\":\\\"", "password '", "'", "Bearer ", "bearer a", "b",
	"Authorization: ", "Authorization: Digest ", "&a=", "\"", ":", "=", "_", " ", "\\", ",", "value=", "name=\"password\", value=\"", " --password ", "--password (", ";pwd=a b", "secret=(a) ", "secret=b'", "secret=\"a\" -> ", "secret\\u003d", "authorization=\"", "[redacted]", "secret=[redacted],", "secret=a,b", "@",
}

// Anything worse than linear needs hours for these; go test ends it.
func TestHostileTextTakesNoLongerThanItsLength(t *testing.T) {
	for _, unit := range hostile {
		for _, tail := range []string{"", "@", "\"", "]", " x"} {
			text := strings.Repeat(unit, 1<<18/len(unit)) + tail
			if got := Redact(text); len(got) > 8*len(text) {
				t.Errorf("%q: %d bytes become %d", unit, len(text), len(got))
			}
		}
	}
}
