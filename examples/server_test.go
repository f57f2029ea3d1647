package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/internal/cluster"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/stdlib"
)

// dryRun asks an API server to take a file, and returns what speaks against it.
func dryRun(t *testing.T, file string) error {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := cluster.Connect(cluster.Options{Kubeconfig: apiServer(t)})
	if err != nil {
		t.Fatal(err)
	}
	objects, err := cluster.Parse(b)
	if err != nil {
		return err
	}
	set := cluster.NewSet("dry-run", "manifests", "default", objects)
	_, err = c.Plan(t.Context(), []*cluster.Set{set}, cluster.Choices{})
	return err
}

// The examples' manifests, built and asked for by labstar itself.
func TestExamplesAccepted(t *testing.T) {
	endToEnd(t)
	server := apiServer(t)
	for _, example := range []string{"tiny", "chat"} {
		t.Run(example, func(t *testing.T) {
			l := newLab(t, example, sharedStore(t))
			l.env = append(l.env, "KUBECONFIG="+server, "LABSTAR_SECRET_ALICE=wonderland", "LABSTAR_SECRET_BOB=builder", "LABSTAR_SECRET_DATABASE=messages")
			out := l.output("apply", "lab.star", "--dry-run=server")
			t.Log(out)
			if !strings.Contains(out, "create ") {
				t.Errorf("nothing would be created:\n%s", out)
			}
		})
	}
}

// What an API server refuses of the thirty mistakes: sixteen. The others it takes, and
// 09 is an object of a kind that comes with it, so that it can't be asked before.
func TestMistakesServer(t *testing.T) {
	endToEnd(t)
	var refused []string
	for _, file := range mistakes(t) {
		if err := dryRun(t, file); err != nil {
			t.Log(err)
			refused = append(refused, filepath.Base(file)[:2])
		}
	}
	const want = "01 02 03 04 05 06 08 10 12 13 15 16 17 18 19 20"
	if got := strings.Join(refused, " "); got != want {
		t.Errorf("the server refuses %s, want %s", got, want)
	}
}

// One of each kind, made by the constructors, is accepted by the checks.
func TestConstructors(t *testing.T) {
	cfg := host.Config{FS: os.DirFS("constructors"), Stdlib: stdlib.FS, Builtins: builtins.All()}
	if _, err := host.Load(t.Context(), cfg, "lab.star"); err != nil {
		t.Fatal(err)
	}
	for _, v := range []string{"1.33", "1.34", "1.35", "1.36", "1.37"} {
		if err := importing(t, "mistakes", fmt.Sprintf("k8s_import([%q], k8s_version = %q)", "05-not-in-enum.yaml", v)); err == nil {
			t.Errorf("%s: got no error", v)
		}
	}
}

// And by an API server.
func TestConstructorsServer(t *testing.T) {
	endToEnd(t)
	apiServer(t) // or nothing needs to be built
	l := newLab(t, "constructors", t.TempDir())
	l.output("run", "lab.star")
	if err := dryRun(t, filepath.Join(l.dir, "out", "manifests")); err != nil {
		t.Error(err)
	}
}
