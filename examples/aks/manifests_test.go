package main

import (
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/examples/internal/manifest"
)

type (
	cronJob struct {
		manifest.Document `yaml:",inline"`
		Spec              struct {
			Schedule          string `yaml:"schedule"`
			ConcurrencyPolicy string `yaml:"concurrencyPolicy"`
			JobTemplate       struct {
				Spec struct {
					BackoffLimit          int `yaml:"backoffLimit"`
					ActiveDeadlineSeconds int `yaml:"activeDeadlineSeconds"`
					Template              struct {
						Metadata manifest.Meta `yaml:"metadata"`
						Spec     podSpec       `yaml:"spec"`
					} `yaml:"template"`
				} `yaml:"spec"`
			} `yaml:"jobTemplate"`
		} `yaml:"spec"`
	}
	podSpec struct {
		ServiceAccountName string               `yaml:"serviceAccountName"`
		Automount          *bool                `yaml:"automountServiceAccountToken"`
		RestartPolicy      string               `yaml:"restartPolicy"`
		SecurityContext    manifest.PodSecurity `yaml:"securityContext"`
		Containers         []container          `yaml:"containers"`
	}
	container struct {
		Name  string `yaml:"name"`
		Image string `yaml:"image"`
		Env   []struct {
			Name  string        `yaml:"name"`
			Value manifest.Text `yaml:"value"`
		} `yaml:"env"`
		SecurityContext manifest.ContainerSecurity   `yaml:"securityContext"`
		Resources       map[string]map[string]string `yaml:"resources"`
	}
)

// values are what make manifests fills in here.
var values = map[string]string{
	"CLIENT_ID": "11111111-2222-3333-4444-555555555555", "IMAGE": "example/aks:1",
	"DBHOST": "mydb.postgres.database.azure.com", "DBUSER": "shop", "DBNAME": "shop_db",
}

// manifests returns the two manifests as make install applies them.
func manifests(t *testing.T) (account manifest.ServiceAccount, job cronJob) {
	t.Helper()
	manifest.Read(t, values, map[string]any{"ServiceAccount": &account, "CronJob": &job})
	return account, job
}

func TestManifestsAgreeWithEachOther(t *testing.T) {
	account, job := manifests(t)
	pod := job.Spec.JobTemplate.Spec.Template
	if account.APIVersion != "v1" || job.APIVersion != "batch/v1" {
		t.Errorf("versions: %s, %s", account.APIVersion, job.APIVersion)
	}
	if account.Metadata.Namespace == "" || account.Metadata.Namespace != job.Metadata.Namespace {
		t.Errorf("namespaces: %q, %q", account.Metadata.Namespace, job.Metadata.Namespace)
	}
	if name := account.Metadata.Name; name == "" || pod.Spec.ServiceAccountName != name {
		t.Errorf("the pod is of service account %q; want %q", pod.Spec.ServiceAccountName, name)
	}
	if got := account.Metadata.Annotations["azure.workload.identity/client-id"]; string(got) != values["CLIENT_ID"] {
		t.Errorf("annotation client-id is %q", got)
	}
	// Source: azure-workload-identity's webhook matches pods by this label.
	if pod.Metadata.Labels["azure.workload.identity/use"] != "true" {
		t.Errorf("the pod's labels are %v; the webhook passes it by", pod.Metadata.Labels)
	}
	if account.Automount == nil || *account.Automount || pod.Spec.Automount == nil || *pod.Spec.Automount {
		t.Error("a token for the cluster's API would be mounted")
	}
	if pod.Spec.RestartPolicy != "Never" && pod.Spec.RestartPolicy != "OnFailure" {
		t.Errorf("restartPolicy %q is none for a job", pod.Spec.RestartPolicy)
	}
}

func TestManifestSetsWhatTheProgramReads(t *testing.T) {
	_, job := manifests(t)
	containers := job.Spec.JobTemplate.Spec.Template.Spec.Containers
	if len(containers) != 1 || containers[0].Image != values["IMAGE"] {
		t.Fatalf("containers: %+v", containers)
	}
	got := make(map[string]string)
	for _, e := range containers[0].Env {
		got[e.Name] = string(e.Value)
	}
	for _, name := range []string{"DBHOST", "DBUSER", "DBNAME"} {
		if got[name] != values[name] {
			t.Errorf("%s is %q; want %q", name, got[name], values[name])
		}
	}
	source := readFile(t, "main.go")
	for name := range got {
		if !strings.Contains(source, `"`+name+`"`) {
			t.Errorf("the manifest sets %s, which the program does not read", name)
		}
	}
}

func TestImageAndPodAgreeOnAnUnprivilegedUser(t *testing.T) {
	_, job := manifests(t)
	pod := job.Spec.JobTemplate.Spec.Template.Spec
	user := regexp.MustCompile(`(?m)^USER (\d+):(\d+)$`).FindStringSubmatch(readFile(t, "Dockerfile"))
	s := pod.SecurityContext
	if user == nil || user[1] == "0" || !s.RunAsNonRoot || user[1] != strconv.Itoa(s.RunAsUser) || user[2] != strconv.Itoa(s.RunAsGroup) {
		t.Errorf("Dockerfile: %v; pod: %+v", user, s)
	}
	c := pod.Containers[0].SecurityContext
	if c.AllowPrivilegeEscalation == nil || *c.AllowPrivilegeEscalation || !c.ReadOnlyRootFilesystem || !slices.Contains(c.Capabilities.Drop, "ALL") {
		t.Errorf("container: %+v", c)
	}
}

// The image is not built here; what would be compiled into it is asked of go list, in the
// environment of the Dockerfile's command. A package that uses C is linked dynamically.
func TestImageHoldsAStaticProgramAndRoots(t *testing.T) {
	dockerfile := readFile(t, "Dockerfile")
	command := regexp.MustCompile(`(?m)^RUN (.*)go build .* -o (/\S+) (\./aks)$`).FindStringSubmatch(dockerfile)
	if command == nil {
		t.Fatal("no build command in the Dockerfile")
	}
	list := exec.Command("/bin/sh", "-c", command[1]+"go list -deps -f '{{if .CgoFiles}}{{.ImportPath}}{{end}}' "+command[3])
	list.Dir = ".."
	list.Env = append(os.Environ(), "GOOS=linux", "CGO_ENABLED=1")
	if out, err := list.CombinedOutput(); err != nil || len(out) > 0 {
		t.Errorf("%v, these use C, and scratch has no libraries:\n%s", err, out)
	}
	if !strings.Contains(dockerfile, "COPY --from=build "+command[2]+" /aks\n") || !strings.Contains(dockerfile, `ENTRYPOINT ["/aks"]`) {
		t.Error("the image does not run what it builds")
	}
	from := regexp.MustCompile(`(?m)^FROM (\S+)`).FindAllStringSubmatch(dockerfile, -1)
	if len(from) != 2 || from[1][1] != "scratch" || strings.Contains(from[0][1], "/") {
		t.Errorf("FROM %v; want an image by its short name, and scratch", from)
	}
	const roots = "/etc/ssl/certs/ca-certificates.crt" // the first place where crypto/x509 looks on Linux
	if !strings.Contains(dockerfile, "COPY --from=build "+roots+" "+roots) {
		t.Error("the image has no roots")
	}
	goMod := regexp.MustCompile(`(?m)^go (\d+\.\d+)`).FindStringSubmatch(readFile(t, "../go.mod"))
	if from[0][1] != "golang:"+goMod[1] {
		t.Errorf("the image is built with %s; go.mod says %s", from[0][1], goMod[1])
	}
}
