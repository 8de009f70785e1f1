package explain

import (
	"errors"
	"fmt"
	"io/fs"
	"testing"
)

func TestFileErrorsAreSaidWithoutTheFile(t *testing.T) {
	for want, err := range map[string]error{
		"the file does not exist":         &fs.PathError{Op: "open", Path: "SECRET", Err: fs.ErrNotExist},
		"this user may not read the file": fmt.Errorf("again: %w", &fs.PathError{Op: "open", Path: "SECRET", Err: fs.ErrPermission}),
		"the file cannot be read":         errors.New("SECRET"),
	} {
		if got := File(err); got != want {
			t.Errorf("File(%v) = %q; want %q", err, got, want)
		}
	}
}

func TestEveryKindHasACause(t *testing.T) {
	for kind := Authority; kind <= Refused; kind++ {
		if kind.Means() == "" {
			t.Errorf("kind %d has none", kind)
		}
	}
	if Of(nil) != Unknown || Of(errors.New("boom")) != Unknown {
		t.Error("what is no failure of TLS has a kind")
	}
}
