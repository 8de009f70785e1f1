package azurepg

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// designRooms are the names in the first column of the tables under "The rooms".
func designRooms(t *testing.T) (files, packages []string) {
	t.Helper()
	_, section, _ := strings.Cut(readText(t, "docs/design.md"), "\n## The rooms\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for _, row := range regexp.MustCompile("(?m)^\\| (`.+?`) \\|").FindAllStringSubmatch(section, -1) {
		for _, name := range codeSpan.FindAllStringSubmatch(row[1], -1) {
			if strings.HasSuffix(name[1], ".go") {
				files = append(files, name[1])
			} else {
				packages = append(packages, name[1])
			}
		}
	}
	return files, packages
}

// A newcomer finds every room on the page: each file of the root in one row, each package.
func TestDesignNamesEveryRoom(t *testing.T) {
	patterns, packages := designRooms(t)
	inRows := map[string]int{}
	for _, pattern := range patterns {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Errorf("docs/design.md has %s, which there is not: %v", pattern, err)
		}
		for _, file := range files {
			inRows[file]++
		}
	}
	for _, file := range goFiles(t, ".") {
		if inRows[file] != 1 {
			t.Errorf("docs/design.md has %s in %d rows; want 1", file, inRows[file])
		}
	}
	named := strings.Join(packages, " ") + " "
	for _, dir := range packageDirs(t) {
		if !strings.Contains(named, dir+" ") {
			t.Errorf("docs/design.md lacks package %s", dir)
		}
	}
}

// packageDirs are the directories of this module's packages but the root.
func packageDirs(t *testing.T) (dirs []string) {
	t.Helper()
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.IsDir() || path == "." {
			return err
		}
		if _, nested := os.Stat(filepath.Join(path, "go.mod")); nested == nil || d.Name() == "testdata" || d.Name()[0] == '.' {
			return filepath.SkipDir
		}
		if files, err := filepath.Glob(filepath.Join(path, "*.go")); err != nil || len(files) > 0 {
			dirs = append(dirs, filepath.ToSlash(path))
		}
		return nil
	})
	if err != nil || len(dirs) < 5 {
		t.Fatalf("packages %v, %v", dirs, err)
	}
	return dirs
}
