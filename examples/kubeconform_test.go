package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// What kubeconform, the validator that people use, says of the same manifests.

const (
	kubeconformVersion = "v0.7.0"
	kubernetesVersion  = "1.36.3" // whose schemas it gets
)

// kubeconform builds the program, and makes its schemas of the release's own OpenAPI
// files, strict and stand-alone, as its openapi2jsonschema does.
func kubeconform(t testing.TB) (bin, schemas string) {
	t.Helper()
	dir := t.TempDir()
	install := exec.Command("go", "install", "github.com/yannh/kubeconform/cmd/kubeconform@"+kubeconformVersion)
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("building kubeconform: %v\n%s", err, out)
	}
	out, err := exec.Command("go", "mod", "download", "-json", "k8s.io/kubernetes@v"+kubernetesVersion).Output()
	if err != nil {
		t.Fatalf("downloading Kubernetes' OpenAPI files: %v", err)
	}
	var mod struct{ Dir string }
	if err := json.Unmarshal(out, &mod); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob(filepath.Join(mod.Dir, "api/openapi-spec/v3/api*_openapi.json"))
	if err != nil {
		t.Fatal(err)
	}
	schemas = filepath.Join(dir, "schemas")
	if err := os.Mkdir(schemas, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if err := jsonSchemas(f, schemas); err != nil {
			t.Fatal(err)
		}
	}
	return filepath.Join(dir, "kubeconform"), schemas
}

// jsonSchemas writes a schema for each kind of an OpenAPI document.
func jsonSchemas(file, dir string) error {
	b, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	b = bytes.ReplaceAll(b, []byte("#/components/schemas/"), []byte("#/definitions/"))
	var doc struct {
		Components struct {
			Schemas map[string]map[string]any `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(b, &doc); err != nil {
		return err
	}
	defs := doc.Components.Schemas
	for name, s := range defs {
		props, ok := s["properties"].(map[string]any)
		if !ok {
			if strings.HasSuffix(name, ".IntOrString") || strings.HasSuffix(name, ".Quantity") {
				defs[name] = map[string]any{"oneOf": []any{map[string]any{"type": []any{"string", "null"}}, map[string]any{"type": "number"}}}
			}
			continue
		}
		s["additionalProperties"] = false
		for _, p := range props {
			if p, ok := p.(map[string]any); ok {
				if typ, ok := p["type"].(string); ok {
					p["type"] = []any{typ, "null"}
				}
				delete(p, "default")
				delete(p, "format")
			}
		}
	}
	for name, s := range defs {
		gvks, _ := s["x-kubernetes-group-version-kind"].([]any)
		if len(gvks) != 1 || s["properties"].(map[string]any)["metadata"] == nil {
			continue
		}
		gvk := gvks[0].(map[string]any)
		group, _, _ := strings.Cut(gvk["group"].(string), ".")
		used := map[string]any{}
		reach(defs, name, used)
		out, err := json.Marshal(map[string]any{"$ref": "#/definitions/" + name, "definitions": used})
		if err != nil {
			return err
		}
		parts := []string{strings.ToLower(gvk["kind"].(string))}
		if group != "" {
			parts = append(parts, group)
		}
		file := strings.Join(append(parts, gvk["version"].(string)), "-") + ".json"
		if err := os.WriteFile(filepath.Join(dir, file), out, 0o644); err != nil {
			return err
		}
	}
	return nil
}

// reach copies a definition and those that it refers to: what a kind does not need,
// kubeconform is not to read.
func reach(defs map[string]map[string]any, name string, used map[string]any) {
	if used[name] != nil {
		return
	}
	used[name] = defs[name]
	var walk func(x any)
	walk = func(x any) {
		switch x := x.(type) {
		case map[string]any:
			if ref, ok := x["$ref"].(string); ok {
				reach(defs, strings.TrimPrefix(ref, "#/definitions/"), used)
			}
			for _, v := range x {
				walk(v)
			}
		case []any:
			for _, v := range x {
				walk(v)
			}
		}
	}
	walk(map[string]any(defs[name]))
}

// kubeconformSays runs it and returns what it reports, "" for nothing.
func kubeconformSays(t testing.TB, bin, schemas, file string) string {
	t.Helper()
	cmd := exec.Command(bin, "-strict", "-output", "json", "-schema-location", schemas+"/{{.ResourceKind}}{{.KindSuffix}}.json", file)
	out, _ := cmd.Output() // it fails where it finds something
	var result struct {
		Resources []struct{ Status, Msg string } `json:"resources"`
	}
	if err := json.Unmarshal(out, &result); err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	var msgs []string
	for _, r := range result.Resources {
		msgs = append(msgs, strings.ReplaceAll(r.Msg, schemas, "SCHEMAS"))
	}
	return strings.Join(msgs, "; ")
}

// The thirty mistakes side by side: what kubeconform says of each is in a file that is
// compared, so that the count in the documentation is a measured one.
func TestMistakesKubeconform(t *testing.T) {
	endToEnd(t)
	bin, schemas := kubeconform(t)
	var all strings.Builder
	found := 0
	for _, file := range mistakes(t) {
		says := kubeconformSays(t, bin, schemas, file)
		if says == "" {
			says = "nothing"
		} else {
			found++
		}
		fmt.Fprintf(&all, "%s: %s\n", filepath.Base(file), says)
	}
	fmt.Fprintf(&all, "\nfound %d of 30\n", found)
	golden(t, "mistakes/kubeconform.txt", all.String())
}
