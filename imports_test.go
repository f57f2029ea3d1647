package labstar_test

import (
	"encoding/json"
	"io"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/labstar/labstar"

// allowed is the picture of BUILD.md: which of our packages a package may
// import. A folder stands for the packages below it; "" is package labstar.
var allowed = map[string][]string{
	"action":            {},
	"internal/format":   {"action", "internal/format"},
	"internal/pattern":  {},
	"internal/programs": {"action", "starlark/schema", "internal/format"},
	"internal/rmtree":   {},
	"internal/twosum":   {},
	"internal/sparse":   {},
	"internal/store":    {"action", "internal/store", "internal/rmtree", "internal/sparse", "internal/twosum"},
	"internal/sandbox":  {"action", "internal/sandbox"},

	"internal/jobserver": {},
	"internal/download":  {},
	"internal/config":    {},
	"internal/lock":      {"action", "starlark/schema"},
	"internal/history":   {"action"},
	"internal/debian":    {"action", "internal/format", "internal/download", "internal/lock"},
	"internal/engine":    {"action", "internal/store", "internal/sandbox", "internal/jobserver", "internal/compile", "internal/rmtree"},
	"internal/compile":   {"action", "internal/store", "internal/pattern"},
	"internal/term":      {},
	"internal/bomtest":   {},
	"internal/buildtest": {"action", "internal", "starlark/schema"},
	"internal/trace":     {"action", "internal/engine"},
	"internal/flash":     {},
	"internal/cluster":   {"action", "starlark/schema", "internal/kube/immutable"},
	"internal/kube":      {"internal/kube"},
	"internal/registry":  {"action", "internal/download", "internal/registry"},
	"internal/doctor":    {"internal/sandbox", "internal/config", "internal/store"},

	"starlark": {"action", "starlark", "internal/twosum"},
	"stdlib":   {},
	"builtins": {"action", "starlark/schema", "internal/format", "internal/kube", "internal/lock", "internal/debian", "internal/download", "internal/pattern", "internal/programs", "internal/registry", "stdlib/profiles"},

	"": {"action", "internal", "starlark", "stdlib"},
}

// The test's own tools, and the programs, may import what they like.
var free = []string{"cmd", "examples", "docs"}

type listed struct {
	ImportPath string
	Imports    []string
	Deps       []string
}

func goList(t *testing.T, args ...string) []listed {
	t.Helper()
	cmd := exec.Command("go", append([]string{"list", "-json=ImportPath,Imports,Deps"}, args...)...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var list []listed
	for dec := json.NewDecoder(out); ; {
		var p listed
		if err := dec.Decode(&p); err == io.EOF {
			break
		} else if err != nil {
			t.Fatal(err)
		}
		list = append(list, p)
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
	return list
}

// within reports whether the package path pkg is folder or below it.
func within(pkg, folder string) bool {
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}

func TestImportPicture(t *testing.T) {
	for _, p := range goList(t, "./...") {
		pkg := strings.TrimPrefix(strings.TrimPrefix(p.ImportPath, module), "/")
		if slices.ContainsFunc(free, func(f string) bool { return within(pkg, f) }) {
			continue
		}
		folder, rule := "", []string(nil)
		for f, r := range allowed {
			if f == "" && pkg == "" || f != "" && within(pkg, f) {
				folder, rule = f, r
			}
		}
		if rule == nil {
			t.Errorf("%s is not in the picture: add it, here and in BUILD.md", pkg)
			continue
		}
		for _, imp := range p.Imports {
			if !strings.HasPrefix(imp, module) {
				continue
			}
			imp = strings.TrimPrefix(imp, module+"/")
			ok := false
			for _, r := range rule {
				ok = ok || within(imp, r)
			}
			// Only package builtins itself joins the groups.
			ok = ok || pkg == "builtins" && within(imp, "builtins")
			if !ok {
				t.Errorf("%s imports %s; %s may import %v", pkg, imp, folder, rule)
			}
		}
	}
}

// An embedder who hands in no builtins links no container or Kubernetes library.
func TestEmbeddingIsLight(t *testing.T) {
	for _, p := range goList(t, ".") {
		for _, dep := range p.Deps {
			for _, heavy := range []string{"github.com/google/go-containerregistry", "k8s.io/", "github.com/go-git/", "github.com/hashicorp/", "google.golang.org/"} {
				if strings.HasPrefix(dep, heavy) {
					t.Errorf("package labstar links %s", dep)
				}
			}
		}
	}
}
