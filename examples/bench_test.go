package examples

import (
	"bytes"
	"cmp"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// These benchmarks time whole commands against what a user would pick instead,
// in turn and in one run, and report the ratio of the medians: below 1 labstar is
// the faster one. Timings are noisy; ratios are what counts.
//
//	LABSTAR_E2E=1 go test -bench . -benchtime 1x -run - ./examples

// versus runs ours and theirs in turn, rounds times, and reports both medians in
// milliseconds and their ratio. before runs untimed ahead of each.
func versus(b *testing.B, rounds int, before func(i int), ours, theirs func(i int)) {
	b.Helper()
	for b.Loop() {
		var a, c []time.Duration
		for i := range rounds {
			before(i)
			start := time.Now()
			ours(i)
			a = append(a, time.Since(start))
			start = time.Now()
			theirs(i)
			c = append(c, time.Since(start))
		}
		ms := func(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }
		b.ReportMetric(ms(median(a)), "ours-ms")
		b.ReportMetric(ms(median(c)), "theirs-ms")
		b.ReportMetric(ms(median(a))/ms(median(c)), "ratio")
	}
	b.ReportMetric(0, "ns/op") // the time of all rounds says nothing
}

// sideBySide runs ours and theirs at the same time, a pair a round, each on a processor
// of its own, which the next pair swaps: what else the machine does slows both. That is
// for what takes minutes and has work for one processor as for two; the median of the
// pairs counts, so run it with -benchtime 3x or more.
func sideBySide(b *testing.B, before func(i int), ours, theirs func(i int)) {
	b.Helper()
	var cpus unix.CPUSet
	if err := unix.SchedGetaffinity(0, &cpus); err != nil || !cpus.IsSet(0) || !cpus.IsSet(1) {
		b.Skip("needs the first two processors of the machine")
	}
	var ratios []float64
	for i := 0; b.Loop(); i++ {
		before(i)
		var took [2]time.Duration
		var both sync.WaitGroup
		for side, f := range [2]func(int){ours, theirs} {
			both.Go(func() {
				runtime.LockOSThread() // for good: the thread ends with its affinity
				var one unix.CPUSet
				one.Set((side + i) % 2)
				if err := unix.SchedSetaffinity(0, &one); err != nil {
					b.Error(err)
					return
				}
				start := time.Now()
				f(i)
				took[side] = time.Since(start)
			})
		}
		both.Wait()
		if b.Failed() {
			b.FailNow()
		}
		ratios = append(ratios, took[0].Seconds()/took[1].Seconds())
		b.Logf("ours %.1f s, theirs %.1f s: %.3f", took[0].Seconds(), took[1].Seconds(), ratios[i])
	}
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(median(ratios), "ratio")
}

func median[T cmp.Ordered](d []T) T {
	return slices.Sorted(slices.Values(d))[len(d)/2]
}

func benchLab(b *testing.B) *lab {
	b.Helper()
	if os.Getenv("LABSTAR_E2E") == "" {
		b.Skip("end-to-end benchmark: set LABSTAR_E2E=1")
	}
	store := os.Getenv("LABSTAR_E2E_CACHE")
	if store == "" {
		store = filepath.Join(b.TempDir(), "store")
	}
	return newLab(b, "tiny", store)
}

// must runs a command outside of labstar.
func must(b *testing.B, dir string, argv ...string) {
	b.Helper()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		b.Fatalf("%v: %v\n%s", argv, err, out)
	}
}

// The second run of the example, against make in an up-to-date busybox tree.
func BenchmarkSecondRun(b *testing.B) {
	l := benchLab(b)
	l.writeScript("src.star", `src = debian_source("busybox")`)
	l.run("src.star", "--copy", "--out", "src")
	tree := filepath.Join(l.dir, "src", "src")
	must(b, tree, "make", "defconfig")
	must(b, tree, "sed", "-i", "s/CONFIG_TC=y/# CONFIG_TC is not set/", ".config")
	must(b, tree, "make", "-j2")
	l.run("lab.star")
	versus(b, 21, func(int) {},
		func(int) { l.quiet("lab.star") },
		func(int) { must(b, tree, "make") })
}

// quiet runs labstar without reading what it says.
func (l *lab) quiet(args ...string) {
	l.t.Helper()
	if out, err := l.command(append([]string{"run", "--quiet"}, args...)...).CombinedOutput(); err != nil {
		l.t.Fatalf("labstar run %v: %v\n%s", args, err, out)
	}
}

