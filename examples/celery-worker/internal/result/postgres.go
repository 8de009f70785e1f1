package result

import (
	"context"
	"database/sql"
)

// Postgres is Celery's database backend: the table celery_taskmeta.
type Postgres struct{ DB *sql.DB }

var _ Store = Postgres{}

// The table as SQLAlchemy makes it for Celery 5.2, which may come first or later. The
// id has no default: Celery asks the sequence itself.
// Source: celery/backends/database/models.py of Celery 5.2.6.
const table = `
create sequence if not exists task_id_sequence;
create table if not exists celery_taskmeta (
	id integer not null primary key,
	task_id varchar(155) unique,
	status varchar(50),
	result bytea,
	date_done timestamp without time zone,
	traceback text,
	name varchar(155),
	args bytea,
	kwargs bytea,
	worker varchar(155),
	retries integer,
	queue varchar(155)
)`

// Prepare makes the table if it is not there.
func (p Postgres) Prepare(ctx context.Context) error {
	tx, err := p.DB.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	// "if not exists" alone fails for one of two workers that start at once.
	if _, err := tx.ExecContext(ctx, "select pg_advisory_xact_lock(hashtext('celery_taskmeta'))"); err != nil {
		return err
	}
	var there bool // who may use it need not have the right to make it
	if err := tx.QueryRowContext(ctx, "select to_regclass('celery_taskmeta') is not null").Scan(&there); err != nil || there {
		return err
	}
	if _, err := tx.ExecContext(ctx, table); err != nil {
		return err
	}
	return tx.Commit()
}

// Put writes the row.
func (p Postgres) Put(ctx context.Context, r Result) error {
	value, err := pickle(r.Value)
	if err != nil {
		return err
	}
	_, err = p.DB.ExecContext(ctx, `
insert into celery_taskmeta as old (id, task_id, status, result, date_done)
values (nextval('task_id_sequence'), $1, $2, $3, $4)
on conflict (task_id) do update
set status = excluded.status, result = excluded.result, date_done = excluded.date_done, traceback = null
where old.status is distinct from 'SUCCESS'`, r.TaskID, r.State, value, r.Done)
	return err
}

// Close closes the pool.
func (p Postgres) Close() error { return p.DB.Close() }
