package azurepg

import (
	"crypto/tls"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestFormatDSNIsReadBackAsTheSameConfig(t *testing.T) {
	for _, tt := range goodDSNs {
		t.Run(tt.name, func(t *testing.T) {
			src := stubSource(tt.env, nil)
			first, err := parseDSN(tt.dsn, src)
			if err != nil {
				t.Fatal(err)
			}
			dsn := first.FormatDSN()
			second, err := parseDSN(dsn, src)
			if err != nil {
				t.Fatalf("%v for %s", err, dsn)
			}
			if !reflect.DeepEqual(first, second) {
				t.Errorf("got  %+v\nwant %+v", second, first)
			}
			if again := second.FormatDSN(); again != dsn {
				t.Errorf("got  %s\nwant %s", again, dsn)
			}
		})
	}
}

func TestFormatDSNWritesEverySettingButSecrets(t *testing.T) {
	c, err := parseDSN("host=h user=alice@contoso.com dbname='a/b' azure_credential=client_secret azure_client_secret=HUNTER geqo=on z.y='ü&='", stubSource(nil, nil))
	if err != nil {
		t.Fatal(err)
	}
	if c.ClientSecret != "HUNTER" {
		t.Error("the secret was not read")
	}
	want := "postgres://alice%40contoso.com@h:5432/a%2Fb?sslmode=verify-full&sslrootcert=system&ssl_min_protocol_version=TLSv1.2&sslnegotiation=postgres" +
		"&connect_timeout=30&target_session_attrs=any&azure_credential=client_secret&azure_cloud=public" +
		"&azure_scope=https://ossrdbms-aad.database.windows.net/.default&azure_refresh_ahead=5m&azure_token_timeout=30s&geqo=on&z.y=%C3%BC%26%3D"
	if got := c.FormatDSN(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}

func TestFormatDSNCopesWithAnyConfig(t *testing.T) {
	for name, tt := range map[string]struct {
		c    Config
		want string
	}{
		"zero": {Config{}, "postgres:///?"},
		"nonsense": {Config{Hosts: []Host{{Name: "/tmp/@:[", Port: 0}, {}}, SSLMode: "x&y", RefreshAhead: -1, RuntimeParams: map[string]string{"password": "HUNTER", "": "x", "Pwd": "HUNTER"},
			BaseParams: map[string]string{"azure_client_secret ": "HUNTER"}}, "postgres://[%2Ftmp%2F%40:%5B]:5432,:5432/?sslmode=x%26y&"},
		"parts of a second": {Config{Hosts: []Host{{Name: "h"}}, ConnectTimeout: 1500 * time.Millisecond}, "connect_timeout=2&"},
		"scope of code":     {Config{Hosts: []Host{{Name: "h"}}, Scope: "api://mine", TLSConfig: &tls.Config{}, Credential: stubCredential{}}, "target_session_attrs=any&azure_cloud=public&azure_refresh_ahead"},
		"effective mode":    {Config{Hosts: []Host{{Name: "x.postgres.database.azure.com"}}, SSLMode: "require"}, "?sslmode=verify-full&"},
	} {
		t.Run(name, func(t *testing.T) {
			got := tt.c.FormatDSN()
			if !strings.Contains(got, tt.want) || strings.Contains(got, "HUNTER") {
				t.Errorf("got %s; want it with %s", got, tt.want)
			}
		})
	}
}

func TestDurationsAreWrittenShort(t *testing.T) {
	for d, want := range map[time.Duration]string{
		time.Second: "1s", time.Minute: "1m", 10 * time.Minute: "10m", time.Hour: "1h", 20 * time.Hour: "20h", 90 * time.Minute: "1h30m",
		100 * time.Millisecond: "100ms", time.Hour + time.Second: "1h0m1s", 10*time.Hour + 10*time.Minute: "10h10m",
	} {
		if got := durationText(d); got != want {
			t.Errorf("got %s; want %s", got, want)
		}
		if got, err := positiveDuration(want); got != d || err != nil {
			t.Errorf("%s is read as %v, %v", want, got, err)
		}
	}
}