// An up-to-date graph of n actions, evaluated and checked by one whole process,
// against ninja on the same graph: 99 in 100 are leaves, made of a line in the
// script, or of a local file each.
func BenchmarkNoOpGraph(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		for _, files := range []bool{false, true} {
			b.Run(fmt.Sprintf("n=%d,files=%v", n, files), func(b *testing.B) { noOpGraph(b, n, files) })
		}
	}
}

func noOpGraph(b *testing.B, n int, files bool) {
	l := benchLab(b)
	if _, err := exec.LookPath("ninja"); err != nil {
		b.Skip("needs ninja")
	}
	leaves := n - n/100 - 1
	if err := os.Mkdir(filepath.Join(l.dir, "in"), 0o755); err != nil {
		b.Fatal(err)
	}
	var build strings.Builder
	build.WriteString("rule cp\n  command = cat $in > $out\nrule echo\n  command = echo $text > $out\n")
	var group, groups []string
	for i := range leaves {
		if files {
			l.writeScript(fmt.Sprintf("in/%d", i), fmt.Sprintf("%d\n", i))
			fmt.Fprintf(&build, "build o/%d: cp in/%d\n", i, i)
		} else {
			fmt.Fprintf(&build, "build o/%d: echo\n  text = object %d\n", i, i)
		}
		if group = append(group, fmt.Sprintf("o/%d", i)); len(group) == 99 || i == leaves-1 {
			g := fmt.Sprintf("o/g%d", len(groups))
			fmt.Fprintf(&build, "build %s: cp %s\n", g, strings.Join(group, " "))
			groups, group = append(groups, g), nil
		}
	}
	fmt.Fprintf(&build, "build o/all: cp %s\n", strings.Join(groups, " "))
	l.writeScript("build.ninja", build.String())
	leaf := `text("object %d\n" % i)`
	if files {
		leaf = `tree({"o": file("in/%d" % i)})`
	}
	l.writeScript("graph.star", fmt.Sprintf(`
_o = [%s for i in range(%d)]
_g = [tree({"%%d" %% i: o for i, o in enumerate(_o[k:k + 99])}) for k in range(0, len(_o), 99)]
all = tree({"%%d" %% i: g for i, g in enumerate(_g)})
`, leaf, leaves))
	l.store = filepath.Join(b.TempDir(), "store")
	must(b, l.dir, "ninja")
	time.Sleep(3 * time.Second) // files of the last two seconds are not trusted by their time
	l.run("graph.star")
	l.quiet("graph.star")
	versus(b, 9, func(int) {},
		func(int) { l.quiet("graph.star") },
		func(int) { must(b, l.dir, "ninja") })
}

// One changed line of the page to a new image and manifests, against docker build
// of the same two layers.
func BenchmarkChangedPage(b *testing.B) {
	l := benchLab(b)
	startDocker(b)
	l.run("lab.star", "--copy", "--out", "out")
	if err := os.RemoveAll(filepath.Join(l.dir, "ctx")); err != nil {
		b.Fatal(err)
	}
	must(b, l.dir, "sh", "-c", "mkdir ctx && cp -a out/root ctx/root && mkdir ctx/www && cp www/index.html ctx/www")
	l.writeScript("ctx/Dockerfile", "FROM scratch\nADD root /\nCOPY www /srv/www\nENTRYPOINT [\"/usr/sbin/httpd\"]\n")
	must(b, l.dir, "docker", "build", "-q", "ctx")
	l.quiet("lab.star")
	versus(b, 11, func(i int) {
		page := fmt.Sprintf("<h1>page %d of %d</h1>\n", i, time.Now().UnixNano())
		l.writeScript("www/index.html", page)
		l.writeScript("ctx/www/index.html", page)
	},
		func(int) { l.quiet("lab.star", "image", "manifests") },
		func(int) { must(b, l.dir, "docker", "build", "-q", "ctx") })
}

