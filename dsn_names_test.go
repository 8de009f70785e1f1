package azurepg

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"testing"
)

func TestMisspeltKeysAreNamed(t *testing.T) {
	const like, fold = "parameter 1 looks like a misspelt %s: write that", "parameter 1 differs from this key only in case: write %s"
	for _, tt := range []struct{ name, meant, text string }{
		{"SSLMODE", "sslmode", fold},
		{"sslMode", "sslmode", fold},
		{"Host", "host", fold},
		{"AZURE_CLIENT_ID", "azure_client_id", fold},
		{"Connect_Timeout", "connect_timeout", fold},
		{"sslmod", "sslmode", like},
		{"sslmodee", "sslmode", like},
		{"sslmoed", "sslmode", like},
		{"ssl_mode", "sslmode", like},
		{"ssl-mode", "sslmode", like},
		{"hosts", "host", like},
		{"ueser", "user", like},
		{"user1", "user", like},
		{"sslrotcert", "sslrootcert", like},
		{"connectTimeout", "connect_timeout", like},
		{"connecttimeout", "connect_timeout", like},
		{"targetSessionAttrs", "target_session_attrs", like},
		{"ApplicationName", "application_name", like},
		{"aplication_name", "application_name", like},
		{"azureClientId", "azure_client_id", like},
		{"azure.client_id", "azure_client_id", like},
		{"azure_clientid", "azure_client_id", like},
		{"azure_cient_id", "azure_client_id", like},
		{"zure_client_secret", "azure_client_secret", like},
		{"pool_max_con", "", ""},
		{"pool_max_conn", "pool_max_conns", like},
		{"poolMaxConns", "pool_max_conns", like},
		{"statement_cache_capacty", "statement_cache_capacity", like},
		{"sslpasword", "sslpassword", like},
		{"passfil", "passfile", like},
		{"Azure_Foo", "", ""},
		{"azure.extensions", "", ""},
	} {
		_, err := parseDSN("postgres://h/?"+tt.name+"=HUNTER", stubSource(nil, nil))
		switch {
		case tt.meant != "":
			wantDSNError(t, err, "azurepg: "+tt.meant+": "+fmt.Sprintf(tt.text, tt.meant))
		case strings.HasPrefix(tt.name, "pool"):
			wantDSNError(t, err, "azurepg: DSN: parameter 1 begins with pool_, but is no key of pgxpool")
		default:
			wantDSNError(t, err, "azurepg: DSN: parameter 1 begins with azure, but is no key of azurepg: ParseDSN lists them")
		}
	}
}

func TestEveryMisspellingOfAKeyIsAnError(t *testing.T) {
	wrong := func(name string) {
		t.Helper()
		if _, err := resolveName(name, "parameter 1"); err == nil && dsnKeyIndex[asciiLower(name)] == nil {
			t.Errorf("%s would be sent to the server", name)
		}
	}
	for _, k := range dsnKeys {
		for i := range k.name {
			wrong(k.name[:i] + k.name[i+1:])
			wrong(k.name[:i] + "x" + k.name[i:])
			wrong(k.name[:i] + "x" + k.name[i+1:])
			if i+1 < len(k.name) {
				wrong(k.name[:i] + k.name[i+1:i+2] + k.name[i:i+1] + k.name[i+2:])
			}
		}
		if k.kind != kindRuntime {
			if _, err := resolveName(strings.ToUpper(k.name), ""); err == nil {
				t.Errorf("%s in capitals is accepted", k.name)
			}
		}
	}
}

