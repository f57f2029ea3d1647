package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// kernelScript builds a tiny kernel with kernel()'s own script, or parts of one, with
// two variables more that change nothing of it: NONCE makes it another action, so that
// it is built again, and COLUMNS, which a compiler looks at, gives it a compile cache of
// its own.
const kernelScript = `
load("@stdlib//toolchains.star", "build_tools")

_tools = build_tools()
_linux = debian_source("linux")
_one_line = text("""--- a/fs/open.c
+++ b/fs/open.c
@@ -1,1 +1,2 @@
+// A patched line.
 // SPDX-License-Identifier: GPL-2.0-only
""")

_env = {
    "ARCH": "x86_64", "IMAGE": "bzImage", "KBUILD_BUILD_HOST": "labstar", "KBUILD_BUILD_USER": "labstar",
    "KBUILD_BUILD_VERSION": "1", "KBUILD_BUILD_TIMESTAMP": "Wed Jan  1 00:00:00 UTC 2020", "KCONFIG_NOTIMESTAMP": "1",
}

def _make(script, source, nonce, columns, options, outputs):
    config = kernel_config(_linux, toolchain = _tools, base = "tinyconfig", options = options)
    synced = run(
        _sync,
        toolchain = _tools,
        inputs = {"source": _linux, "config": config, "kconfig": config.conf},
        env = _env,
        outputs = {"include": "include/"},
    )
    return run(
        script,
        toolchain = _tools,
        inputs = {"source": source, "config": config, "synced": synced.outputs["include"]},
        env = _env | {"NONCE": nonce, "COLUMNS": columns},
        outputs = outputs,
        compiles = True,
    )

def _kernel(source, nonce, columns, options = {}):
    outputs = ["arch/x86/boot/bzImage", "vmlinux", "modules/", "System.map", "release"]
    return _make(_compile, source, nonce, columns, options, outputs)

def _folders(nonce, columns, options = {}):
    script = """
    cat /in/config > .config
    for goal in prepare fs/ lib/; do make -C /in/source O="$PWD" $goal </dev/null; done
    """
    made = _make(script, _linux, nonce, columns, options, {"fs": "fs/", "lib": "lib/"})
    return [made.outputs["fs"], made.outputs["lib"]]
`

// compiled is what --json told of the compile cache.
type compiled struct{ hits, objects, compared int }

func compiledBy(s summary) (c compiled) {
	for _, ev := range s.lines {
		if m, ok := ev["compiled"].(map[string]any); ok {
			number := func(k string) int { n, _ := m[k].(float64); return int(n) }
			c = compiled{number("hits"), number("objects"), number("compared")}
		}
	}
	return c
}

// kernel builds a kernel of the script, and returns the digests of what it left.
func (l *lab) kernel(name, expr string, env ...string) (digest string, c compiled, took time.Duration) {
	l.t.Helper()
	scripts := ""
	for _, name := range []string{"sync", "compile"} {
		script, err := os.ReadFile("../builtins/kernel/kernel_" + name + ".sh")
		if err != nil {
			l.t.Fatal(err)
		}
		scripts += fmt.Sprintf("_%s = %s\n", name, strconv.Quote(string(script)))
	}
	l.writeScript(name+".star", kernelScript+scripts+name+" = "+expr+"\n")
	mine := *l
	mine.env = append(append([]string{}, l.env...), env...)
	start := time.Now()
	s := mine.run(name+".star", "--out", "out-"+name)
	took = time.Since(start)
	if digest = digestsOf(s); digest == "" {
		l.t.Fatalf("building %s: got no digest in %s", expr, s.stdout)
	}
	return digest, compiledBy(s), took
}

// digestsOf joins what targets are; one that is a list has several.
func digestsOf(s summary) (digests string) {
	for _, ev := range s.lines {
		if ev["event"] == "target" {
			digests += fmt.Sprint(ev["digest"], " ")
		}
	}
	return digests
}

