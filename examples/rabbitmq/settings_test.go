package main

import (
	"fmt"
	"strings"
	"testing"
)

func TestURLSaysHostPortAndVirtualHost(t *testing.T) {
	for s, want := range map[string]string{
		"amqps://broker":              "broker 5671 /",
		"amqps://broker:1234/":        "broker 1234 /",
		"amqps://broker/%2F":          "broker 5671 /",
		"amqps://broker/shop":         "broker 5671 shop",
		"amqps://[::1]:1234/a%2Fb":    "::1 1234 a/b",
		"amqps://broker.contoso.com/": "broker.contoso.com 5671 /",
	} {
		uri, err := parseURL(s)
		if got := fmt.Sprint(uri.Host, " ", uri.Port, " ", uri.Vhost); err != nil || got != want {
			t.Errorf("parseURL(%q) is %s, %v; want %s", s, got, err, want)
		}
	}
}

func TestBadSettingIsNamedAndNotRepeated(t *testing.T) {
	for _, test := range []struct{ name, value, want string }{
		{"RABBITMQ_URL", "", "RABBITMQ_URL is missing"},
		{"RABBITMQ_URL", "amqp://broker/hunter2", "RABBITMQ_URL must begin with amqps://"},
		{"RABBITMQ_URL", "amqps://user:hunter2@broker", "RABBITMQ_URL must have no user and no password"},
		{"RABBITMQ_URL", "amqps://broker?cacertfile=hunter2", "RABBITMQ_URL must have no options"},
		{"RABBITMQ_URL", "amqps://broker:hunter2", "RABBITMQ_URL is no URL"},
		{"RABBITMQ_URL", "amqps://broker:99999", "RABBITMQ_URL has a port that is none"},
		{"RABBITMQ_URL", "hunter2", "RABBITMQ_URL is no URL"},
		{"RABBITMQ_SCOPE", "", "RABBITMQ_SCOPE is missing"},
		{"RABBITMQ_AUTH", "hunter2", "RABBITMQ_AUTH must be token or external"},
		{"RABBITMQ_AUTH", "external", "RABBITMQ_TLS_CERT_FILE is missing"},
		{"RABBITMQ_TLS_ENABLED", "no", "RABBITMQ_TLS_ENABLED must be true"},
	} {
		t.Run(test.want, func(t *testing.T) {
			t.Setenv("RABBITMQ_URL", "amqps://broker")
			t.Setenv("RABBITMQ_SCOPE", "api://rabbitmq/.default")
			t.Setenv(test.name, test.value)
			_, err := newBroker(nil)
			if err == nil || !strings.HasPrefix(err.Error(), test.want) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("%s=%q: %v; want %s", test.name, test.value, err, test.want)
			}
		})
	}
}
