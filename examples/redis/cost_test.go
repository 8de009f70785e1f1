package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"slices"
	"testing"
	"time"

	"github.com/azurepg/azurepg/examples/internal/brokertest"
	"github.com/azurepg/azurepg/tlsfiles"
	"github.com/redis/go-redis/v9"
)

// BenchmarkTLS says what TLS costs, on one Redis: a SET and a GET one after the other, a
// hundred of each in a pipeline, and a new connection. Without TLS, with 1.2 and with 1.3 take
// turns, so that what else the machine does falls on all of them. The measures are medians:
// plain-µs, and how many times as long it takes with TLS.
//
//	go test ./redis -run '^$' -bench TLS -benchtime 2000x
func BenchmarkTLS(b *testing.B) {
	authority, err := brokertest.NewAuthority()
	if err != nil {
		b.Fatal(err)
	}
	defer authority.Close()
	server, err := brokertest.StartRedis(authority, &brokertest.RedisOptions{Plain: true})
	if err != nil {
		b.Fatal(err)
	}
	defer server.Close()
	var options [3]*redis.Options
	var clients [3]*redis.Client
	for i, version := range []uint16{0, tls.VersionTLS12, tls.VersionTLS13} {
		options[i] = optionsFor(b, server, version)
		clients[i] = redis.NewClient(options[i])
		defer clients[i].Close()
	}
	for _, operation := range []struct {
		name string
		do   func(context.Context, *redis.Options, *redis.Client) error
	}{
		{"set+get/100B", setAndGet(100, 1)},
		{"set+get/10kB", setAndGet(10_000, 1)},
		{"100 set+get/100B", setAndGet(100, 100)},
		{"connection", connectAndPing},
	} {
		b.Run(operation.name, func(b *testing.B) {
			var took [3][]time.Duration
			for b.Loop() {
				for i := range took {
					began := time.Now()
					if err := operation.do(b.Context(), options[i], clients[i]); err != nil {
						b.Fatal(err)
					}
					took[i] = append(took[i], time.Since(began))
				}
			}
			plain := median(took[0])
			b.ReportMetric(0, "ns/op") // of all three, which says nothing
			b.ReportMetric(float64(plain)/1e3, "plain-µs")
			b.ReportMetric(float64(median(took[1]))/float64(plain), "x-TLS1.2")
			b.ReportMetric(float64(median(took[2]))/float64(plain), "x-TLS1.3")
		})
	}
}

func median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}

// optionsFor verifies the server and shows a certificate, as programs do.
func optionsFor(b *testing.B, server *brokertest.Redis, version uint16) *redis.Options {
	options := &redis.Options{Addr: server.PlainAddr, Username: "default", Password: server.Password, PoolSize: 1}
	if version == 0 {
		return options
	}
	files, err := tlsfiles.New(tlsfiles.Options{
		CAFile: server.Authority.CAFile, CertFile: server.Client.CertFile, KeyFile: server.Client.KeyFile,
	})
	if err != nil {
		b.Fatal(err)
	}
	options.Addr, options.TLSConfig = server.Addr, files.Config("localhost")
	options.TLSConfig.MinVersion, options.TLSConfig.MaxVersion = version, version
	return options
}

func setAndGet(size, times int) func(context.Context, *redis.Options, *redis.Client) error {
	value := bytes.Repeat([]byte("x"), size)
	return func(ctx context.Context, _ *redis.Options, c *redis.Client) error {
		if times == 1 {
			if err := c.Set(ctx, "key", value, 0).Err(); err != nil {
				return err
			}
			return c.Get(ctx, "key").Err()
		}
		_, err := c.Pipelined(ctx, func(p redis.Pipeliner) error {
			for range times {
				p.Set(ctx, "key", value, 0)
				p.Get(ctx, "key")
			}
			return nil
		})
		return err
	}
}

func connectAndPing(ctx context.Context, options *redis.Options, _ *redis.Client) error {
	client := redis.NewClient(options)
	defer client.Close()
	return client.Ping(ctx).Err()
}