// A kernel's source from its .tar.xz into the store, against tar of the same file.
func BenchmarkKernelTree(b *testing.B) {
	l := benchLab(b)
	l.store = filepath.Join(b.TempDir(), "store")
	l.writeScript("linux.star", `linux = debian_source("linux")`)
	l.run("linux.star")
	archive := largest(b, filepath.Join(l.store, "blobs"))
	b.Logf("%s has %d MB", filepath.Base(archive), size(b, archive)>>20)
	l.writeScript("linux.star", fmt.Sprintf(`linux = unpack(fetch("file://%s", sha256 = "%s"), strip_prefix = "linux-*")`, archive, filepath.Base(archive)))
	dir := b.TempDir()
	var peak int64
	versus(b, 3, func(i int) {
		l.store = filepath.Join(dir, fmt.Sprint("store", i))
		if i > 0 {
			must(b, dir, "rm", "-rf", fmt.Sprint("tar", i-1), fmt.Sprint("store", i-1))
		}
		must(b, dir, "sync")
	},
		func(int) { peak = max(peak, l.watched("linux.star")) },
		func(i int) {
			to := filepath.Join(dir, fmt.Sprint("tar", i))
			must(b, dir, "sh", "-c", "mkdir "+to+" && tar -C "+to+" -xf "+archive)
		})
	b.ReportMetric(float64(peak)/1024, "peak-MB")
}

// watched runs labstar and returns the peak of its own memory, in KiB.
func (l *lab) watched(args ...string) (peak int64) {
	l.t.Helper()
	cmd := l.command(append([]string{"run", "--quiet"}, args...)...)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		l.t.Fatal(err)
	}
	done := make(chan error)
	go func() { done <- cmd.Wait() }()
	for {
		select {
		case err := <-done:
			if err != nil {
				l.t.Fatalf("labstar run %v: %v\n%s", args, err, out.String())
			}
			return peak
		case <-time.After(20 * time.Millisecond):
			b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", cmd.Process.Pid))
			if err != nil {
				continue
			}
			if _, s, ok := strings.Cut(string(b), "VmHWM:"); ok {
				var kib int64
				if _, err := fmt.Sscan(s, &kib); err == nil {
					peak = max(peak, kib)
				}
			}
		}
	}
}

func largest(b *testing.B, dir string) (path string) {
	b.Helper()
	var most int64
	err := filepath.Walk(dir, func(p string, fi os.FileInfo, err error) error {
		if err == nil && fi.Mode().IsRegular() && fi.Size() > most {
			most, path = fi.Size(), p
		}
		return err
	})
	if err != nil || path == "" {
		b.Fatalf("no blob in %s: %v", dir, err)
	}
	return path
}

func size(b *testing.B, path string) int64 {
	b.Helper()
	fi, err := os.Stat(path)
	if err != nil {
		b.Fatal(err)
	}
	return fi.Size()
}

// Compiling busybox in the sandbox, against the same make in a chroot of the same
// toolchain: of the very same files, since a copy that was just written is in larger
// pages in the system's memory than what was read from the disk, and starts faster.
func BenchmarkBusybox(b *testing.B) {
	l := benchLab(b)
	if os.Getuid() != 0 {
		b.Skip("needs root for the chroot")
	}
	l.writeScript("bb.star", `
load("lab.star", "toolchain")
tools = toolchain
src = debian_source("busybox")
config = run("make -s -C %s O=$PWD allnoconfig && sed -i 's/# CONFIG_STATIC is not set/CONFIG_STATIC=y/; s/# CONFIG_ASH is not set/CONFIG_ASH=y/; s/# CONFIG_VI is not set/CONFIG_VI=y/; s/# CONFIG_AWK is not set/CONFIG_AWK=y/' .config && (yes '' | make -s -C %s O=$PWD oldconfig >/dev/null)" % (src, src), toolchain = tools, outputs = ".config")
`)
	l.run("bb.star", "--out", "bb")
	const makeLine = "cp %s .config && make -s -C %s O=$PWD%s busybox"
	script := func(i int) string {
		return fmt.Sprintf(`
load("bb.star", "tools", "src", "config")
bin = run("# %d\n"+"`+makeLine+`" %% (config, src), toolchain = tools, outputs = "busybox")
`, i, "%s", "%s", "")
	}
	must(b, l.dir, "mkdir", "-p", "root", "tmp", "in/busybox")
	must(b, l.dir, "cp", "bb/config", "in/config")
	outside := `
mount --bind bb/tools/ root
for dir in in tmp build; do mount --bind $dir root/$dir; done
mount --bind bb/src/ root/in/busybox
mount --bind /dev root/dev
export HOME=/build LC_ALL=C.UTF-8 SOURCE_DATE_EPOCH=1577836800 PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
exec chroot root /bin/sh -c 'cd /build && ` + fmt.Sprintf(makeLine, "/in/config", "/in/busybox", " -j2") + "'"
	versus(b, 7, func(i int) {
		l.writeScript("make.star", script(int(time.Now().UnixNano())))
		must(b, l.dir, "sh", "-c", "rm -rf build && mkdir build")
	},
		func(int) { l.quiet("make.star", "bin") },
		func(int) { must(b, l.dir, "unshare", "-m", "sh", "-ec", outside) })
}

