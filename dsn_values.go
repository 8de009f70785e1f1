package azurepg

import (
	"errors"
	"math"
	"strconv"
	"strings"
	"time"
)

// What values may be. None of these functions puts the value into its error.

func oneOf(values ...string) func(string) error {
	return func(v string) error {
		for _, allowed := range values {
			if v == allowed {
				return nil
			}
		}
		return errors.New("it must be " + orList(values))
	}
}

// orList writes "a, b or c".
func orList(words []string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}

// checkSSLMode refuses what is weaker than TLS as ErrInsecureTLS.
func checkSSLMode(v string) error {
	switch v {
	case "disable", "allow", "prefer":
		return errInsecureMode
	}
	return oneOf(sslRequire, sslVerifyCA, sslVerifyFull)(v)
}

// checkSSL is for the key ssl, which libpq and JDBC know beside sslmode.
func checkSSL(v string) error {
	switch v {
	case "true":
		return nil
	case "false":
		return errInsecureMode
	}
	return errors.New("it must be true; which verification is meant says sslmode")
}

func wholeNumber(least int64) func(string) error {
	return func(v string) error {
		if n, err := strconv.ParseInt(v, 10, 32); err != nil || n < least {
			return errors.New("it must be a whole number from " + strconv.FormatInt(least, 10) + " to " + strconv.Itoa(math.MaxInt32))
		}
		return nil
	}
}

func anyInteger(v string) error {
	if _, err := strconv.ParseInt(strings.TrimSpace(v), 10, 32); err != nil {
		return errors.New("it must be a whole number")
	}
	return nil
}

// goDuration checks what pgxpool reads with time.ParseDuration.
func goDuration(least time.Duration) func(string) error {
	return func(v string) error {
		if d, err := time.ParseDuration(v); err != nil || d < least {
			if least > 0 {
				return errors.New("it must be a Go duration above zero, such as 30s or 1h")
			}
			return errors.New("it must be a Go duration, such as 30s or 1h")
		}
		return nil
	}
}

// positiveDuration reads a Go duration or whole seconds.
func positiveDuration(v string) (time.Duration, error) {
	d, err := time.ParseDuration(v)
	if err != nil {
		d, err = seconds(v)
	}
	if err != nil || d <= 0 {
		return 0, errors.New("it must be a duration above zero: whole seconds, or with a unit such as 30s or 5m")
	}
	return d, nil
}

// connectTimeout reads connect_timeout: whole seconds, of which libpq takes
// zero and negative ones as no limit.
func connectTimeout(v string) (time.Duration, error) {
	d, err := seconds(v)
	if err != nil {
		return 0, errors.New("it must be a whole number of seconds; 0 means no limit")
	}
	if d <= 0 {
		return noConnectTimeout, nil
	}
	return d, nil
}

func seconds(v string) (time.Duration, error) {
	n, err := strconv.ParseInt(strings.TrimSpace(v), 10, 64)
	if err == nil && (n > int64(math.MaxInt64/time.Second) || n < int64(math.MinInt64/time.Second)) {
		err = strconv.ErrRange
	}
	return time.Duration(n) * time.Second, err
}

func connectTimeoutText(d time.Duration) string {
	if d < 0 {
		return "0"
	}
	s := d / time.Second
	if d%time.Second != 0 {
		s++ // code can ask for parts of a second; less than asked for would be a new limit
	}
	return strconv.FormatInt(int64(s), 10)
}

// durationText writes 5m, not 5m0s.
func durationText(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = s[:len(s)-2]
	}
	if strings.HasSuffix(s, "h0m") {
		s = s[:len(s)-2]
	}
	return s
}
