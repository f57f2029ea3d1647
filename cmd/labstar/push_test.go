package main

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/registry/registrytest"
)

// While the image of an edit is built, the registry is asked and told to expect it;
// what was begun for an image that does not come is withdrawn.
func TestPushPrepared(t *testing.T) {
	proxy := registrytest.NewProxy(t, registrytest.Strict(t))
	dir := t.TempDir()
	exe := filepath.Join(dir, "labstar") // as which the test's binary is labstar
	if err := os.Symlink(mustAbs(t, os.Args[0]), exe); err != nil {
		t.Fatal(err)
	}
	write := func(script string) {
		t.Helper()
		if err := os.WriteFile(filepath.Join(dir, "lab.star"), []byte(script), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	push := func(args ...string) (string, error) {
		proxy.Reset()
		cmd := exec.Command(exe, append([]string{"push"}, args...)...)
		cmd.Dir, cmd.Env = dir, append(os.Environ(), "LABSTAR_CACHE="+filepath.Join(dir, "cache"), "HOME="+dir)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	count := func(what string, want map[string]int) {
		t.Helper()
		for _, method := range []string{http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete} {
			if n := proxy.Count(method); n != want[method] {
				t.Errorf("%s: %d %s, want %d", what, n, method, want[method])
			}
		}
	}
	for _, way := range [][]string{{"--registry", proxy.Host()}, {"--to", proxy.Host() + "/lab/other:2.0"}} {
		write(served)
		if out, err := push(way...); err != nil {
			t.Fatalf("%v\n%s", err, out)
		}
		write(strings.Replace(served, "echo hi", "echo ho "+way[0], 1))
		if out, err := push(way...); err != nil || !strings.Contains(out, "2 sent") {
			t.Fatalf("%v\n%s", err, out)
		}
		count("an edit", map[string]int{"HEAD": 1, "POST": 2, "PUT": 3})
		if out, err := push(way...); err != nil || !strings.Contains(out, "nothing sent") {
			t.Fatalf("%v\n%s", err, out)
		}
		count("no edit", map[string]int{"HEAD": 1})
		write(strings.Replace(served, "/bin/hello\"]", "/bin/nothing\"]", 1))
		if out, err := push(way...); err == nil || !strings.Contains(out, "/bin/nothing") {
			t.Fatalf("%v\n%s", err, out)
		}
		if proxy.Count(http.MethodPut) != 0 || proxy.Up() != 0 || proxy.Count(http.MethodPost) != proxy.Count(http.MethodDelete) {
			t.Errorf("an image that can't be: %d POST, %d DELETE, %d PUT", proxy.Count("POST"), proxy.Count("DELETE"), proxy.Count("PUT"))
		}
	}
}
