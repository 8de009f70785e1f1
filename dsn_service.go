package azurepg

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
)

// source is where the parser reads what the DSN does not say.
type source struct {
	lookupEnv func(string) (string, bool)
	readFile  func(string) ([]byte, error)
	// homeDir is the directory in which libpq looks for .pg_service.conf.
	homeDir func() (string, error)
}

func osSource() source {
	return source{os.LookupEnv, readSmallFile, func() (string, error) {
		if runtime.GOOS == "windows" {
			if dir := os.Getenv("APPDATA"); dir != "" {
				return filepath.Join(dir, "postgresql"), nil
			}
		}
		return os.UserHomeDir()
	}}
}

// readSmallFile reads at most 1 MiB: the DSN names the service file, and could
// name /dev/zero.
func readSmallFile(name string) ([]byte, error) {
	f, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = f.Close() }()
	const limit = 1 << 20
	data, err := io.ReadAll(io.LimitReader(f, limit+1))
	if err == nil && len(data) > limit {
		err = errors.New("the file is larger than 1 MiB")
	}
	return data, err
}

func (s source) env(name string) string {
	v, _ := s.lookupEnv(name)
	return v
}

// readService returns the settings of a service: from the file that is named, or
// ~/.pg_service.conf, and if it is in neither from the system's file.
// Source: parseServiceInfo in fe-connect.c.
func readService(name, file string, src source) (*dsnText, error) {
	if file != "" {
		t, err := readServiceFile(name, file, src)
		if t != nil || err != nil {
			return t, err
		}
	} else if home, err := src.homeDir(); err == nil && home != "" {
		t, err := readServiceFile(name, filepath.Join(home, ".pg_service.conf"), src)
		if t != nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return t, err
		}
	}
	if dir := src.env("PGSYSCONFDIR"); dir != "" {
		t, err := readServiceFile(name, filepath.Join(dir, "pg_service.conf"), src)
		if t != nil || err != nil && !errors.Is(err, fs.ErrNotExist) {
			return t, err
		}
	}
	return nil, dsnErrorf("service", "no service file has this service: looked for it in servicefile or PGSERVICEFILE, else ~/.pg_service.conf, and in PGSYSCONFDIR/pg_service.conf")
}

// readServiceFile returns nil if the file does not have the service.
func readServiceFile(name, file string, src source) (*dsnText, error) {
	data, err := src.readFile(file)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, &DSNError{Key: "service", Err: &hiddenError{"the service file does not exist", err}}
	case err != nil:
		return nil, &DSNError{Key: "service", Err: &hiddenError{"the service file cannot be read", err}}
	}
	return lexService(name, string(data)), nil
}

// hiddenError says what happened without the file name in its cause.
type hiddenError struct {
	text  string
	cause error
}

func (e *hiddenError) Error() string { return e.text }

func (e *hiddenError) Is(target error) bool { return errors.Is(e.cause, target) }

// lexService reads the first section [name]. Like libpq it does not look at the
// lines of the others. A value goes from the = to the end of the line.
func lexService(name, file string) *dsnText {
	var t *dsnText
	n := 0
	for line := range strings.SplitSeq(strings.TrimPrefix(file, "\ufeff"), "\n") {
		n++
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		if line[0] == '[' {
			if t != nil {
				return t
			}
			if line == "["+name+"]" {
				t = &dsnText{}
			}
			continue
		}
		if t == nil {
			continue
		}
		where := "line " + strconv.Itoa(n)
		if hasPrefixFold(line, "ldap") {
			if scheme, _, ok := strings.Cut(line, "://"); ok && (len(scheme) == 4 || strings.EqualFold(scheme, "ldaps")) {
				t.fail(dsnErrorf("service", "%s asks an LDAP server, which azurepg does not do", where))
				continue
			}
		}
		key, value, ok := strings.Cut(line, "=")
		if key = strings.TrimSpace(key); !ok || key == "" {
			t.fail(dsnErrorf("service", "%s is not of the form key=value", where))
			continue
		}
		if key == "service" || key == "servicefile" {
			t.fail(dsnErrorf("service", "%s names another service, which libpq forbids too", where))
			continue
		}
		t.add(dsnParam{key, strings.TrimSpace(value), where})
	}
	return t
}

// inServiceFile says of an error that it is about the service file.
func inServiceFile(err error) error {
	var d *DSNError
	if errors.As(err, &d) {
		if d.Key == "DSN" {
			return &DSNError{Key: "service", Err: d.Err}
		}
		return &DSNError{Key: d.Key, Err: fmt.Errorf("in the service file: %w", d.Err)}
	}
	return err
}
