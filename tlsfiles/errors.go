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
