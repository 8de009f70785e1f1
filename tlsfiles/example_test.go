package tlsfiles_test

import (
	"crypto/tls"
	"log"
	"log/slog"

	"github.com/azurepg/azurepg/tlsfiles"
)

// A Config is made once, and whoever keeps it follows the files.
func ExampleFiles_Config() {
	files, err := tlsfiles.New(tlsfiles.Options{
		CAFile: "/etc/tls/ca.crt", CertFile: "/etc/tls/client.crt", KeyFile: "/etc/tls/client.key",
		Logger:   slog.Default(),
		OnExpiry: func(e tlsfiles.Expiry) { /* raise an alarm: e.Name ends in e.Left */ },
	})
	if err != nil {
		log.Fatal(err)
	}
	conn, err := tls.Dial("tcp", "redis.example.com:6380", files.Config("redis.example.com"))
	if err != nil {
		log.Fatal(files.Explain(err))
	}
	defer conn.Close()
}

// The settings can come from the environment: REDIS_TLS_CA_CERT and its kin.
func ExampleFromEnv() {
	opts := tlsfiles.FromEnv("REDIS_TLS_")
	opts.MinVersion = tls.VersionTLS13
	files, err := tlsfiles.New(opts)
	if err != nil {
		log.Fatal(err) // names the variable that is at fault
	}
	_ = files.Config("redis.example.com")
}