// The file is the pg_settings of PostgreSQL 15.18. It says what a session can be
// started with; newer names and those of extensions follow here.
func TestNoServerSettingIsTakenForAMisspelling(t *testing.T) {
	data, err := os.ReadFile("testdata/pg_settings.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(data))
	if len(names) < 300 {
		t.Fatalf("%d names only", len(names))
	}
	names = append(names, strings.Fields(`
		allow_alter_system autovacuum_worker_slots createrole_self_grant commit_timestamp_buffers debug_io_direct
		debug_logical_replication_streaming effective_io_concurrency enable_distinct_reordering enable_group_by_reordering
		enable_presorted_aggregate enable_self_join_elimination event_triggers extension_control_path file_copy_method
		gss_accept_delegation huge_pages_status icu_validation_level idle_replication_slot_timeout io_combine_limit io_method
		io_workers log_lock_failures max_notify_queue_pages md5_password_warnings multixact_member_buffers notify_buffers
		oauth_validator_libraries reserved_connections restrict_nonsystem_relation_kind scram_iterations send_abort_for_crash
		serializable_buffers ssl_groups ssl_tls13_ciphers subtransaction_buffers summarize_wal sync_replication_slots
		synchronized_standby_slots trace_connection_negotiation track_cost_delay_timing transaction_buffers transaction_timeout
		vacuum_buffer_usage_limit vacuum_max_eager_freeze_failure_rate vacuum_truncate wal_summary_keep_time
		role session_authorization replication is_superuser in_hot_standby
		auto_explain.log_min_duration citus.shard_count citus.node_conninfo cron.database_name pg_stat_statements.max pg_stat_statements.track
		pg_trgm.similarity_threshold pgaudit.log plpgsql.check_asserts postgis.gdal_enabled_drivers timescaledb.max_background_workers
		hnsw.ef_search ivfflat.probes app.current_user my.user user.name jwt.claims rls.tenant_id anon.masking pgcrypto.builtin_crypto_enabled
		pg_qs.query_capture_mode pgms_wait_sampling.history_period metrics.collector_database_activity logfiles.retention_days
		intelligent_tuning intelligent_tuning.metric_targets require_secure_transport`)...)
	for _, name := range names {
		for _, spelling := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if k := dsnKeyIndex[strings.ToLower(name)]; k != nil && k.kind != kindRuntime {
				spelling = strings.ToLower(name) // ours too: port, ssl, ssl_min_protocol_version
			} else if name == "ssl_max_protocol_version" {
				continue // libpq's too, and refused as such; a session cannot set it anyway
			}
			got, err := resolveName(spelling, "parameter 1")
			if err != nil || got != strings.ToLower(name) {
				t.Errorf("%s: got %s, %v", spelling, got, err)
			}
		}
	}
}

func TestOneEdit(t *testing.T) {
	for _, tt := range []struct {
		a, b string
		want bool
	}{
		{"host", "host", false}, {"hos", "host", true}, {"ost", "host", true}, {"hosts", "host", true}, {"xhost", "host", true},
		{"hxst", "host", true}, {"hsot", "host", true}, {"htso", "host", false}, {"ho", "host", false}, {"toss", "host", false},
		{"", "a", true}, {"", "", false}, {"ab", "ba", true}, {"abc", "acb", true}, {"ab", "cd", false},
	} {
		if oneEdit(tt.a, tt.b) != tt.want || oneEdit(tt.b, tt.a) != tt.want {
			t.Errorf("oneEdit(%q, %q) is %v", tt.a, tt.b, !tt.want)
		}
	}
}

func TestNamesOfSettings(t *testing.T) {
	for name, want := range map[string]bool{
		"a": true, "_a$1": true, "a.b": true, "a.b.c": true, "ä.b": true, "_pq_.x": true,
		"": false, "1a": false, "a.": false, ".a": false, "a..b": false, "a b": false, "a-b": false, "$a": false, "a.1": false, "a/b": false,
	} {
		if isParamName(name) != want {
			t.Errorf("isParamName(%q) is %v", name, !want)
		}
	}
}

func TestPasswordSearchHasNoFalseAlarm(t *testing.T) {
	for _, dsn := range []string{
		"host=h options='-c a=b;password=c'", "postgres://h/?options=-c%20a=b;password=c", "host=h application_name='a password b'",
		"host=h application_name='; passwords=b'", "postgres://password@h/pass?application_name=pwd", "host=h search_path=password", "host=h app.password_policy=x",
		"host=h password_encryption=md5",
	} {
		if _, err := parseDSN(dsn, stubSource(nil, nil)); errors.Is(err, ErrPasswordInDSN) || err != nil {
			t.Errorf("%s: got %v", dsn, err)
		}
	}
}
