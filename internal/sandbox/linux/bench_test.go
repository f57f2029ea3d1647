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

// memory returns an empty folder in memory, where there is one: bubblewrap's
// /tmp and /build are in memory, too, and how fast this machine's disk makes
// folders is not the question.
func memory(b testing.TB) string {
	dir, err := os.MkdirTemp("/dev/shm", "labstar-bench-")
	if err != nil {
		return scratch(b)
	}
	b.Cleanup(func() {
		if err := sandbox.RemoveAll(dir); err != nil {
			b.Error(err)
		}
	})
	return dir
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
			r, root, base := runner(b), emptyRoot(b), memory(b)
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
	r, root, base := runner(b), emptyRoot(b), memory(b)
	spec := sandbox.Spec{Root: []string{root}, Build: []string{root}, Argv: []string{"/bin/true"}}
	runEmpty(b, r, spec, base, -1)
	compare(b, func(i int) { runEmpty(b, r, spec, base, i) }, bubblewrap(root))
}

// BenchmarkLargeTree is BenchmarkEmpty with a tree the size of a kernel's, 86,000
// files in 5,000 folders: as the root, as an input, and as what the build folder
// starts with. The size must not matter.
func BenchmarkLargeTree(b *testing.B) {
	r, root, base, tree := runner(b), emptyRoot(b), memory(b), largeTree(b)
	plain := sandbox.Spec{Root: []string{root}, Argv: []string{"/bin/true"}}
	for _, c := range []struct {
		name string
		spec sandbox.Spec
	}{
		{"root", sandbox.Spec{Root: []string{tree, root}, Argv: plain.Argv}},
		{"input", sandbox.Spec{Root: plain.Root, Argv: plain.Argv, Inputs: []sandbox.Mount{{Source: tree, Target: "/in/linux"}}}},
		{"build", sandbox.Spec{Root: plain.Root, Argv: plain.Argv, Build: []string{tree}}},
	} {
		b.Run(c.name, func(b *testing.B) {
			runEmpty(b, r, c.spec, base, -1)
			var large, small time.Duration
			for i := range b.N {
				start := time.Now()
				runEmpty(b, r, c.spec, base, i)
				middle := time.Now()
				runEmpty(b, r, plain, base, i)
				large, small = large+middle.Sub(start), small+time.Since(middle)
			}
			b.ReportMetric(float64((large-small).Microseconds())/float64(b.N), "µs-more-than-empty")
		})
	}
}

// largeTree makes the tree of few real files and many names.
func largeTree(b *testing.B) string {
	dir := scratch(b)
	for i := range 5000 {
		sub := fmt.Sprintf("%s/d%d/d%d", dir, i%70, i)
		if err := os.MkdirAll(sub, 0o755); err != nil {
			b.Fatal(err)
		}
		for j := range 17 {
			file := fmt.Sprintf("%s/f%d", dir, (i+j)%100)
			if i < 100 && j == 0 {
				if err := os.WriteFile(file, []byte("x"), 0o644); err != nil {
					b.Fatal(err)
				}
			}
			if err := os.Link(file, fmt.Sprintf("%s/f%d", sub, j)); err != nil && i >= 100 {
				b.Fatal(err)
			}
		}
	}
	return dir
}

// BenchmarkOnDisk is BenchmarkEmpty with the scratch folder where the system's
// temporary files are, as a store's is on a disk.
func BenchmarkOnDisk(b *testing.B) {
	r, root, base := runner(b), emptyRoot(b), scratch(b)
	spec := sandbox.Spec{Root: []string{root}, Argv: []string{"/bin/true"}}
	runEmpty(b, r, spec, base, -1)
	compare(b, func(i int) { runEmpty(b, r, spec, base, i) }, bubblewrap(root))
}

// BenchmarkParallel runs empty actions on all cores at once.
func BenchmarkParallel(b *testing.B) {
	r, root, base := runner(b), emptyRoot(b), memory(b)
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

// BenchmarkCompile compiles C with the host's own gcc and make, laid into the
// sandbox as inputs, and the same outside by turns. The ratios are of CPU time
// and of elapsed time.
func BenchmarkCompile(b *testing.B) {
	for _, tool := range []string{"/usr/bin/gcc", "/usr/bin/make", "/bin/sh"} {
		if _, err := os.Stat(tool); err != nil {
			b.Skip(err)
		}
	}
	r, base, source, root := runner(b), scratch(b), scratch(b), scratch(b)
	for i := range 40 {
		code := fmt.Sprintf("#include <stdio.h>\n#include <stdlib.h>\n#include <string.h>\nint f%d(int n) { char s[99]; sprintf(s, \"%%d\", n); return atoi(s) + strlen(s); }\n", i)
		if err := os.WriteFile(fmt.Sprintf("%s/f%d.c", source, i), []byte(code), 0o644); err != nil {
			b.Fatal(err)
		}
	}
	if err := os.WriteFile(source+"/Makefile", []byte("all: $(patsubst %.c,%.o,$(wildcard *.c))\n%.o: %.c\n\tgcc -O1 -c -o $@ $<\n"), 0o644); err != nil {
		b.Fatal(err)
	}
	spec := sandbox.Spec{Root: []string{root}, Build: []string{source}, Argv: []string{"/usr/bin/make", "-sj2"}, Env: []string{"PATH=/usr/bin"}, Output: os.Stderr}
	for _, dir := range []string{"/bin", "/lib", "/lib64"} {
		if to, err := os.Readlink(dir); err == nil {
			if err := os.Symlink(to, root+dir); err != nil {
				b.Fatal(err)
			}
		}
	}
	spec.Inputs = []sandbox.Mount{{Source: "/usr", Target: "/usr"}}
	var in, out, inCPU, outCPU time.Duration
	for i := range b.N {
		spec.Scratch = fmt.Sprintf("%s/%d", base, i)
		outside := spec.Scratch + "-outside"
		if err := os.Mkdir(spec.Scratch, 0o755); err != nil {
			b.Fatal(err)
		}
		start := time.Now()
		res, err := r.Run(b.Context(), &spec)
		if err != nil || res.ExitCode != 0 {
			b.Fatal(err, res)
		}
		in, inCPU = in+time.Since(start), inCPU+res.User+res.System
		if err := os.CopyFS(outside, os.DirFS(source)); err != nil {
			b.Fatal(err)
		}
		cmd := exec.Command(spec.Argv[0], spec.Argv[1:]...)
		cmd.Dir, cmd.Env = outside, spec.Env
		start = time.Now()
		if text, err := cmd.CombinedOutput(); err != nil {
			b.Fatal(err, string(text))
		}
		out, outCPU = out+time.Since(start), outCPU+cmd.ProcessState.UserTime()+cmd.ProcessState.SystemTime()
	}
	b.ReportMetric(float64(in)/float64(out), "of-outside")
	b.ReportMetric(float64(inCPU)/float64(outCPU), "of-outside-cpu")
}