func kernelLab(t testing.TB, store string) *lab {
	l := newLab(t, "dockerkernel", store)
	if err := os.Remove(filepath.Join(l.dir, "lab.star")); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestCompileCache builds two folders of a kernel without the compile cache and with
// it, also with another option, and holds that all that is left there is the same to
// the bit: objects, archives, the commands and dependencies that Kbuild keeps.
// BenchmarkCompileCache does it with whole kernels.
func TestCompileCache(t *testing.T) {
	endToEnd(t)
	l := kernelLab(t, sharedStore(t))
	others := l.scratch(nil) // of runs that are not the test's, in a store that is kept
	now := fmt.Sprint(time.Now().UnixNano())
	const part = `)`
	const toggled = `, options = {"BINFMT_SCRIPT": True})`
	// The same every time, so that a store that is kept has them.
	plain, _, _ := l.kernel("off", `_folders("off", "80"`+part, "LABSTAR_COMPILE_CACHE=off")
	other, _, _ := l.kernel("offtoggled", `_folders("off", "80"`+toggled, "LABSTAR_COMPILE_CACHE=off")
	if plain == other {
		t.Fatal("the option changes nothing: the test proves nothing")
	}

	expect := func(name, expr, want string, share float64, env ...string) compiled {
		t.Helper()
		got, c, took := l.kernel(name, expr, env...)
		t.Logf("%s: %d of %d objects from the cache, %d compared, %v", name, c.hits, c.objects, c.compared, took)
		if got != want {
			t.Errorf("%s: got %s, want %s as without the cache", name, got, want)
		}
		if float64(c.hits+c.compared) < share*float64(c.objects) || c.objects < 100 {
			t.Errorf("%s: got %d hits of %d objects, want %v of them", name, c.hits, c.objects, share)
		}
		return c
	}
	kernel := func(nonce string) string { return fmt.Sprintf("_folders(%q, \"80\"", now+nonce) }
	expect("first", kernel("1")+part, plain, 0)
	expect("again", kernel("2")+part, plain, 0.98)
	expect("toggled", kernel("3")+toggled, other, 0.9)
	if c := expect("verified", kernel("4")+part, plain, 0.98, "LABSTAR_COMPILE_VERIFY=0.05"); c.compared == 0 {
		t.Error("got nothing compared, want a twentieth")
	}

	var both sync.WaitGroup
	for _, name := range []string{"left", "right"} {
		both.Go(func() { expect(name, kernel(name)+part, plain, 0.98) })
	}
	both.Wait()
	for _, dir := range l.scratch(others) {
		if left, _ := filepath.Glob(filepath.Join(l.store, "tmp", filepath.Base(dir), "*", "socket")); len(left) > 0 {
			t.Errorf("got sockets left behind: %s", strings.Join(left, " "))
		}
	}
}

const smallScript = `
load("@stdlib//toolchains.star", "build_tools")

out = run(
    """
    printf '#define GEN %%s\\n' "$GEN" > gen.h
    mkdir -p inc deps; cp /in/src/a.h inc/
    ( gcc -Iinc -I. -Wall -g -O2 -MD -MF deps/warn.d -c -o warn.o /in/src/warn.c; echo "exit $?" ) > warn.txt 2>&1 || true
    ( gcc -Iinc -I. -c -o bad.o /in/src/bad.c; echo "exit $?" ) > bad.txt 2>&1 || true
    gcc -Iinc -I. -MMD -S -fverbose-asm -o plain.s /in/src/plain.c
    gcc -Iinc -I. -E -o plain.i /in/src/plain.c
    printf '.incbin "gen.h"\\n' > blob.S; gcc -c -o blob.o blob.S
    echo 'int probe;' | gcc -Werror -c -x c -o probe.o -
    ( gcc -mno-such-option -c -x c /dev/null -o none.o; echo "exit $?" ) > probe.txt 2>&1 || true
    ln -s real.o link.o; gcc -Iinc -I. -O1 -c -o link.o /in/src/plain.c
    gcc --version > version.txt
    ( cd deps && umask 077 && gcc -I../inc -I.. -c /in/src/plain.c && stat -c %%a plain.o ) > mode.txt
    gcc -o prog warn.o deps/plain.o && ./prog > ran.txt
    ln -s real-tool tool; gcc -Iinc -I. -o tool /in/src/tool.c -lm && ./tool > tool.txt; stat -c %%a tool >> mode.txt
    rm -f gen.h inc/a.h blob.S
    mkdir out; find . -type f ! -path './out/*' ! -name .labstar | sort | while read -r f; do mkdir -p "out/$(dirname "$f")"; cp "$f" "out/$f"; done
    ls -A /tmp > out/tmp.txt
    """,
    toolchain = build_tools(),
    inputs = {"src": tree({
        "a.h": text("#include <stdio.h>\n#define A 1\n"),
        "warn.c": text("#include <a.h>\n#include \"gen.h\"\nint plain(void);\nint main(void) { int unused; printf(\"%%d %%d %%d\\n\", A, GEN, plain()); return 0; }\n"),
        "bad.c": text("#include <a.h>\nint x = ;\n"),
        "tool.c": text("#include <a.h>\n#include \"gen.h\"\nint main(void) { return puts(__FILE__) < A; }\n"),
        "plain.c": text("#include <a.h>\n#include \"gen.h\"\nint plain(void) { return GEN + A; }\n"),
    })},
    env = {"NONCE": %q, "GEN": %q},
    outputs = "out/",
    compiles = True,
)
`

const busyboxScript = `
load("@stdlib//toolchains.star", "build_tools")

def _folders(nonce, columns, sed = ""):
    script = """
    make -C /in/source O="$PWD" defconfig </dev/null
    sed -i "$SED" .config
    make -C /in/source O="$PWD" oldconfig </dev/null
    for goal in networking/ libbb/; do make -C /in/source O="$PWD" $goal </dev/null; done
    """
    made = run(
        script,
        toolchain = build_tools(),
        inputs = {"source": debian_source("busybox")},
        env = {"NONCE": nonce, "COLUMNS": columns, "SED": "s/CONFIG_TC=y/# CONFIG_TC is not set/; " + sed, "KCONFIG_NOTIMESTAMP": "1"},
        outputs = {"networking": "networking/", "libbb": "libbb/"},
        compiles = True,
    )
    return [made.outputs["networking"], made.outputs["libbb"]]

folders = %s
`

// TestCompileCacheBusybox toggles an option of busybox, whose configuration header has
// four macros for each: what doesn't look at it comes from the cache, and all that is
// left is the same to the bit as without.
func TestCompileCacheBusybox(t *testing.T) {
	endToEnd(t)
	l := kernelLab(t, sharedStore(t))
	now := fmt.Sprint(time.Now().UnixNano())
	build := func(expr string, env ...string) (string, compiled) {
		t.Helper()
		l.writeScript("busybox.star", fmt.Sprintf(busyboxScript, expr))
		mine := *l
		mine.env = append(append([]string{}, l.env...), env...)
		s := mine.run("busybox.star")
		return digestsOf(s), compiledBy(s)
	}
	const toggled = `, sed = "s/.*CONFIG_FEATURE_HTTPD_RANGES.*/# CONFIG_FEATURE_HTTPD_RANGES is not set/")`
	want, _ := build(`_folders("off", "80"`+toggled, "LABSTAR_COMPILE_CACHE=off")
	before, _ := build(fmt.Sprintf("_folders(%q, \"80\")", now+"first"))
	got, c := build(fmt.Sprintf("_folders(%q, \"80\"", now+"toggled") + toggled)
	t.Logf("%d of %d objects from the cache", c.hits, c.objects)
	if got != want || got == before {
		t.Errorf("got %s, want %s as without the cache, and another than %s", got, want, before)
	}
	if c.objects < 100 || float64(c.hits) < 0.95*float64(c.objects) {
		t.Errorf("got %d hits of %d objects, want 19 of 20", c.hits, c.objects)
	}
}

// TestCompileCacheSmall has in it what a kernel's build has seldom or never: warnings,
// errors, assembler that reads files, another umask, a changed header. Everything that
// the commands left and said is the same with the cache, filled or not, as without.
func TestCompileCacheSmall(t *testing.T) {
	endToEnd(t)
	l := kernelLab(t, sharedStore(t))
	now := fmt.Sprint(time.Now().UnixNano())
	build := func(name, gen string, env ...string) (string, compiled) {
		t.Helper()
		l.writeScript(name+".star", fmt.Sprintf(smallScript, now+name, gen))
		mine := *l
		mine.env = append(append([]string{}, l.env...), env...)
		s := mine.run(name+".star", "--out", "out-"+name)
		for _, d := range s.digests() {
			return d, compiledBy(s)
		}
		t.Fatalf("got no digest in %s", s.stdout)
		return "", compiled{}
	}
	gen := now // so that nobody compiled it before
	plain, c := build("off", gen, "LABSTAR_COMPILE_CACHE=off")
	if c.objects != 0 {
		t.Errorf("off: got %+v, want nothing counted", c)
	}
	for _, name := range []string{"first", "second"} {
		got, c := build(name, gen)
		if got != plain {
			t.Errorf("%s: got %s, want %s as without the cache; compare %s with out-off", name, got, plain, filepath.Join(l.dir, "out-"+name))
			for _, file := range []string{"warn.txt", "bad.txt", "probe.txt", "mode.txt", "tmp.txt", "deps/warn.d"} {
				if a, b := l.read("out-off/out/"+file), l.read("out-"+name+"/out/"+file); a != b {
					t.Errorf("%s: got %q, want %q", file, b, a)
				}
			}
		}
		// Not the one that fails, nor the one that the assembler reads a file for.
		if want := map[string]int{"first": 0, "second": 6}[name]; c.hits != want || c.objects != 8 {
			t.Errorf("%s: got %d hits of %d objects, want %d of 8", name, c.hits, c.objects, want)
		}
	}
	if got, c := build("changed", gen+"1"); got == plain || c.hits != 0 {
		t.Errorf("a changed header: got %d hits, want none, and another result", c.hits)
	}
	if got, c := build("verified", gen, "LABSTAR_COMPILE_VERIFY=1"); got != plain || c.compared != 6 {
		t.Errorf("verified: got %d compared, want 6 and the same result", c.compared)
	}
	if text := l.read("out-second/out/warn.txt"); !strings.Contains(text, "unused variable") || !strings.Contains(text, "exit 0") {
		t.Errorf("got the warnings %q from the cache", text)
	}
}

// The compile cache against a build without it: cold with the cache empty, built
// again, with one option toggled, with one file patched.
func BenchmarkCompileCache(b *testing.B) {
	l := benchLab(b)
	kernel := kernelLab(b, l.store)
	kernel.kernel("sources", `_kernel(_linux, "off", "80")`, "LABSTAR_COMPILE_CACHE=off") // everything fetched
	for b.Loop() {
		n := fmt.Sprint(time.Now().UnixNano())
		of := func(nonce string) string { return fmt.Sprintf("_kernel(_linux, %q, %q", n+nonce, n) }
		plain, _, off := kernel.kernel("off", of("off")+")", "LABSTAR_COMPILE_CACHE=off")
		ratio := func(name, expr string) {
			digest, c, took := kernel.kernel(name, expr)
			if (name == "cold" || name == "again") && digest != plain {
				b.Errorf("%s: got %s, want %s as without the cache", name, digest, plain)
			}
			b.Logf("%s: %v, %d of %d objects from the cache; without it %v", name, took, c.hits, c.objects, off)
			b.ReportMetric(took.Seconds()/off.Seconds(), name+"-ratio")
		}
		ratio("cold", of("cold")+")")
		ratio("again", of("again")+")")
		ratio("toggled", of("toggled")+`, options = {"BINFMT_SCRIPT": True})`)
		ratio("patched", strings.Replace(of("patched"), "_linux", "patch(_linux, [_one_line])", 1)+")")
	}
	b.ReportMetric(0, "ns/op")
}

// BenchmarkCompileCacheEmpty is what the compile cache costs where it has nothing yet:
// the same kernel with an empty cache and without one.
func BenchmarkCompileCacheEmpty(b *testing.B) {
	l := benchLab(b)
	with, without := kernelLab(b, l.store), kernelLab(b, l.store)
	with.kernel("sources", `_kernel(_linux, "off", "80")`, "LABSTAR_COMPILE_CACHE=off") // everything fetched
	var n, made, plain string
	sideBySide(b, func(int) { n = fmt.Sprint(time.Now().UnixNano()) },
		func(int) {
			var c compiled
			if made, c, _ = with.kernel("one", fmt.Sprintf("_kernel(_linux, %q, %q)", n+"with", n)); c.hits != 0 {
				b.Errorf("got %d objects from the cache, want an empty one", c.hits)
			}
		},
		func(int) {
			plain, _, _ = without.kernel("one", fmt.Sprintf("_kernel(_linux, %q, %q)", n+"without", n), "LABSTAR_COMPILE_CACHE=off")
		})
	if made != plain {
		b.Errorf("got %s with the cache, want %s as without it", made, plain)
	}
}
