package openapi_test

import (
	"bytes"
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/kube/openapi"
)

func TestLookup(t *testing.T) {
	k := openapi.Lookup("apps/v1", "Deployment")
	if k == nil || k.Plural != "deployments" || !k.Namespaced {
		t.Fatalf("got %+v", k)
	}
	pod := k.Type().Field("spec").Type.Object().Field("template").Type.Object().Field("spec").Type.Object()
	c := pod.Field("containers")
	if !c.Required || c.Type.Base != openapi.List || strings.Join(c.Type.Keys, " ") != "name" {
		t.Errorf("got %+v, want a required list by name", c)
	}
	pull := c.Type.Elem.Object().Field("imagePullPolicy")
	if strings.Join(pull.Type.Values, " ") != "Always IfNotPresent Never" {
		t.Errorf("got the values %v", pull.Type.Values)
	}
	if openapi.Lookup("v1", "Namespace").Namespaced || openapi.Lookup("v1", "namespace") != nil {
		t.Error("a Namespace is in no namespace, and its name has a capital")
	}
}

// Every type that a field names is there, whatever kind one starts from.
func TestAllTypes(t *testing.T) {
	seen := map[*openapi.Type]bool{}
	var walk func(*openapi.Type)
	var into func(*openapi.Schema)
	into = func(s *openapi.Schema) {
		switch s.Base {
		case openapi.Object:
			walk(s.Object())
		case openapi.List, openapi.Map:
			into(s.Elem)
		case openapi.Enum:
			if len(s.Values) == 0 {
				t.Errorf("an empty set of values")
			}
		}
	}
	walk = func(typ *openapi.Type) {
		if seen[typ] {
			return
		}
		seen[typ] = true
		for i := range typ.Fields {
			into(&typ.Fields[i].Type)
		}
	}
	for _, k := range openapi.Kinds() {
		walk(k.Type())
	}
	if len(seen) < 500 {
		t.Errorf("got %d types", len(seen))
	}
}

func TestRange(t *testing.T) {
	for in, want := range map[string]string{
		"": "1.37", "1.36": "1.36", "v1.36.3": "1.36", "1.33..1.36": "1.33 to 1.36",
		"1.20":       `got the Kubernetes version "1.20", want one of 1.31 to 1.37, or a range such as "1.34..1.37"`,
		"1.36..1.33": `got "1.36..1.33", want the older version first: "1.33..1.36"`,
		"newest":     `got the Kubernetes version "newest"`,
	} {
		set, err := openapi.Range(in)
		got := set.String()
		if err != nil {
			got = err.Error()
		}
		if !strings.HasPrefix(got, want) {
			t.Errorf("%q: got %s, want %s", in, got, want)
		}
	}
	// A field that came with 1.35 is not in all of 1.33..1.36.
	set, _ := openapi.Range("1.34..1.36")
	c := openapi.Lookup("v1", "Pod").Type().Field("spec").Type.Object().Field("containers").Type.Elem.Object()
	if f := c.Field("restartPolicyRules"); f.In.Has(openapi.Newest()) != true || f.In.First() != "1.34" || !f.In.Has(set) {
		t.Errorf("restartPolicyRules is in %s", f.In)
	}
}

// The data is what the generator makes of the releases. It downloads 300 MB of
// modules where they are not there.
func TestGenerated(t *testing.T) {
	if os.Getenv("LABSTAR_E2E") != "full" {
		t.Skip("it downloads seven releases of Kubernetes: set LABSTAR_E2E=full")
	}
	before, err := os.ReadFile("schemas.zst")
	if err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("go", "generate", ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	after, err := os.ReadFile("schemas.zst")
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(before, after) {
		t.Error("schemas.zst is not what the generator makes: commit it")
	}
}

func BenchmarkLookup(b *testing.B) {
	for b.Loop() {
		_ = openapi.Lookup("apps/v1", "Deployment").Type()
	}
}
