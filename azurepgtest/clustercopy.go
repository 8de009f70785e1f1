package azurepgtest

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/jackc/pgx/v5"
)

// follow replaces p's data by a copy of primary's, which goes on meanwhile, and makes p
// a standby of it. The copy is made by hand since pg_basebackup does not come with every
// PostgreSQL that has a server.
//
// Source: PostgreSQL documentation, 26.3.3 Making a Base Backup Using the Low Level API
// and 27.2 Log-Shipping Standby Servers, read 2026-11.
func (p *process) follow(ctx context.Context, primary *backend) error {
	conn, err := primary.superuserConn(ctx, "postgres")
	if err != nil {
		return err
	}
	defer conn.Close(ctx)
	if err := reserveLog(ctx, conn, p.slot()); err != nil {
		return err
	}
	if err := os.RemoveAll(p.data); err != nil {
		return err
	}
	label, err := backUp(ctx, conn, func() error { return p.copyCluster(primary.process.data) })
	if err != nil {
		return err
	}
	p.primary = primary.process
	for name, text := range map[string]string{"backup_label": label, "standby.signal": ""} {
		if err := p.write(filepath.Join(p.data, name), strings.NewReader(text)); err != nil {
			return err
		}
	}
	return nil
}

// slot is the name by which the primary knows p.
func (p *process) slot() string { return strings.ToLower(filepath.Base(filepath.Dir(p.socketDir))) }

// reserveLog makes the server keep the log that a standby has not had yet.
func reserveLog(ctx context.Context, conn *pgx.Conn, slot string) error {
	_, err := conn.Exec(ctx, "select pg_drop_replication_slot(slot_name) from pg_replication_slots where slot_name = $1", slot)
	if err == nil {
		_, err = conn.Exec(ctx, "select pg_create_physical_replication_slot($1, true)", slot)
	}
	return err
}

// backUp calls copyFiles between the begin and the end of a backup on conn, and returns
// the label that is to go with the copy.
func backUp(ctx context.Context, conn *pgx.Conn, copyFiles func() error) (label string, err error) {
	const version15 = 150000 // has new names for the same
	begin, end := "select pg_start_backup('azurepgtest', true, false)", "select labelfile from pg_stop_backup(false, false)"
	var version int
	if err := conn.QueryRow(ctx, "select current_setting('server_version_num')::int").Scan(&version); err != nil {
		return "", err
	}
	if version >= version15 {
		begin, end = "select pg_backup_start('azurepgtest', true)", "select labelfile from pg_backup_stop(false)"
	}
	if _, err := conn.Exec(ctx, begin); err != nil {
		return "", err
	}
	if err := copyFiles(); err != nil {
		return "", err // the backup ends with the session
	}
	err = conn.QueryRow(ctx, end).Scan(&label)
	return label, err
}

// emptyInCopy are directories of which a copy has only the name, and leftInPlace are
// files of the running server alone.
var (
	emptyInCopy = []string{"pg_wal", "pg_replslot", "pg_dynshmem", "pg_notify", "pg_serial", "pg_snapshots", "pg_stat_tmp", "pg_subtrans"}
	leftInPlace = []string{"postmaster.pid", "postmaster.opts", "standby.signal", "backup_label"}
)

// copyCluster copies the files of a running server to p's data.
func (p *process) copyCluster(from string) error {
	return filepath.WalkDir(from, func(path string, entry fs.DirEntry, err error) error {
		if os.IsNotExist(err) {
			return nil // the server goes on
		}
		if err != nil {
			return err
		}
		name, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		to := filepath.Join(p.data, name)
		switch {
		case slices.Contains(emptyInCopy, name):
			err := p.mkdir(to)
			return cmp.Or(err, filepath.SkipDir)
		case slices.Contains(leftInPlace, name):
			return nil
		case entry.IsDir():
			return p.mkdir(to)
		}
		file, err := os.Open(path)
		if os.IsNotExist(err) {
			return nil
		}
		if err != nil {
			return err
		}
		defer file.Close()
		return p.write(to, file)
	})
}

// mkdir makes a directory that is the owner's.
func (p *process) mkdir(path string) error {
	if err := os.Mkdir(path, 0o700); err != nil {
		return fmt.Errorf("azurepgtest: %w", err)
	}
	return p.owner.take(path)
}

// write makes a file that is the owner's.
func (p *process) write(path string, from io.Reader) error {
	file, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = io.Copy(file, from)
	if closed := file.Close(); err == nil {
		err = closed
	}
	if err != nil {
		return err
	}
	return p.owner.take(path)
}
