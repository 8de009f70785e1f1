package tlsfiles_test

import (
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/azurepg/azurepg/tlsfiles"
)

const day = 24 * time.Hour

func lasts(d time.Duration) func(*x509.Certificate) {
	return func(c *x509.Certificate) { c.NotBefore, c.NotAfter = time.Now(), time.Now().Add(d) }
}

// A year of a client certificate that nobody renews, looked at every hour.
func TestExpiryIsReportedOnceAt30And7And1DaysAndAtTheEnd(t *testing.T) {
	for _, row := range []struct {
		life time.Duration
		want string
	}{
		{365 * day, "[719h 167h 23h 0s]"},
		{30 * day, "[167h 23h 0s]"},                // a mark beyond half of the life says nothing
		{30*day + 30*time.Second, "[167h 23h 0s]"}, // as authorities issue them: from a little before now
		{day + 30*time.Second, "[0s]"},
	} {
		synctest.Test(t, func(t *testing.T) {
			ca := newAuthority(t, "ca")
			pair := ca.issue(t, lasts(row.life))
			dir, log := t.TempDir(), &logged{}
			var got []time.Duration
			f := mustNew(t, tlsfiles.Options{CertFile: write(t, dir, "tls.crt", certPEM(pair.cert)), KeyFile: write(t, dir, "tls.key", pair.keyPEM(t)),
				Logger: log.logger(), OnExpiry: func(e tlsfiles.Expiry) {
					if e.Name != "CertFile" || e.Subject != "CN=localhost" || !e.NotAfter.Equal(pair.cert.NotAfter) || e.Left != time.Until(e.NotAfter) {
						t.Errorf("got %+v", e)
					}
					got = append(got, e.Left)
				}})
			config := f.Config("localhost")
			time.Sleep(time.Minute)
			for range int(row.life/time.Hour) + 48 {
				time.Sleep(time.Hour)
				if _, err := config.GetClientCertificate(new(tls.CertificateRequestInfo)); err != nil {
					t.Fatal(err)
				}
			}
			for i := range got {
				got[i] = got[i].Truncate(time.Hour)
			}
			if text := strings.ReplaceAll(fmt.Sprint(got), "h0m0s", "h"); text != row.want {
				t.Errorf("a life of %v: reported at %s; want %s", row.life, text, row.want)
			}
			lines := log.Take()
			if n := strings.Count(lines, "about to end"); n != len(got)-1 || strings.Count(lines, "has ended") != 1 {
				t.Errorf("got the lines\n%s", lines)
			}
		})
	}
}

// At the start too, and anew for the certificate that takes the old one's place.
func TestExpiryIsReportedAtTheStartAndForEachCertificate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ca := newAuthority(t, "ca")
		dir := t.TempDir()
		put := func(life time.Duration) (cert, key string) {
			pair := ca.issue(t, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(life) }, func(c *x509.Certificate) { c.NotBefore = c.NotAfter.Add(-365 * day) })
			return write(t, dir, "tls.crt", certPEM(pair.cert)), write(t, dir, "tls.key", pair.keyPEM(t))
		}
		var got []time.Duration
		opts := tlsfiles.Options{OnExpiry: func(e tlsfiles.Expiry) { got = append(got, e.Left/day) }}
		opts.CertFile, opts.KeyFile = put(5 * day)
		config := mustNew(t, opts).Config("localhost")
		use := func() {
			if _, err := config.GetClientCertificate(new(tls.CertificateRequestInfo)); err != nil {
				t.Fatal(err)
			}
		}
		use()
		put(300 * day)
		use()
		put(20 * day)
		use()
		if want := []time.Duration{5, 20}; !slices.Equal(got, want) {
			t.Errorf("reported with days left: %v; want %v", got, want)
		}
	})
}

// What a server stands on is the certificate of its chain that ends first, and of
// several chains the one that lasts longest.
func TestExpiryOfWhatTheServerStandsOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ending := newAuthority(t, "ending", func(c *x509.Certificate) { c.NotAfter = time.Now().Add(10 * day) }, func(c *x509.Certificate) { c.NotBefore = c.NotAfter.Add(-365 * day) })
		lasting := newAuthority(t, "lasting")
		renewed := &authority{renew(t, ending), ending.key} // with the same key
		for _, row := range []struct {
			name, want string
			also       *authority
			by         *authority
			life       time.Duration
		}{
			{"the authority ends first", "CA CN=ending 10", nil, ending, 20 * day},
			{"the server's own ends first", "server CN=localhost 5", nil, ending, 5 * day},
			{"the server's own, of an authority that lasts", "server CN=localhost 20", nil, lasting, 20 * day},
			{"all last", "", nil, lasting, 300 * day},
			{"the authority's certificate is renewed", "", renewed, ending, 300 * day},
		} {
			roots := []*x509.Certificate{ending.cert, lasting.cert}
			if row.also != nil {
				roots = append(roots, row.also.cert)
			}
			for range roots { // in every order, since that is the chains'
				roots = append(roots[1:], roots[0])
				if got := reportOf(t, roots, row.by, row.life); got != row.want {
					t.Errorf("%s: reported %q; want %q", row.name, got, row.want)
				}
			}
		}
	})
}

// reportOf returns what is reported while a server is verified three times.
func reportOf(t *testing.T, roots []*x509.Certificate, by *authority, life time.Duration) string {
	t.Helper()
	var got []string
	f := mustNew(t, tlsfiles.Options{CAFile: write(t, t.TempDir(), "ca.crt", certPEM(roots...)), Names: tlsfiles.Names{CA: "CA"},
		OnExpiry: func(e tlsfiles.Expiry) { got = append(got, fmt.Sprintf("%s %s %d", e.Name, e.Subject, e.Left/day)) }})
	cert := by.issue(t, func(c *x509.Certificate) {
		c.NotBefore, c.NotAfter = time.Now().Add(life-365*day), time.Now().Add(life)
	})
	for range 3 {
		if err := f.Verify(tls.ConnectionState{PeerCertificates: []*x509.Certificate{cert.cert}}, "localhost"); err != nil {
			t.Fatal(err)
		}
	}
	return strings.Join(got, "; ")
}

// renew makes another certificate for an authority, which lasts ten years.
func renew(t *testing.T, a *authority) *x509.Certificate {
	t.Helper()
	template := *a.cert
	template.NotAfter = time.Now().Add(3650 * day)
	der, err := x509.CreateCertificate(rand.Reader, &template, &template, &a.key.PublicKey, a.key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	return cert
}
