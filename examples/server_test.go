package examples

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/stdlib"
)

// dryRun asks the API server of LABSTAR_E2E_KUBECONFIG to take a file, and returns what
// it says against it.
func dryRun(t *testing.T, file string) string {
	t.Helper()
	server := os.Getenv("LABSTAR_E2E_KUBECONFIG")
	if server == "" {
		t.Skip("needs a Kubernetes API server: set LABSTAR_E2E_KUBECONFIG")
	}
	cmd := exec.Command("kubectl", "--kubeconfig", server, "apply", "--server-side", "--dry-run=server", "-f", file)
	out, err := cmd.CombinedOutput()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	if err == nil {
		return ""
	}
	return string(out)
}

// What an API server refuses of the thirty mistakes: seventeen. The others it takes.
func TestMistakesServer(t *testing.T) {
	endToEnd(t)
	var refused []string
	for _, file := range mistakes(t) {
		if dryRun(t, file) != "" {
			refused = append(refused, filepath.Base(file)[:2])
		}
	}
	const want = "01 02 03 04 05 06 08 09 10 12 13 15 16 17 18 19 20"
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
	if os.Getenv("LABSTAR_E2E_KUBECONFIG") == "" {
		t.Skip("needs a Kubernetes API server: set LABSTAR_E2E_KUBECONFIG")
	}
	l := newLab(t, "constructors", t.TempDir())
	l.output("run", "lab.star")
	if says := dryRun(t, filepath.Join(l.dir, "out", "manifests")); says != "" {
		t.Error(says)
	}
}
