package celery_test

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/examples/internal/manifest"
	"github.com/azurepg/azurepg/examples/internal/pythontest"
)

type (
	deployment struct {
		manifest.Document `yaml:",inline"`
		Spec              struct {
			Replicas int `yaml:"replicas"`
			Selector struct {
				MatchLabels map[string]manifest.Text `yaml:"matchLabels"`
			} `yaml:"selector"`
			Template struct {
				Metadata manifest.Meta `yaml:"metadata"`
				Spec     podSpec       `yaml:"spec"`
			} `yaml:"template"`
		} `yaml:"spec"`
	}
	podSpec struct {
		ServiceAccountName string               `yaml:"serviceAccountName"`
		Automount          *bool                `yaml:"automountServiceAccountToken"`
		SecurityContext    manifest.PodSecurity `yaml:"securityContext"`
		GracePeriod        int                  `yaml:"terminationGracePeriodSeconds"`
		Volumes            []struct {
			Name     string            `yaml:"name"`
			EmptyDir map[string]string `yaml:"emptyDir"`
		} `yaml:"volumes"`
		InitContainers []container `yaml:"initContainers"`
		Containers     []container `yaml:"containers"`
	}
	container struct {
		Name          string          `yaml:"name"`
		Image         string          `yaml:"image"`
		RestartPolicy string          `yaml:"restartPolicy"`
		Command       []manifest.Text `yaml:"command"`
		Args          []manifest.Text `yaml:"args"`
		Ports         []struct {
			Name          string `yaml:"name"`
			ContainerPort int    `yaml:"containerPort"`
		} `yaml:"ports"`
		StartupProbe   probe `yaml:"startupProbe"`
		ReadinessProbe probe `yaml:"readinessProbe"`
		LivenessProbe  probe `yaml:"livenessProbe"`
		Env            []struct {
			Name      string                       `yaml:"name"`
			Value     manifest.Text                `yaml:"value"`
			ValueFrom map[string]map[string]string `yaml:"valueFrom"`
		} `yaml:"env"`
		VolumeMounts []struct {
			Name      string `yaml:"name"`
			MountPath string `yaml:"mountPath"`
			ReadOnly  bool   `yaml:"readOnly"`
		} `yaml:"volumeMounts"`
		SecurityContext manifest.ContainerSecurity   `yaml:"securityContext"`
		Resources       map[string]map[string]string `yaml:"resources"`
	}
	probe struct {
		HTTPGet struct {
			Path string `yaml:"path"`
			Port string `yaml:"port"`
		} `yaml:"httpGet"`
		PeriodSeconds    int `yaml:"periodSeconds"`
		TimeoutSeconds   int `yaml:"timeoutSeconds"`
		FailureThreshold int `yaml:"failureThreshold"`
	}
)

// values are what make manifests fills in here.
var values = map[string]string{
	"CLIENT_ID": "11111111-2222-3333-4444-555555555555", "AZUREPG_IMAGE": "example/azurepg:1", "IMAGE": "example/tasks:1",
	"DB_HOST": "mydb.postgres.database.azure.com", "DB_NAME": "celery", "AZURE_SERVICE_PRINCIPAL_USER": "sp_celery@db",
}

// manifests returns what make install applies.
func manifests(t *testing.T) (account manifest.ServiceAccount, workers deployment) {
	t.Helper()
	manifest.Read(t, values, map[string]any{"ServiceAccount": &account, "Deployment": &workers})
	if n := len(workers.Spec.Template.Spec.InitContainers); n != 1 || len(workers.Spec.Template.Spec.Containers) != 1 {
		t.Fatalf("%d sidecars; want one, and one worker", n)
	}
	return account, workers
}

