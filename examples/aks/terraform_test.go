package main

import (
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/hashicorp/hcl/v2"
	"github.com/hashicorp/hcl/v2/hclparse"
	"github.com/hashicorp/hcl/v2/hclsyntax"
	"github.com/zclconf/go-cty/cty"
)

// terraform parses the files and returns their blocks by their labels: "variable database",
// "resource azurerm_user_assigned_identity app".
func terraform(t *testing.T) (blocks map[string]*hclsyntax.Block, source string) {
	t.Helper()
	files, err := filepath.Glob("terraform/*.tf")
	if err != nil || len(files) == 0 {
		t.Fatalf("no files, %v", err)
	}
	blocks = make(map[string]*hclsyntax.Block)
	parser := hclparse.NewParser()
	for _, name := range files {
		file, diagnostics := parser.ParseHCLFile(name)
		if diagnostics.HasErrors() {
			t.Fatal(diagnostics)
		}
		for _, block := range file.Body.(*hclsyntax.Body).Blocks {
			blocks[strings.Join(append([]string{block.Type}, block.Labels...), " ")] = block
		}
		source += readFile(t, name)
	}
	return blocks, source
}

// attribute evaluates an attribute of a block with these variables; what they do not
// give, such as another resource's id, is an error.
func attribute(t *testing.T, block *hclsyntax.Block, name string, variables map[string]cty.Value) cty.Value {
	t.Helper()
	if block == nil || block.Body.Attributes[name] == nil {
		t.Fatalf("no attribute %s", name)
	}
	value, diagnostics := block.Body.Attributes[name].Expr.Value(&hcl.EvalContext{
		Variables: map[string]cty.Value{"var": cty.ObjectVal(variables)}})
	if diagnostics.HasErrors() {
		t.Fatal(diagnostics)
	}
	return value
}

func TestTerraformTrustsTheServiceAccountOfTheManifests(t *testing.T) {
	blocks, _ := terraform(t)
	account, _ := manifests(t)
	variables := make(map[string]cty.Value)
	for _, name := range []string{"namespace", "service_account"} {
		variables[name] = attribute(t, blocks["variable "+name], "default", map[string]cty.Value{})
	}
	credential := blocks["resource azurerm_federated_identity_credential app"]
	want := "system:serviceaccount:" + account.Metadata.Namespace + ":" + account.Metadata.Name
	if got := attribute(t, credential, "subject", variables).AsString(); got != want {
		t.Errorf("subject %q; want %q", got, want)
	}
	audience := attribute(t, credential, "audience", variables).AsValueSlice()
	if len(audience) != 1 || audience[0].AsString() != "api://AzureADTokenExchange" {
		t.Errorf("audience %v", audience)
	}
}

func TestTerraformServerTakesEntraOnly(t *testing.T) {
	blocks, _ := terraform(t)
	server := blocks["resource azurerm_postgresql_flexible_server db"]
	if server == nil {
		t.Fatal("no server")
	}
	for _, block := range server.Body.Blocks {
		if block.Type != "authentication" {
			continue
		}
		none := map[string]cty.Value{}
		if attribute(t, block, "password_auth_enabled", none).True() || attribute(t, block, "active_directory_auth_enabled", none).False() {
			t.Error("the server takes passwords, or no tokens")
		}
		return
	}
	t.Error("no authentication block: passwords are the provider's default")
}

func TestTerraformLetsOneAddressIn(t *testing.T) {
	blocks, _ := terraform(t)
	rule := blocks["resource azurerm_postgresql_flexible_server_firewall_rule cluster"]
	variables := map[string]cty.Value{"authorized_address": cty.StringVal("192.0.2.7")}
	for _, end := range []string{"start_ip_address", "end_ip_address"} {
		if got := attribute(t, rule, end, variables).AsString(); got != "192.0.2.7" {
			t.Errorf("%s is %s", end, got)
		}
	}
}

// Every reference leads to a block, every variable is used, and README.md and Makefile name
// variables and outputs that exist.
func TestTerraformNamesExist(t *testing.T) {
	blocks, source := terraform(t)
	for _, block := range blocks {
		hclsyntax.VisitAll(block.Body, func(node hclsyntax.Node) hcl.Diagnostics {
			reference, ok := node.(*hclsyntax.ScopeTraversalExpr)
			if !ok {
				return nil
			}
			var path []string
			for _, step := range reference.Traversal {
				switch step := step.(type) {
				case hcl.TraverseRoot:
					path = append(path, step.Name)
				case hcl.TraverseAttr:
					path = append(path, step.Name)
				}
			}
			var name string
			switch {
			case path[0] == "var" && len(path) > 1:
				name = "variable " + path[1]
			case path[0] == "data" && len(path) > 2:
				name = "data " + path[1] + " " + path[2]
			case strings.HasPrefix(path[0], "azurerm_") && len(path) > 1:
				name = "resource " + path[0] + " " + path[1]
			case path[0] == "zone" || path[0] == "string": // of lifecycle, and types
				return nil
			}
			if blocks[name] == nil {
				t.Errorf("%s leads nowhere", strings.Join(path, "."))
			}
			return nil
		})
	}
	readme := readFile(t, "README.md")
	for name := range blocks {
		if variable, ok := strings.CutPrefix(name, "variable "); ok && !regexp.MustCompile(`\bvar\.`+variable+`\b`).MatchString(source) {
			t.Errorf("variable %s is not used", variable)
		}
		if output, ok := strings.CutPrefix(name, "output "); ok && !strings.Contains(readme, "output -raw "+output+")") {
			t.Errorf("README.md does not take output %s", output)
		}
	}
	for _, match := range regexp.MustCompile(`TF_VAR_(\w+)=`).FindAllStringSubmatch(readme, -1) {
		if blocks["variable "+match[1]] == nil {
			t.Errorf("README.md sets TF_VAR_%s, which there is not", match[1])
		}
	}
}