// An action whose input is a kernel tree, warm, against the same one without it.
func BenchmarkLargeInput(b *testing.B) {
	l := benchLab(b)
	l.writeScript("linux.star", `
linux = debian_source("linux")
tools = debian_packages([])
`)
	l.run("linux.star")
	script := func(name, inputs string) {
		l.writeScript(name, fmt.Sprintf("load(\"linux.star\", \"linux\", \"tools\")\nx = run(\": %d; echo > x\", toolchain = tools, outputs = \"x\"%s)\n", time.Now().UnixNano(), inputs))
	}
	versus(b, 21, func(int) {
		script("with.star", `, inputs = {"linux": linux}`)
		script("without.star", "")
	},
		func(int) { l.quiet("with.star", "x") },
		func(int) { l.quiet("without.star", "x") })
}

// A file system that is made by its own tool in the sandbox, from a script to the
// image in the store, against that tool alone on the same tree: the same version,
// with the same compression.
func BenchmarkReadOnlyFilesystem(b *testing.B) {
	l := benchLab(b)
	root := filepath.Join(l.dir, "root")
	r := rand.New(rand.NewPCG(1, 2))
	for total, n := 0, 0; total < 80<<20; n++ {
		size := r.IntN(16 << 10)
		if r.IntN(20) == 0 {
			size = r.IntN(1 << 20)
		}
		text := make([]byte, size)
		for i := range text {
			text[i] = "etaoin shrdlu\n"[r.IntN(14)]
		}
		at := filepath.Join(root, fmt.Sprintf("usr/share/d%02d/f%05d", r.IntN(40), n))
		if err := errors.Join(os.MkdirAll(filepath.Dir(at), 0o755), os.WriteFile(at, text, 0o644)); err != nil {
			b.Fatal(err)
		}
		total += size
	}
	const script = "load(\"@stdlib//toolchains.star\", \"disk_tools\")\ntools = disk_tools()\nroot = pick(glob([\"root/**\"]), \"root/\")\n"
	l.writeScript("fs.star", script)
	l.run("fs.star", "--copy", "--out", "copied")
	program := func(name string) []string {
		tools := filepath.Join(l.dir, "copied", "tools")
		return []string{filepath.Join(tools, "lib64/ld-linux-x86-64.so.2"), "--library-path", filepath.Join(tools, "usr/lib/x86_64-linux-gnu"), filepath.Join(tools, "usr/bin", name)}
	}
	image := filepath.Join(b.TempDir(), "image")
	for _, fs := range []struct {
		name, script string
		theirs       []string
	}{
		{"squashfs", `squashfs(root, toolchain = tools)`, append(program("mksquashfs"), root, image, "-noappend", "-all-root", "-comp", "zstd", "-no-progress", "-quiet")},
		{"erofs", `erofs(root, toolchain = tools, label = "bench")`, append(program("mkfs.erofs"), "--quiet", image, root)},
		{"erofs lz4hc", `erofs(root, toolchain = tools, label = "bench", compression = "lz4hc")`, append(program("mkfs.erofs"), "--quiet", "-zlz4hc", image, root)},
	} {
		b.Run(fs.name, func(b *testing.B) {
			l.writeScript("fs.star", script+"image = "+fs.script)
			l.quiet("fs.star", "root") // what is the same each time is there
			versus(b, 5, func(int) {
				l.writeScript("root/stamp", fmt.Sprint(time.Now().UnixNano())) // another tree, so another image
				_ = os.Remove(image)
			},
				func(int) { l.quiet("fs.star", "image") },
				func(int) { must(b, l.dir, fs.theirs...) })
		})
	}
}