func TestManifestsAgreeWithEachOther(t *testing.T) {
	account, workers := manifests(t)
	pod := workers.Spec.Template
	if account.APIVersion != "v1" || workers.APIVersion != "apps/v1" {
		t.Errorf("versions: %s, %s", account.APIVersion, workers.APIVersion)
	}
	if account.Metadata.Namespace == "" || account.Metadata.Namespace != workers.Metadata.Namespace || account.Metadata.Name != pod.Spec.ServiceAccountName {
		t.Errorf("%+v is not the service account of %+v", account.Metadata, workers.Metadata)
	}
	if got := account.Metadata.Annotations["azure.workload.identity/client-id"]; string(got) != values["CLIENT_ID"] {
		t.Errorf("annotation client-id is %q", got)
	}
	// Source: the webhook's labels and annotations, "Workload ID" on learn.microsoft.com, read 2026-11.
	if pod.Metadata.Labels["azure.workload.identity/use"] != "true" {
		t.Errorf("the pod's labels are %v; the webhook passes it by", pod.Metadata.Labels)
	}
	if skip := pod.Metadata.Annotations["azure.workload.identity/skip-containers"]; string(skip) != pod.Spec.Containers[0].Name {
		t.Errorf("the webhook skips %q; want the worker", skip)
	}
	for label, value := range workers.Spec.Selector.MatchLabels {
		if pod.Metadata.Labels[label] != value {
			t.Errorf("the selector wants %s=%s of pods that have %v", label, value, pod.Metadata.Labels)
		}
	}
	if account.Automount == nil || *account.Automount || pod.Spec.Automount == nil || *pod.Spec.Automount {
		t.Error("a token for the cluster's API would be mounted")
	}
	if s := pod.Spec.SecurityContext; !s.RunAsNonRoot || s.RunAsUser == 0 || s.SeccompProfile.Type != "RuntimeDefault" {
		t.Errorf("the pod runs as %+v", s)
	}
	for _, c := range slices.Concat(pod.Spec.InitContainers, pod.Spec.Containers) {
		if s := c.SecurityContext; s.AllowPrivilegeEscalation == nil || *s.AllowPrivilegeEscalation || !s.ReadOnlyRootFilesystem || !slices.Contains(s.Capabilities.Drop, "ALL") {
			t.Errorf("%s: %+v", c.Name, s)
		}
	}
}

// The worker's side: the socket's directory, what celeryconfig.py reads, and no secret.
func TestWorkerOfTheManifestHasASocketAndNoSecret(t *testing.T) {
	_, workers := manifests(t)
	pod := workers.Spec.Template.Spec
	sidecar, worker := pod.InitContainers[0], pod.Containers[0]
	env := make(map[string]string)
	for _, e := range worker.Env {
		env[e.Name] = string(e.Value)
		if strings.HasPrefix(e.Name, "AZURE_CLIENT") || strings.Contains(e.Name, "PASS") {
			t.Errorf("the worker gets %s", e.Name)
		}
		if source := readFile(t, "celeryconfig.py"); !strings.Contains(source, `"`+e.Name+`"`) {
			t.Errorf("the manifest sets %s, which celeryconfig.py does not read", e.Name)
		}
	}
	if env["DB_NAME"] != values["DB_NAME"] || env["AZURE_SERVICE_PRINCIPAL_USER"] != values["AZURE_SERVICE_PRINCIPAL_USER"] {
		t.Errorf("the worker's environment: %v", env)
	}
	if listen := "-listen=unix:" + env["DB_HOST"] + "/"; !slices.Contains(sidecar.Args, manifest.Text(listen)) {
		t.Errorf("the sidecar's arguments are %q; want %s", sidecar.Args, listen)
	}
	if sidecar.RestartPolicy != "Always" {
		t.Error("the sidecar is an init container whose end the worker waits for")
	}
	mount := sidecar.VolumeMounts[0]
	if m := worker.VolumeMounts[0]; m.Name != mount.Name || m.MountPath != mount.MountPath || pod.Volumes[0].Name != m.Name || pod.Volumes[0].EmptyDir["medium"] != "Memory" {
		t.Errorf("mounts %+v and %+v of %+v", mount, m, pod.Volumes)
	}
	// The proxy wants a directory of its own, with mode 0700; the volume's is everybody's.
	if filepath.Dir(env["DB_HOST"]) != mount.MountPath {
		t.Errorf("the socket is in %s; want a directory below %s", env["DB_HOST"], mount.MountPath)
	}
}

