package result

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

// compare reads pairs of a pickle in hex and its JSON, and prints those that Python reads
// differently, type and all.
const compare = `
import json, pickle, sys
for line in sys.stdin:
	p, j = line.rstrip("\n").split(" ", 1)
	if repr(pickle.loads(bytes.fromhex(p))) != repr(json.loads(j)):
		print(j)
`

func TestPythonReadsFromThePickleWhatItReadsFromTheJSON(t *testing.T) {
	pythontest.NeedPackages(t)
	values := []string{
		"null", "true", "false", `""`, `"Grüße \u0000 \ud83d\ude00"`, "[]", "{}", "[[],{}]", `{"a":{"b":[1,2.5,null]},"":false}`,
		"0", "-0", "-1", "255", "256", "-128", "-129", "32767", "2147483647", "2147483648", "-2147483648", "-2147483649",
		"9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809", "1" + strings.Repeat("0", 300),
		"1.0", "-0.0", "1e3", "1E-400", "1e999", "-1e999", "5e-324", strings.Repeat("[", 100) + strings.Repeat("]", 100),
	}
	random := rand.New(rand.NewPCG(1, 2))
	for range 2000 {
		text, err := json.Marshal(randomValue(random, 4))
		if err != nil {
			t.Fatal(err)
		}
		values = append(values, string(text))
	}
	var input bytes.Buffer
	for _, value := range values {
		p, err := pickle(json.RawMessage(value))
		if err != nil {
			t.Fatalf("%s: %v", value, err)
		}
		fmt.Fprintf(&input, "%x %s\n", p, value)
	}
	cmd := exec.Command(pythontest.Python, "-c", compare)
	cmd.Stdin, cmd.Stderr = &input, os.Stderr
	differ, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	if len(differ) > 0 {
		t.Errorf("Python reads these differently:\n%s", differ)
	}
}

func randomValue(r *rand.Rand, depth int) any {
	switch n := r.IntN(8); {
	case n == 0 && depth > 0:
		list := make([]any, r.IntN(4))
		for i := range list {
			list[i] = randomValue(r, depth-1)
		}
		return list
	case n == 1 && depth > 0:
		object := map[string]any{}
		for range r.IntN(4) {
			object[randomText(r)] = randomValue(r, depth-1)
		}
		return object
	case n == 2:
		return r.NormFloat64() * 1e9
	case n == 3:
		return r.Int64() >> r.IntN(64) * int64(1-2*r.IntN(2))
	case n == 4:
		return r.IntN(2) == 0
	case n == 5:
		return nil
	}
	return randomText(r)
}

func randomText(r *rand.Rand) string {
	text := make([]rune, r.IntN(20))
	for i := range text {
		if text[i] = r.Int32N(0x10ffff); r.IntN(2) == 0 {
			text[i] %= 128
		}
	}
	return string(text)
}

func TestWhatIsNoJSONIsNoPickle(t *testing.T) {
	for _, text := range []string{"[1", `{"a"`, "nul", "1 ]", "\x80\x02N."} {
		if p, err := pickle(json.RawMessage(text)); err == nil {
			t.Errorf("%q became %q", text, p)
		}
	}
}
