package tlsfiles

import (
	"crypto/tls"
	"errors"
)

// Files are the files of Options, looked at anew by each handshake. There is nothing
// to close, and it is safe for concurrent use.
type Files struct {
	opts Options
}

// New reads the files. Its errors are *Error. It dials nothing.
func New(opts Options) (*Files, error) {
	return &Files{opts: opts}, errors.New("not yet")
}

// Config returns a configuration for connections to the host serverName, a name or an
// IP address without port, which the client may keep as long as it likes: rotated
// files are taken up by its next handshake. The caller may add to it, such as
// NextProtos, but not change what is set.
//
// An empty serverName is the one that the client fills in when it dials, as go-redis
// and amqp091 do. It must be a name then, and no IP address: those are not
// part of a handshake, so that it fails.
func (f *Files) Config(serverName string) *tls.Config {
	return &tls.Config{ServerName: serverName}
}

// Verify verifies the certificates of state as the mode demands, by the CAFile as
// it is now and for the name serverName. It is what a Config does by itself, for those
// who want to check a connection that another configuration may have made.
func (f *Files) Verify(state tls.ConnectionState, serverName string) error {
	return errors.New("not yet")
}
