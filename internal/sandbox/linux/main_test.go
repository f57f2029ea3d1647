//go:build linux && (amd64 || arm64)

package linux

import (
	"bytes"
	"debug/elf"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/sandbox"
)

// The commands that the tests run in the sandbox are this test binary itself,
// laid at /bin/probe: argv[0] says which of the functions below it becomes.

// probes are the programs. A probe prints what it found and returns its exit code.
var probes = map[string]func(args []string) int{}

func TestMain(m *testing.M) {
	if name, ok := strings.CutPrefix(filepath.Base(os.Args[0]), "probe:"); ok {
		os.Exit(probes[name](os.Args[1:]))
	}
	if name, ok := strings.CutPrefix(os.Args[0], "host:"); ok {
		os.Exit(probes[name](os.Args[1:]))
	}
	code := m.Run()
	if probeRoot.dir != "" {
		os.RemoveAll(probeRoot.dir)
	}
	os.Exit(code)
}

var probeRoot struct {
	once sync.Once
	dir  string
	err  error
}

// root returns a root tree that holds the probe, and empty folders as a toolchain has them.
func root(t testing.TB) string {
	t.Helper()
	probeRoot.once.Do(func() {
		probeRoot.dir, probeRoot.err = os.MkdirTemp("", "labstar-probe-")
		if probeRoot.err != nil {
			return
		}
		// Other users run it too.
		probeRoot.err = os.Chmod(probeRoot.dir, 0o755)
		for _, dir := range []string{"build", "dev", "etc", "in", "proc", "tmp"} {
			probeRoot.err = errors.Join(probeRoot.err, os.Mkdir(filepath.Join(probeRoot.dir, dir), 0o755))
		}
		if probeRoot.err == nil {
			probeRoot.err = makeProbe(filepath.Join(probeRoot.dir, "bin"))
		}
	})
	if probeRoot.err != nil {
		t.Fatal(probeRoot.err)
	}
	return probeRoot.dir
}

func makeProbe(bin string) error {
	if err := os.MkdirAll(bin, 0o755); err != nil {
		return err
	}
	from, err := os.Open("/proc/self/exe")
	if err != nil {
		return err
	}
	defer from.Close()
	to, err := os.OpenFile(filepath.Join(bin, "probe"), os.O_CREATE|os.O_WRONLY, 0o755)
	if err != nil {
		return err
	}
	if _, err := io.Copy(to, from); err != nil {
		return err
	}
	for name := range probes {
		if err := os.Symlink("probe", filepath.Join(bin, "probe:"+name)); err != nil {
			return err
		}
	}
	return errors.Join(to.Close(), os.WriteFile(filepath.Join(bin, "data"), []byte("a file that does not run"), 0o644))
}

// scratch returns an empty folder, removed after the test.
func scratch(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "labstar-sandbox-test-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := sandbox.RemoveAll(dir); err != nil {
			t.Error(err)
		}
	})
	return dir
}

func runner(t testing.TB) *Runner {
	t.Helper()
	r := New()
	t.Cleanup(func() { r.Close() })
	return r
}

// probe is a Spec that runs a probe.
func probe(t testing.TB, name string, args ...string) (*sandbox.Spec, *bytes.Buffer) {
	t.Helper()
	out := &bytes.Buffer{}
	return &sandbox.Spec{
		Root: []string{root(t)}, Inputs: libraries(), Scratch: scratch(t), Output: out, Timeout: 20 * time.Second,
		// execve's first argument is the path; the probe's name is in argv[0].
		Argv: append([]string{"/bin/probe:" + name}, args...),
	}, out
}

// run runs a probe and returns what it printed, failing the test if it failed.
func mustRun(t testing.TB, r *Runner, spec *sandbox.Spec, out *bytes.Buffer) string {
	t.Helper()
	res, err := r.Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if res.ExitCode != 0 {
		t.Fatalf("got exit code %d (%s), printed:\n%s", res.ExitCode, res.Signal, out)
	}
	return out.String()
}

// libraries are what the probe needs of the host when this test binary isn't
// static (with the race detector, or where a test links C).
func libraries() []sandbox.Mount {
	f, err := elf.Open("/proc/self/exe")
	if err != nil {
		return nil
	}
	defer f.Close()
	if libs, err := f.ImportedLibraries(); err != nil || len(libs) == 0 {
		return nil
	}
	var mounts []sandbox.Mount
	for _, dir := range []string{"/lib", "/lib64", "/usr/lib"} {
		if at, err := filepath.EvalSymlinks(dir); err == nil {
			mounts = append(mounts, sandbox.Mount{Source: at, Target: dir})
		}
	}
	return mounts
}

func init() {
	probes["hello"] = func(args []string) int {
		fmt.Println("hello", strings.Join(args, " "))
		return 0
	}
}

func TestHello(t *testing.T) {
	spec, out := probe(t, "hello", "a", "b c")
	if got := mustRun(t, runner(t), spec, out); got != "hello a b c\n" {
		t.Errorf("got %q", got)
	}
}
