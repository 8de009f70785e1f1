package main

import (
	"context"
	"fmt"
	"log/slog"
	"net/url"

	"github.com/azurepg/azurepg"
	"github.com/azurepg/azurepg/examples/celery-worker/internal/broker"
	"github.com/azurepg/azurepg/examples/internal/brokerenv"
	"github.com/azurepg/azurepg/examples/internal/redislogin"
	"github.com/azurepg/azurepg/tlsfiles"
)

// Python's names, in a URL of Redis, for what the variables say too.
var tlsParameters = map[string]func(*tlsfiles.Options) *string{
	"ssl_ca_certs":  func(o *tlsfiles.Options) *string { return &o.CAFile },
	"ssl_certfile":  func(o *tlsfiles.Options) *string { return &o.CertFile },
	"ssl_keyfile":   func(o *tlsfiles.Options) *string { return &o.KeyFile },
	"ssl_cert_reqs": func(o *tlsfiles.Options) *string { return (*string)(&o.Mode) },
}

// openTLS reads the files of the variables which begin with prefix, and of the URL's
// parameters where those say nothing. TLS cannot be turned off, nor its verification.
func openTLS(prefix, name string, u *url.URL, logger *slog.Logger) (*tlsfiles.Files, error) {
	options, err := brokerenv.TLSOptions(prefix, logger)
	if err != nil {
		return nil, err
	}
	for key, values := range u.Query() {
		field, known := tlsParameters[key]
		if !known || u.Scheme != "rediss" {
			return nil, fmt.Errorf("%s: the parameter %q is not known here", name, azurepg.Redact(key))
		}
		if f := field(&options); *f == "" {
			*f = values[0]
		}
	}
	return tlsfiles.New(options)
}

// An explained broker says what to do if TLS to it does not stand, or Redis refuses a token.
type explained struct {
	broker.Broker
	files  *tlsfiles.Files
	tokens bool
}

func (e explained) Check(ctx context.Context) error {
	err := e.Broker.Check(ctx)
	if e.tokens {
		err = redislogin.Explain(err)
	}
	return e.files.Explain(err)
}
