package azurepg

import (
	"errors"
	"fmt"
	"slices"
	"strings"
)

// passwordNames are the keys that hold a password, in lower case.
var passwordNames = []string{"password", "pwd", "passwd", "pass", "pgpassword"}

func isPasswordName(name string) bool {
	return slices.Contains(passwordNames, strings.ToLower(name))
}

// resolveName returns the key or run-time parameter that name means. where says
// where the name stands, such as "parameter 3"; the name itself stays out of the
// error, unless it is one of ours.
func resolveName(name, where string) (string, error) {
	lower := asciiLower(name)
	if k := dsnKeyIndex[lower]; k != nil {
		// Names of server settings have no case for the server either.
		if name == lower || k.kind == kindRuntime {
			return lower, nil
		}
		return "", dsnErrorf(lower, "%s differs from this key only in case: write %s", where, lower)
	}
	if isPasswordName(name) {
		return "password", nil
	}
	if w, ok := refusedKeys[name]; ok {
		return "", dsnErrorf(name, "%s", w)
	}
	if w, ok := otherWords[lower]; ok {
		return "", dsnErrorf(w.name, "%s", w.advice)
	}
	if err := misspelt(lower, where); err != nil {
		return "", err
	}
	if isSecretKey(lower) {
		return "", dsnErrorf("DSN", "%s has the name of a secret, and would go to the server: remove it (azurepg's own are azure_client_secret and azure_client_certificate_password)", where)
	}
	if !isParamName(name) {
		return "", dsnErrorf("DSN", "%s has a name that no setting can have", where)
	}
	return lower, nil
}

// misspelt finds names that are probably meant as a key. Names with a dot are
// settings of extensions, and never ours.
func misspelt(lower, where string) error {
	azure, pool := strings.HasPrefix(lower, "azure"), strings.HasPrefix(lower, "pool_")
	if !azure && strings.Contains(lower, ".") {
		return nil
	}
	for i := range dsnKeys {
		if k := &dsnKeys[i]; k.env != "" && asciiLower(k.env) == lower {
			return dsnErrorf(k.name, "%s is the name of a variable: in a DSN write %s", where, k.name)
		}
	}
	if lower == "azure_authority_host" {
		return dsnErrorf(lower, "an authority never comes from a DSN: use the variable AZURE_AUTHORITY_HOST or Config.AuthorityHost")
	}
	if meant := nearestKey(lower); meant == "password" {
		return dsnErrorf(meant, "%s is probably meant as password; %w", where, ErrPasswordInDSN)
	} else if meant != "" {
		return dsnErrorf(meant, "%s looks like a misspelt %s: write that", where, meant)
	}
	if azure {
		return dsnErrorf("DSN", "%s begins with azure, but is no key of azurepg: ParseDSN lists them", where)
	}
	if pool {
		return dsnErrorf("DSN", "%s begins with pool_, but is no key of pgxpool", where)
	}
	return nil
}

// nearestKey returns the key that is lower without its separators, or one edit
// away from it.
func nearestKey(lower string) string {
	squashed := squash(lower)
	for i := range dsnKeys {
		if squash(dsnKeys[i].name) == squashed {
			return dsnKeys[i].name
		}
	}
	for i := range dsnKeys {
		if oneEdit(lower, dsnKeys[i].name) {
			return dsnKeys[i].name
		}
	}
	if oneEdit(lower, "password") {
		return "password"
	}
	for _, name := range refusedNames {
		if oneEdit(lower, name) {
			return name
		}
	}
	return ""
}

func squash(s string) string {
	return strings.Map(func(r rune) rune {
		if r == '_' || r == '-' || r == '.' || r == ' ' {
			return -1
		}
		return r
	}, s)
}

// oneEdit reports whether a becomes b by inserting, deleting or replacing one
// byte, or by swapping two neighbours.
func oneEdit(a, b string) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(b)-len(a) > 1 || a == b {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	if len(a) < len(b) {
		return a[i:] == b[i+1:]
	}
	return a[i+1:] == b[i+1:] ||
		i+1 < len(a) && a[i] == b[i+1] && a[i+1] == b[i] && a[i+2:] == b[i+2:]
}

// isParamName accepts the names that PostgreSQL's settings can have.
// Source: valid_custom_variable_name in guc.c.
func isParamName(s string) bool {
	start := true
	for _, r := range s {
		letter := (r|0x20) >= 'a' && (r|0x20) <= 'z' || r == '_' || r >= 0x80
		switch {
		case letter:
			start = false
		case r == '.' && !start:
			start = true
		case !start && (r == '$' || r >= '0' && r <= '9'):
		default:
			return false
		}
	}
	return !start
}

func dsnErrorf(key, format string, args ...any) error {
	return &DSNError{Key: key, Err: fmt.Errorf(format, args...)}
}

var errInsecureMode = fmt.Errorf("%w: use verify-full", ErrInsecureTLS)

var errNoHost = &DSNError{Key: "host", Err: errors.New("no host is given: name one in the DSN or in PGHOST")}
