// Package examples builds every example with the real program, the way a user
// does, and hands what comes out to the real tools of the field.
//
// These tests need a Debian mirror and some minutes; they run with LABSTAR_E2E=1.
// LABSTAR_BIN names the program (built when unset), LABSTAR_E2E_CACHE a store that
// survives between runs.
package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// program builds labstar once, or takes LABSTAR_BIN.
var program = sync.OnceValues(func() (string, error) {
	if bin := os.Getenv("LABSTAR_BIN"); bin != "" {
		return bin, nil
	}
	dir, err := os.MkdirTemp("", "labstar-e2e-bin")
	if err != nil {
		return "", err
	}
	bin := filepath.Join(dir, "labstar")
	cmd := exec.Command("go", "build", "-trimpath", "-o", bin, "github.com/labstar/labstar/cmd/labstar")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building labstar: %w\n%s", err, out)
	}
	return bin, os.Chmod(dir, 0o755)
})

// endToEnd skips unless end-to-end tests are asked for.
func endToEnd(t *testing.T) {
	t.Helper()
	if os.Getenv("LABSTAR_E2E") == "" {
		t.Skip("end-to-end test: set LABSTAR_E2E=1")
	}
}

// lab is one way to run labstar: where, and with what around it.
type lab struct {
	t     testing.TB
	dir   string   // working directory
	store string   // --cache
	env   []string // the whole environment
}

// newLab returns a lab in a copy of the example, with an empty PATH and only
// what a mirror's configuration needs around it.
func newLab(t testing.TB, example, store string) *lab {
	t.Helper()
	dir := t.TempDir()
	if err := os.CopyFS(dir, os.DirFS(example)); err != nil {
		t.Fatal(err)
	}
	if err := os.RemoveAll(filepath.Join(dir, "out")); err != nil {
		t.Fatal(err)
	}
	env := []string{"PATH=", "HOME=" + t.TempDir()}
	for _, e := range os.Environ() {
		if k, _, _ := strings.Cut(e, "="); strings.HasPrefix(k, "LABSTAR_DEBIAN") || strings.HasSuffix(strings.ToLower(k), "_proxy") || strings.HasPrefix(k, "SSL_CERT") {
			env = append(env, e)
		}
	}
	return &lab{t: t, dir: dir, store: store, env: env}
}

// command prepares `labstar args…`.
func (l *lab) command(args ...string) *exec.Cmd {
	l.t.Helper()
	bin, err := program()
	if err != nil {
		l.t.Fatal(err)
	}
	cmd := exec.Command(bin, args...)
	cmd.Dir = l.dir
	cmd.Env = append([]string{"LABSTAR_CACHE=" + l.store}, l.env...)
	return cmd
}

// summary is the last line of --json.
type summary struct {
	Event                 string
	Ran, Cached, Failed   int
	Skipped               int
	Seconds               float64
	raw                   string
	lines                 []map[string]any
	standardError, stdout string
}

// run runs `labstar run --json args…` and returns its summary.
func (l *lab) run(args ...string) summary {
	l.t.Helper()
	s, err := l.tryRun(args...)
	if err != nil && strings.Contains(s.stdout+s.standardError, "labstar lock --update") {
		// The mirror has gone on since lab.lock was written: do what the error says.
		l.t.Logf("renewing the lock: %s", s.stdout+s.standardError)
		l.output("lock", "--update")
		s, err = l.tryRun(args...)
	}
	if err != nil {
		l.t.Fatalf("labstar run %v: %v\n%s\n%s", args, err, s.stdout, s.standardError)
	}
	return s
}

func (l *lab) tryRun(args ...string) (summary, error) {
	l.t.Helper()
	cmd := l.command(append([]string{"run", "--json"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run()
	return parse(stdout.String(), stderr.String()), err
}

func parse(stdout, stderr string) summary {
	s := summary{standardError: stderr, stdout: stdout}
	for line := range strings.Lines(stdout) {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) != nil {
			continue
		}
		s.lines = append(s.lines, m)
		if m["event"] == "summary" {
			s.raw = strings.TrimSpace(line)
			_ = json.Unmarshal([]byte(line), &s) // the fields that are there
		}
	}
	return s
}

// output runs any subcommand and returns what it printed.
func (l *lab) output(args ...string) string {
	l.t.Helper()
	out, err := l.command(args...).CombinedOutput()
	if err != nil {
		l.t.Fatalf("labstar %v: %v\n%s", args, err, out)
	}
	return string(out)
}

// need skips unless a real tool is there.
func need(t testing.TB, tools ...string) {
	t.Helper()
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("needs %s, which is not installed", tool)
		}
	}
}

// tool runs a real tool and returns its standard output.
func tool(t *testing.T, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(name, args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %v: %v\n%s%s", name, args, err, out, stderr.String())
	}
	return string(out)
}
