//go:build linux && (amd64 || arm64)

package linux

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/sandbox"
)

func init() {
	probes["open"] = func(args []string) int {
		for _, name := range args {
			f, err := os.OpenFile(name, os.O_RDWR, 0)
			fmt.Println(name, err == nil)
			if err == nil {
				f.Close()
			}
		}
		return 0
	}
}

// A device that is asked for can be opened, and no other.
func TestDevices(t *testing.T) {
	device := ""
	for _, name := range []string{"/dev/kvm", "/dev/fuse", "/dev/net/tun", "/dev/loop-control"} {
		if f, err := os.OpenFile(name, os.O_RDWR, 0); err == nil && filepath.Dir(name) == "/dev" {
			f.Close()
			device = name
			break
		}
	}
	if device == "" {
		t.Skip("no device here that a test may open")
	}
	spec, out := probe(t, "open", device)
	if got, want := mustRun(t, runner(t), spec, out), device+" false\n"; got != want {
		t.Errorf("not asked for: got %q, want %q", got, want)
	}
	spec, out = probe(t, "open", device)
	spec.Devices = []string{device}
	if got, want := mustRun(t, runner(t), spec, out), device+" true\n"; got != want {
		t.Errorf("asked for: got %q, want %q", got, want)
	}
	spec, _ = probe(t, "open", device)
	spec.Devices = []string{"/etc/shadow"}
	if _, err := runner(t).Run(t.Context(), spec); err == nil || !strings.Contains(err.Error(), "want a node of /dev") {
		t.Errorf("got %v, want that it is no device", err)
	}
}

// A folder that a user shares with a command by hand can be written to; an input can't.
func TestWritableMount(t *testing.T) {
	shared, input := t.TempDir(), t.TempDir()
	spec, out := probe(t, "write", "/host/x")
	spec.Inputs = append(spec.Inputs, sandbox.Mount{Source: shared, Target: "/host", Write: true}, sandbox.Mount{Source: input, Target: "/in/i"})
	mustRun(t, runner(t), spec, out)
	if b, err := os.ReadFile(filepath.Join(shared, "x")); err != nil || string(b) != "/host/x" {
		t.Errorf("got %q %v, want what the command wrote", b, err)
	}
	spec, out = probe(t, "write", "/in/i/x")
	spec.Inputs = append(spec.Inputs, sandbox.Mount{Source: input, Target: "/in/i"})
	res, err := runner(t).Run(t.Context(), spec)
	if err != nil || res.ExitCode == 0 {
		t.Errorf("an input was written: %v %s", err, out)
	}
}
