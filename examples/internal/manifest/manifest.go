// Package manifest reads the Kubernetes manifests of the examples for their tests: the fields
// that they write, and no others, so that a misspelt one does not pass.
package manifest

import (
	"bytes"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"gopkg.in/yaml.v3"
)

// A Document is what every manifest begins with.
type Document struct {
	APIVersion string `yaml:"apiVersion"`
	Kind       string `yaml:"kind"`
	Metadata   Meta   `yaml:"metadata"`
}

// Meta says what something is called.
type Meta struct {
	Name        string          `yaml:"name"`
	Namespace   string          `yaml:"namespace"`
	Labels      map[string]Text `yaml:"labels"`
	Annotations map[string]Text `yaml:"annotations"`
}

// A ServiceAccount is an identity of pods.
type ServiceAccount struct {
	Document  `yaml:",inline"`
	Automount *bool `yaml:"automountServiceAccountToken"`
}

// PodSecurity says whom the processes of a pod run as.
type PodSecurity struct {
	RunAsNonRoot   bool `yaml:"runAsNonRoot"`
	RunAsUser      int  `yaml:"runAsUser"`
	RunAsGroup     int  `yaml:"runAsGroup"`
	SeccompProfile struct {
		Type string `yaml:"type"`
	} `yaml:"seccompProfile"`
}

// ContainerSecurity says what a container may do.
type ContainerSecurity struct {
	AllowPrivilegeEscalation *bool `yaml:"allowPrivilegeEscalation"`
	ReadOnlyRootFilesystem   bool  `yaml:"readOnlyRootFilesystem"`
	Capabilities             struct {
		Drop []string `yaml:"drop"`
	} `yaml:"capabilities"`
}

// A Text is a YAML string. Kubernetes refuses other scalars, such as a bare true, where it
// wants one; the YAML package converts them.
type Text string

// UnmarshalYAML takes strings alone.
func (v *Text) UnmarshalYAML(node *yaml.Node) error {
	if node.Tag != "!!str" {
		return fmt.Errorf("line %d: %s is no string", node.Line, node.Value)
	}
	*v = Text(node.Value)
	return nil
}

// Read runs make manifests in the test's directory with values, as make install does, and
// decodes each document into the one that its kind has in into.
func Read(t *testing.T, values map[string]string, into map[string]any) {
	t.Helper()
	args := []string{"-s", "--no-print-directory", "manifests"}
	for name, value := range values {
		args = append(args, name+"="+value)
	}
	out, err := exec.Command("make", args...).Output()
	if err != nil {
		t.Fatal(err)
	}
	if bytes.Contains(out, []byte("${")) {
		t.Errorf("not everything is filled in:\n%s", out)
	}
	read := 0
	for document := range strings.SplitSeq(string(out), "---\n") {
		if document == "" {
			continue
		}
		var kind struct{ Kind string }
		if err := yaml.Unmarshal([]byte(document), &kind); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		if into[kind.Kind] == nil {
			t.Fatalf("a manifest of kind %q, which nobody looks at:\n%s", kind.Kind, document)
		}
		decoder := yaml.NewDecoder(strings.NewReader(document))
		decoder.KnownFields(true)
		if err := decoder.Decode(into[kind.Kind]); err != nil {
			t.Fatalf("%v in\n%s", err, document)
		}
		read++
	}
	if read != len(into) {
		t.Fatalf("%d manifests; want %d", read, len(into))
	}
}
