package doctor

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strconv"
	"time"
)

// fact is a finding that a query answers.
type fact struct {
	name string
	sql  string // one text, or NULL for nothing
}

// ask adds the answers of facts, in one query.
func (x *examination) ask(ctx context.Context, s *Step, facts []fact) (map[string]string, error) {
	query := "select "
	answers := make([]*string, len(facts))
	into := make([]any, len(facts))
	for i, f := range facts {
		if i > 0 {
			query += ", "
		}
		query += "(" + f.sql + ")::pg_catalog.text"
		into[i] = &answers[i]
	}
	if err := x.conn.QueryRowContext(ctx, query).Scan(into...); err != nil {
		return nil, err
	}
	found := map[string]string{}
	for i, f := range facts {
		if answers[i] != nil {
			found[f.name] = *answers[i]
			s.add(f.name, "", *answers[i])
		}
	}
	return found, nil
}

const me = "(select oid from pg_catalog.pg_roles where rolname = current_user)"

// roleFacts are what may matter to a program. The memberships are the direct ones.
var roleFacts = []fact{
	{"role", "select current_user"},
	{"database", "select pg_catalog.current_database()"},
	{"member_of", "select pg_catalog.string_agg(rolname, ', ' order by rolname) from pg_catalog.pg_roles, pg_catalog.pg_auth_members where roleid = pg_roles.oid and member = " + me},
	{"superuser", "select rolsuper from pg_catalog.pg_roles where oid = " + me},
	{"may_create_roles", "select rolcreaterole from pg_catalog.pg_roles where oid = " + me},
	{"may_connect", "select pg_catalog.has_database_privilege(pg_catalog.current_database(), 'connect')"},
	{"may_create_schemas", "select pg_catalog.has_database_privilege(pg_catalog.current_database(), 'create')"},
	{"may_create_temporary_tables", "select pg_catalog.has_database_privilege(pg_catalog.current_database(), 'temporary')"},
	{"schema", "select pg_catalog.current_schema()"},
	{"may_create_tables", "select pg_catalog.has_schema_privilege(pg_catalog.current_schema(), 'create')"},
}

func (x *examination) lookAtRole(ctx context.Context, s *Step) error {
	found, err := x.ask(ctx, s, roleFacts)
	if err != nil {
		return err
	}
	if found["schema"] == "" {
		s.warn("no schema of search_path can be used", "let the schema's owner grant usage on it, or set search_path")
	}
	return nil
}

// serverFacts count the connections of all roles, which everybody may see.
var serverFacts = []fact{
	{"version", "select pg_catalog.current_setting('server_version')"},
	{"in_recovery", "select pg_catalog.pg_is_in_recovery()"},
	{"read_only", "select pg_catalog.current_setting('transaction_read_only')"},
	{"connections", "select pg_catalog.sum(numbackends) from pg_catalog.pg_stat_database"},
	{"connections_of_role", "select pg_catalog.count(*) from pg_catalog.pg_stat_activity where usename = current_user"},
	{"max_connections", "select pg_catalog.current_setting('max_connections')"},
	{"reserved_connections", "select pg_catalog.current_setting('superuser_reserved_connections')::int + coalesce(pg_catalog.current_setting('reserved_connections', true), '0')::int"},
	{"max_connections_of_role", "select nullif(rolconnlimit, -1) from pg_catalog.pg_roles where oid = " + me},
	{"max_connections_of_database", "select nullif(datconnlimit, -1) from pg_catalog.pg_database where datname = pg_catalog.current_database()"},
}

func (x *examination) lookAtServer(ctx context.Context, s *Step) error {
	found, err := x.ask(ctx, s, serverFacts)
	if err != nil {
		return err
	}
	between, err := pooler(ctx, x.conn)
	if err != nil {
		return err
	}
	s.add("pooler", "", between)
	if err := x.compareClock(ctx, s); err != nil {
		return err
	}
	anyServer := x.cfg.TargetSessionAttrs == "" || x.cfg.TargetSessionAttrs == "any"
	if found["in_recovery"] == "true" && anyServer {
		s.warn("the server is a standby and takes no writes", "if the program writes, name all servers of the cluster in host and set target_session_attrs=read-write")
	}
	number := func(name string) int { n, _ := strconv.Atoi(found[name]); return n }
	if used, all := number("connections"), number("max_connections")-number("reserved_connections"); all > 0 && 10*used >= 9*all {
		s.warn(fmt.Sprintf("%d of %d connections are in use", used, all), "lower SetMaxOpenConns, or the number of processes; raise max_connections, or use PgBouncer on port 6432")
	}
	return nil
}

// compareClock compares the server's clock with this machine's, halfway through a query.
func (x *examination) compareClock(ctx context.Context, s *Step) error {
	var seconds float64
	start := time.Now()
	if err := x.conn.QueryRowContext(ctx, "select pg_catalog.date_part('epoch', pg_catalog.clock_timestamp())").Scan(&seconds); err != nil {
		return err
	}
	took := time.Since(start)
	if century := 100 * 365 * 24 * time.Hour; !(math.Abs(seconds-float64(start.Unix())) < century.Seconds()) { // NaN too
		return errors.New("the server's clock cannot be read")
	}
	s.addClock("the server", time.UnixMicro(int64(seconds*1e6)).Sub(start.Add(took/2)))
	return nil
}
