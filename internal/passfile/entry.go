package passfile

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/azurepg/azurepg"
)

// render writes a line for each host of each source whose user is known. libpq would never
// look at a second line for the same server, database and user.
//
// Lines are long: libpq before 13.0, 12.5 and 11.10 cuts them at 320 bytes. Source: commit
// "Teach libpq to handle arbitrary-length lines in .pgpass files" of PostgreSQL, 2020-09.
func render(sources []*source) (string, error) {
	var b strings.Builder
	b.WriteString(marker + "\n")
	first := make(map[string]int) // the source of each key
	for i, s := range sources {
		if s.user == "" {
			continue
		}
		for _, host := range s.hosts {
			key := key(host, s.database, s.user)
			if strings.ContainsAny(key, "\n\r\x00") {
				return "", Numbered(i, len(sources), errors.New("a user or database with a line break in its name cannot stand in a passfile"))
			}
			switch owner, taken := first[key]; {
			case taken && owner == i: // one name, several addresses
			case taken:
				return "", fmt.Errorf("DSN %d and DSN %d are for the same host, port, database and user, and clients would take the first one's token only", owner+1, i+1)
			default:
				first[key] = i
				b.WriteString(key + ":" + escape(s.token.Token) + "\n")
			}
		}
	}
	return b.String(), nil
}

// key is what libpq compares: the host as the client names it, whatever address it dials,
// the port, the database, or any if there is none, and the user.
func key(host azurepg.Host, database, user string) string {
	port := host.Port
	if port == 0 {
		port = 5432
	}
	if database = escape(database); database == "" {
		database = "*"
	}
	return escape(host.Name) + ":" + strconv.Itoa(int(port)) + ":" + database + ":" + escape(user)
}

// escape writes a field as libpq reads it. A star alone would be any.
func escape(field string) string {
	if field == "*" {
		return `\*`
	}
	return strings.NewReplacer(`\`, `\\`, `:`, `\:`).Replace(field)
}
