package brokerenv

import (
	"strings"
	"testing"
)

func TestShownSettingsHoldNoSecret(t *testing.T) {
	for name, value := range map[string]string{
		"REDIS_URL":           "rediss://user:hunter2@cache:6380/0?password=hunter2",
		"RABBITMQ_URL":        "amqps://user:hunter2@broker/%2F",
		"REDIS_TLS_CA_CERT":   "/tls/ca.pem",
		"REDIS_TLS_KEY_FILE":  "",
		"AZURE_CLIENT_SECRET": "hunter2",
		"AZURE_CLIENT_ID":     "11111111-2222-4333-8444-555555555555",
	} {
		t.Setenv(name, value)
	}
	var out strings.Builder
	Show(&out, append([]string{"REDIS_URL", "RABBITMQ_URL", "REDIS_ADDR"}, TLSNames("REDIS_")...)...)
	if strings.Contains(out.String(), "hunter2") {
		t.Errorf("it shows a secret: %s", out.String())
	}
	for _, want := range []string{"cache:6380", "broker", "REDIS_TLS_CA_CERT=/tls/ca.pem\n", "AZURE_CLIENT_SECRET=***\n", "AZURE_CLIENT_ID=1111"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("it does not show %s: %s", want, out.String())
		}
	}
	if strings.Contains(out.String(), "REDIS_ADDR") {
		t.Errorf("it shows what is not set: %s", out.String())
	}
}

func TestTLSIsOnWhateverIsNotSaid(t *testing.T) {
	for value, ok := range map[string]bool{"": true, "true": true, "TRUE": true, "1": true, "false": false, "0": false, "no": false, "maybe": false} {
		t.Setenv("REDIS_TLS_ENABLED", value)
		files, err := TLS("REDIS_", nil)
		if (err == nil) != ok || ok && files == nil {
			t.Errorf("REDIS_TLS_ENABLED=%q: %v", value, err)
		}
		if err != nil && !strings.HasPrefix(err.Error(), "REDIS_TLS_ENABLED ") {
			t.Errorf("REDIS_TLS_ENABLED=%q: %v; want its name in front", value, err)
		}
	}
}

func TestUnknownCredentialIsAnError(t *testing.T) {
	t.Setenv("AZURE_CREDENTIAL", "hunter2")
	if _, err := Tokens("https://redis.azure.com/.default", 0, nil); err == nil {
		t.Error("a credential that there is none of is no error")
	}
}
