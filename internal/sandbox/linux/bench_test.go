//go:build linux && amd64

package linux

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/sandbox"
)

// emptyProgram is the smallest static ELF program: it exits with code 0. What is
// measured is thus the sandbox alone.
func emptyProgram() []byte {
	code := []byte{0x31, 0xff, 0xb8, 60, 0, 0, 0, 0x0f, 0x05} // xor edi,edi; mov eax,60; syscall
	const base = 0x400000
	b := []byte{0x7f, 'E', 'L', 'F', 2, 1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0}
	le := binary.LittleEndian
	for _, v := range []uint16{2, 62} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(b, 1)
	for _, v := range []uint64{base + 120, 64, 0} {
		b = le.AppendUint64(b, v)
	}
	b = le.AppendUint32(b, 0)
	for _, v := range []uint16{64, 56, 1, 0, 0, 0} {
		b = le.AppendUint16(b, v)
	}
	b = le.AppendUint32(le.AppendUint32(b, 1), 5)
	size := uint64(120 + len(code))
	for _, v := range []uint64{0, base, base, size, size, 4096} {
		b = le.AppendUint64(b, v)
	}
	return append(b, code...)
}

// emptyRoot is a root tree with /bin/true, and what bubblewrap needs there.
func emptyRoot(b testing.TB) string {
	dir := scratch(b)
	for _, d := range []string{"bin", "dev", "proc", "tmp", "build"} {
		if err := os.Mkdir(filepath.Join(dir, d), 0o755); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(dir, "bin/true"), emptyProgram(), 0o755); err != nil {
		b.Fatal(err)
	}
	return dir
}

// ballast makes this process' heap as large as told and touches all of it.
func ballast(mib int) []byte {
	runtime.GC()
	heap := make([]byte, mib<<20)
	for i := 0; i < len(heap); i += 4096 {
		heap[i] = 1
	}
	return heap
}

func runEmpty(b testing.TB, r *Runner, spec sandbox.Spec, base string, i int) {
	spec.Scratch = fmt.Sprintf("%s/%d", base, i)
	if err := os.Mkdir(spec.Scratch, 0o755); err != nil {
		b.Fatal(err)
	}
	res, err := r.Run(b.Context(), &spec)
	if err != nil || res.ExitCode != 0 {
		b.Fatal(err, res)
	}
	if err := sandbox.RemoveAll(spec.Scratch); err != nil {
		b.Fatal(err)
	}
}

// BenchmarkEmpty measures an action that does nothing, the making and removing
// of its scratch folder included, beside bubblewrap, which is run by turns with
// it so that both see the same machine. The heap must not matter.
func BenchmarkEmpty(b *testing.B) {
	for _, mib := range []int{20, 1024} {
		b.Run(fmt.Sprintf("heap=%dMiB", mib), func(b *testing.B) {
			r, root, base := runner(b), emptyRoot(b), scratch(b)
			heap := ballast(mib)
			defer runtime.KeepAlive(heap)
			spec := sandbox.Spec{Root: []string{root}, Argv: []string{"/bin/true"}}
			runEmpty(b, r, spec, base, -1)
			compare(b, func(i int) { runEmpty(b, r, spec, base, i) }, bubblewrap(root))
		})
	}
}

// BenchmarkBuildOverlay is BenchmarkEmpty with the build folder an overlay, too.
func BenchmarkBuildOverlay(b *testing.B) {
	r, root, base := runner(b), emptyRoot(b), scratch(b)
	spec := sandbox.Spec{Root: []string{root}, Build: []string{root}, Argv: []string{"/bin/true"}}
	runEmpty(b, r, spec, base, -1)
	compare(b, func(i int) { runEmpty(b, r, spec, base, i) }, bubblewrap(root))
}

// BenchmarkParallel runs empty actions on all cores at once.
func BenchmarkParallel(b *testing.B) {
	r, root, base := runner(b), emptyRoot(b), scratch(b)
	spec := sandbox.Spec{Root: []string{root}, Argv: []string{"/bin/true"}}
	runEmpty(b, r, spec, base, -1)
	var mu sync.Mutex
	n := 0
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			mu.Lock()
			n++
			i := n
			mu.Unlock()
			runEmpty(b, r, spec, base, i)
		}
	})
}

// bubblewrap makes the same sandbox with bwrap.
func bubblewrap(root string) *exec.Cmd {
	bwrap, err := exec.LookPath("bwrap")
	if err != nil {
		return nil
	}
	return exec.Command(bwrap, "--unshare-all", "--ro-bind", root, "/", "--dev", "/dev", "--proc", "/proc",
		"--tmpfs", "/tmp", "--tmpfs", "/build", "--chdir", "/build", "--clearenv", "/bin/true")
}

// compare reports the time of f and its ratio to that of the command.
func compare(b *testing.B, f func(i int), other *exec.Cmd) {
	var ours, theirs time.Duration
	b.ResetTimer()
	for i := range b.N {
		start := time.Now()
		f(i)
		ours += time.Since(start)
		if other == nil {
			continue
		}
		b.StopTimer()
		start = time.Now()
		cmd := *other
		if out, err := cmd.CombinedOutput(); err != nil {
			b.Fatal(err, string(out))
		}
		theirs += time.Since(start)
		b.StartTimer()
	}
	b.ReportMetric(float64(ours.Microseconds())/float64(b.N), "µs/action")
	if other != nil {
		b.ReportMetric(float64(theirs.Microseconds())/float64(b.N), "µs/bwrap")
		b.ReportMetric(float64(ours)/float64(theirs), "of-bwrap")
	}
}
