package azurepg

import (
	"strconv"
	"strings"
)

// lexURL reads a URL after its "://". It is no net/url: that one takes the names
// of Entra principals (alice@contoso.com, a guest's #EXT#) for something else,
// and prints the whole text in its errors.
//
// The authority ends at the first / or ?, user information at the last @ of the
// authority, the user at the first : of that. A # is ordinary, a + is no space.
func lexURL(rest string) *dsnText {
	t := &dsnText{}
	authority, tail := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, tail = rest[:i], rest[i:]
	}
	hosts, path, query := authority, tail, ""
	path, query, _ = strings.Cut(tail, "?")
	if at := strings.LastIndexByte(authority, '@'); at >= 0 {
		hosts = authority[at+1:]
		user, password, _ := strings.Cut(authority[:at], ":")
		t.password = password != ""
		t.addPart("user", user)
	} else if strings.Contains(path, "@") {
		// The rest of a user's name, or of a password, would become the database.
		t.fail(dsnErrorf("DSN", "an @ follows the / after the host: in a user name write / as %%2F, in a database name @ as %%40, and no password"))
	}
	t.hostList(hosts)
	t.addPart("dbname", strings.TrimPrefix(path, "/"))
	t.query(query)
	return t
}

// addPart adds a part of the URL that stands before the ?.
func (t *dsnText) addPart(name, raw string) {
	value, ok := unescape(raw)
	if !ok {
		t.fail(dsnErrorf(name, "%s", badEscape))
	}
	if value != "" {
		t.add(dsnParam{name: name, value: value, where: "the part before the ?"})
	}
}

// hostList reads "host:port,host:port" into the lists host and port, as libpq
// does. IPv6 addresses stand in brackets.
func (t *dsnText) hostList(s string) {
	var hosts, ports []string
	for more := true; more; {
		var host, port string
		if strings.HasPrefix(s, "[") {
			end := strings.IndexByte(s, ']')
			if end < 0 || end+1 < len(s) && s[end+1] != ':' && s[end+1] != ',' {
				t.fail(dsnErrorf("host", "it must be [IPv6 address] or [IPv6 address]:port where it begins with a bracket"))
				return
			}
			host, s = s[:end+1], s[end+1:]
		} else {
			i := strings.IndexAny(s, ":,")
			if i < 0 {
				i = len(s)
			}
			host, s = s[:i], s[i:]
		}
		port, s, more = strings.Cut(s, ",")
		if strings.LastIndexByte(port, ':') > 0 {
			t.fail(dsnErrorf("host", "a second colon follows the first: an IPv6 address must stand in brackets"))
		}
		hosts, ports = append(hosts, host), append(ports, strings.TrimPrefix(port, ":"))
	}
	if list := strings.Join(ports, ","); strings.Trim(list, ",") != "" {
		t.addPart("port", list)
	}
	t.addPart("host", strings.Join(hosts, ","))
}

func (t *dsnText) query(s string) {
	n := 0
	for part := range strings.SplitSeq(s, "&") {
		if part == "" {
			continue
		}
		n++
		where := "parameter " + strconv.Itoa(n)
		rawName, rawValue, found := strings.Cut(part, "=")
		name, ok1 := unescape(rawName)
		value, ok2 := unescape(rawValue)
		switch {
		case !found || name == "":
			t.fail(dsnErrorf("DSN", "%s is not of the form key=value", where))
			continue
		case !ok1 || !ok2:
			t.fail(dsnErrorf("DSN", "%s: %s", where, badEscape))
		}
		t.add(dsnParam{name, value, where})
	}
}

const badEscape = "a % must be followed by two hexadecimal digits; write % itself as %25"

// unescape decodes %XX. If it cannot, it returns s as it is and false.
func unescape(s string) (string, bool) {
	if !strings.Contains(s, "%") {
		return s, true
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] != '%' {
			b.WriteByte(s[i])
			continue
		}
		if i+2 >= len(s) {
			return s, false
		}
		n, err := strconv.ParseUint(s[i+1:i+3], 16, 8)
		if err != nil {
			return s, false
		}
		b.WriteByte(byte(n))
		i += 2
	}
	return b.String(), true
}

// escape encodes all but the unreserved characters and those in keep.
func escape(s, keep string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if l := c | 0x20; l >= 'a' && l <= 'z' || c >= '0' && c <= '9' || strings.IndexByte("-._~", c) >= 0 || strings.IndexByte(keep, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.WriteByte('%')
			b.WriteByte(hex[c>>4])
			b.WriteByte(hex[c&15])
		}
	}
	return b.String()
}
