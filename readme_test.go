package azurepg

import (
	"errors"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/internal/explain"
)

// Every line of Go in the README stands in a Go file that is compiled, and
// every file that it links to exists.
func TestReadmeShowsCodeUnderTest(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for _, pattern := range []string{"*_test.go", "examples/*/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: no files, %v", pattern, err)
		}
		for _, file := range files {
			src, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			code.Write(src)
		}
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllSubmatch(readme, -1)
	if len(blocks) == 0 {
		t.Error("the README shows no code")
	}
	for _, block := range blocks {
		for line := range strings.Lines(string(block[1])) {
			if line = strings.TrimSpace(line); line != "" && !strings.Contains(code.String(), line) {
				t.Errorf("no Go file holds the README's line %s", line)
			}
		}
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllSubmatch(readme, -1) {
		if path := string(link[1]); !strings.Contains(path, "://") {
			if _, err := os.Stat(path); err != nil {
				t.Errorf("the README links to %s: %v", path, err)
			}
		}
	}
	for _, name := range regexp.MustCompile("`((?:Example|Test)\\w+)`").FindAllSubmatch(readme, -1) {
		if !strings.Contains(code.String(), "func "+string(name[1])+"(") {
			t.Errorf("there is no %s", name[1])
		}
	}
}

// The defaults in the README's table of keys are those of the code.
func TestReadmeDefaultsAreTheCodes(t *testing.T) {
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	rows := regexp.MustCompile("(?m)^\\| `(\\w+)` \\|.*\\| `([^`]+)`[^|]*\\|$").FindAllSubmatch(readme, -1)
	if len(rows) < 6 {
		t.Errorf("only %d keys of the README have a default", len(rows))
	}
	for _, row := range rows {
		key := dsnKeyIndex[string(row[1])]
		if key == nil || key.def != string(row[2]) {
			t.Errorf("the README's default of %s is %s; in the code it is %+v", row[1], row[2], key)
		}
	}
}

// settingFaults are errors of settings that people meet. Their words stand where
// each key is read, so they are provoked here.
var settingFaults = []struct {
	explanation
	dsn string
}{
	{explanation{says: "a password is given", means: "the DSN or service file holds a password, which azurepg never sends", advice: "remove it"}, "postgres://u:p@h/d"},
	{explanation{says: "Azure AD credentials are missing: …", means: "the named keys or variables are not set", advice: "set them, or choose another `azure_credential`"}, "host=h azure_credential=client_secret"},
	{explanation{says: "the token does not say the role's name", means: "it is of a service principal or system-assigned identity", advice: "set `user`"}, ""},
}

func TestFaultsOfSettingsAreAsTheReadmeSays(t *testing.T) {
	t.Setenv("AZURE_CLIENT_SECRET", "")
	for _, row := range settingFaults {
		err := noUserError(claims{})
		if row.dsn != "" {
			_, err = Driver{}.OpenConnector(row.dsn)
		}
		var de *DSNError
		if says := strings.TrimSuffix(row.says, " …"); !errors.As(err, &de) || !strings.Contains(err.Error(), "azurepg: "+de.Key+": "+says) {
			t.Errorf("got %v; want a DSNError that says %q", err, says)
		}
	}
}

// readmeRow is a row of the README's "When it fails".
func (x explanation) readmeRow() string {
	facts := map[string]string{"role": "'NAME'", "rolename": `"NAME"`, "oid": "OBJECT-ID", "type": "service", "names": "…", "issuer": "…"}
	return explain.Fill("| `"+x.says+"` | "+x.means+" | "+x.advice+" |", facts)
}

// The README's "When it fails" is made of the tables that the errors come from.
func TestReadmeExplainsFailuresAsTheErrorsDo(t *testing.T) {
	want := map[string]bool{}
	add := func(x explanation) {
		if x.readme {
			want[x.readmeRow()] = true
		}
	}
	for _, row := range settingFaults {
		row.readme = true
		add(row.explanation)
	}
	for code, row := range entraCodes {
		row.says = code
		add(row.explanation)
	}
	for _, row := range credentialFaults {
		add(row.explanation)
	}
	for _, row := range loginFaults {
		add(row.explanation)
	}
	for _, row := range tlsFaults {
		add(row.whole())
	}
	readme, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, _ := strings.Cut(string(readme), "\n## When it fails\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for line := range strings.Lines(section) {
		if line = strings.TrimSpace(line); !strings.HasPrefix(line, "| `") {
			continue
		}
		if !want[line] {
			t.Errorf("no table holds the README's row\n%s", line)
		}
		delete(want, line)
	}
	for row := range want {
		t.Errorf("the README lacks the row\n%s", row)
	}
}