// The sidecar's command line, with this machine's paths and ports, and the variables that
// the webhook adds: its probes succeed, and the worker logs in through its socket.
func TestSidecarOfTheManifestLogsIn(t *testing.T) {
	_, workers := manifests(t)
	sidecar := workers.Spec.Template.Spec.InitContainers[0]
	s := pythontest.NewSite(t, values["AZURE_SERVICE_PRINCIPAL_USER"])
	replace := strings.NewReplacer("/run/azurepg", s.Home, "0.0.0.0:"+fmt.Sprint(sidecar.Ports[0].ContainerPort), "127.0.0.1:0",
		"host="+values["DB_HOST"], s.Host(), "dbname="+values["DB_NAME"], "dbname="+s.Database)
	var args []string
	for _, a := range sidecar.Args {
		args = append(args, replace.Replace(string(a)))
	}
	p := s.Azurepg(t, []string{"AZURE_FEDERATED_TOKEN_FILE=" + s.Principal.FederatedTokenFile}, args...)
	p.Prints(`"msg":"health"`, 1)
	address := ""
	for line := range strings.Lines(p.String()) {
		var entry struct{ Msg, Address string }
		if json.Unmarshal([]byte(line), &entry) == nil && entry.Msg == "health" {
			address = entry.Address
		}
	}
	probes := map[string]probe{"startup": sidecar.StartupProbe, "readiness": sidecar.ReadinessProbe, "liveness": sidecar.LivenessProbe}
	for name, probe := range probes {
		response, err := http.Get("http://" + address + probe.HTTPGet.Path)
		if err != nil {
			t.Fatal(err)
		}
		body, _ := io.ReadAll(response.Body)
		response.Body.Close()
		if response.StatusCode != http.StatusOK || probe.HTTPGet.Port != sidecar.Ports[0].Name {
			t.Errorf("%s probe at %s: %s %s", name, probe.HTTPGet.Port, response.Status, body)
		}
	}
	if live := sidecar.LivenessProbe.HTTPGet.Path; live != "/livez" {
		t.Errorf("a database that is away would restart the sidecar: liveness asks %s", live)
	}
	client := s.Python(t, ".", []string{"DB_HOST=" + filepath.Join(s.Home, "celery")}, "-c", settings)
	if url, user := client.Line(), client.Line(); user != s.Role {
		t.Errorf("%s logs in as %s", url, user)
	}
	client.Succeeds()
}

// The image is not built here. It runs as the pod does, and is of this module's Go.
func TestImageAndPodAgreeOnAnUnprivilegedUser(t *testing.T) {
	_, workers := manifests(t)
	dockerfile := readFile(t, "azurepg.Dockerfile")
	s := workers.Spec.Template.Spec.SecurityContext
	for _, want := range []string{
		fmt.Sprintf("\nUSER %d:%d\n", s.RunAsUser, s.RunAsGroup), "\nFROM scratch\n", " -o /azurepg ./cmd/azurepg\n",
		"COPY --from=build /azurepg /azurepg\n", "ENTRYPOINT [\"/azurepg\"]",
		"COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt\n",
	} {
		if !strings.Contains(dockerfile, want) {
			t.Errorf("the Dockerfile lacks %q", want)
		}
	}
	goMod := readFile(t, "../go.mod")
	version, _, _ := strings.Cut(goMod[strings.Index(goMod, "\ngo ")+len("\ngo "):], ".0\n")
	if !strings.Contains(dockerfile, "FROM golang:"+version+" AS build\n") {
		t.Errorf("the image is not built with Go %s, as go.mod says", version)
	}
}
