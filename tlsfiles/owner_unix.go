//go:build unix

package tlsfiles

import (
	"io/fs"
	"syscall"
)

// tooOpen reports whether others could read or change the key file.
func tooOpen(info fs.FileInfo) bool {
	st, ok := info.Sys().(*syscall.Stat_t)
	return forbidden(info.Mode(), ok && st.Uid == 0)
}

// forbidden is libpq's rule: 0600 or less, and 0640 for a file of root's, which those
// in a group may share. Source: fe-secure-openssl.c of PostgreSQL, initialize_SSL, read 2026-11.
func forbidden(mode fs.FileMode, roots bool) bool {
	if roots {
		return mode&0o037 != 0
	}
	return mode&0o077 != 0
}
