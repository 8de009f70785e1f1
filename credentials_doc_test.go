package azurepg

import (
	"go/ast"
	"go/build"
	"go/doc"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/azurepg/azurepg/azurepgtest"
)

// azidentityCredentials returns what azidentity's exported constructors make, and
// whether it is deprecated.
func azidentityCredentials(t *testing.T) map[string]bool {
	t.Helper()
	const path = "github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	at, err := build.Import(path, ".", 0)
	if err != nil {
		t.Fatal(err)
	}
	files, fset := make([]*ast.File, len(at.GoFiles)), token.NewFileSet()
	for i, name := range at.GoFiles {
		if files[i], err = parser.ParseFile(fset, filepath.Join(at.Dir, name), nil, parser.ParseComments); err != nil {
			t.Fatal(err)
		}
	}
	pkg, err := doc.NewFromFiles(fset, files, path)
	if err != nil {
		t.Fatal(err)
	}
	made := map[string]bool{}
	for _, typ := range pkg.Types {
		isCredential := slices.ContainsFunc(typ.Methods, func(m *doc.Func) bool { return m.Name == "GetToken" })
		constructed := slices.ContainsFunc(typ.Funcs, func(f *doc.Func) bool { return strings.HasPrefix(f.Name, "New") })
		if isCredential && constructed {
			made[typ.Name] = strings.Contains(typ.Doc, "Deprecated:")
		}
	}
	if len(made) < 10 {
		t.Fatalf("only %d constructors of credentials found in %s", len(made), at.Dir)
	}
	return made
}

// credentialMakers makes what azure_credential names, of a principal that has all
// that any of them needs.
func credentialMakers(t *testing.T) func(name string) string {
	t.Helper()
	azure, err := azurepgtest.New(&azurepgtest.Options{NoPostgres: true})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = azure.Close() })
	p := azure.AddServicePrincipal("app")
	t.Setenv("AZURE_TENANT_ID", p.TenantID)
	t.Setenv("AZURE_CLIENT_ID", p.ClientID)
	t.Setenv("AZURE_CLIENT_SECRET", p.Secret)
	t.Setenv("AZURE_TOKEN_CREDENTIALS", "prod")
	return func(name string) string {
		cfg := &Config{AzureCredential: name, ClientCertificatePath: p.CertificateFile, FederatedTokenFile: p.FederatedTokenFile}
		cred, err := newCredential(cfg, &tokenSource{})
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		return credentialName(cred)
	}
}

// A credential that is new in azidentity has to be looked at: should a DSN name it?
func TestEveryCredentialOfAzidentityIsDocumented(t *testing.T) {
	text, err := os.ReadFile("docs/credentials.md")
	if err != nil {
		t.Fatal(err)
	}
	unseen, names, made := azidentityCredentials(t), credentialNames(), credentialMakers(t)
	for _, row := range regexp.MustCompile("(?m)^\\| `(\\w+)` \\| (?:`(\\w+)`|\\*code\\*) \\| (.+) \\|$").FindAllSubmatch(text, -1) {
		credential, name, use := string(row[1]), string(row[2]), string(row[3])
		deprecated, ok := unseen[credential]
		if !ok {
			t.Errorf("azidentity has no %s, or it stands here twice", credential)
		}
		delete(unseen, credential)
		if deprecated != strings.Contains(use, "it is deprecated") {
			t.Errorf("%s: deprecated in azidentity: %v; the page says: %s", credential, deprecated, use)
		}
		if name == "" {
			continue
		}
		i := slices.Index(names, name)
		if i < 0 {
			t.Errorf("%s: azure_credential cannot be %s, or it stands here twice", credential, name)
			continue
		}
		names = slices.Delete(names, i, i+1)
		if got := made(name); got != credential {
			t.Errorf("azure_credential=%s makes a %s; the page says %s", name, got, credential)
		}
	}
	for credential := range unseen {
		t.Errorf("docs/credentials.md lacks azidentity's %s", credential)
	}
	for _, name := range names {
		t.Errorf("docs/credentials.md lacks azure_credential=%s", name)
	}
}
