package examples

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"
)

// kernelScript builds a tiny kernel as kernel() does, but for two variables that
// change nothing of it: NONCE makes it another action, so that it is built again, and
// COLUMNS, which a compiler looks at, gives it a compile cache of its own.
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

def _kernel(source, nonce, columns, options = {}):
    return run(
        """
        cat /in/config > .config
        make -C /in/source O="$PWD" bzImage </dev/null
        """,
        toolchain = _tools,
        inputs = {"source": source, "config": kernel_config(_linux, toolchain = _tools, base = "tinyconfig", options = options)},
        env = {
            "NONCE": nonce, "COLUMNS": columns, "ARCH": "x86_64", "KBUILD_BUILD_HOST": "labstar", "KBUILD_BUILD_USER": "labstar",
            "KBUILD_BUILD_VERSION": "1", "KBUILD_BUILD_TIMESTAMP": "Wed Jan  1 00:00:00 UTC 2020", "KCONFIG_NOTIMESTAMP": "1",
        },
        outputs = ["vmlinux", "arch/x86/boot/bzImage", "System.map"],
        compiles = True,
    )
`

// compiled is what --json told of the compile cache.
type compiled struct{ hits, objects, compared int }

// kernel builds a kernel of the script, and returns the digest of its vmlinux.
func (l *lab) kernel(name, expr string, env ...string) (digest string, c compiled, took time.Duration) {
	l.t.Helper()
	l.writeScript(name+".star", kernelScript+name+" = "+expr+"\n")
	mine := *l
	mine.env = append(append([]string{}, l.env...), env...)
	start := time.Now()
	s := mine.run(name+".star", "--out", "out-"+name)
	took = time.Since(start)
	for _, ev := range s.lines {
		if m, ok := ev["compiled"].(map[string]any); ok {
			number := func(k string) int { n, _ := m[k].(float64); return int(n) }
			c = compiled{number("hits"), number("objects"), number("compared")}
		}
	}
	for _, d := range s.digests() {
		digest = d
	}
	if digest == "" {
		l.t.Fatalf("building %s: got no digest in %s", expr, s.stdout)
	}
	return digest, c, took
}

func kernelLab(t testing.TB, store string) *lab {
	l := newLab(t, "dockerkernel", store)
	if err := os.Remove(filepath.Join(l.dir, "lab.star")); err != nil {
		t.Fatal(err)
	}
	return l
}

// TestCompileCache builds a kernel without the compile cache and with it, also with
// another option, and holds that the results are the same to the bit.
func TestCompileCache(t *testing.T) {
	endToEnd(t)
	l := kernelLab(t, sharedStore(t))
	now := fmt.Sprint(time.Now().UnixNano())
	const toggled = `, options = {"BINFMT_SCRIPT": True}`
	// The same every time, so that a store that is kept has them.
	plain, _, _ := l.kernel("off", `_kernel(_linux, "off", "80")`, "LABSTAR_COMPILE_CACHE=off")
	other, _, _ := l.kernel("offtoggled", `_kernel(_linux, "off", "80"`+toggled+`)`, "LABSTAR_COMPILE_CACHE=off")
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
		if float64(c.hits+c.compared) < share*float64(c.objects) || c.objects < 400 {
			t.Errorf("%s: got %d hits of %d objects, want %v of them", name, c.hits, c.objects, share)
		}
		return c
	}
	kernel := func(nonce string) string { return fmt.Sprintf("_kernel(_linux, %q, \"80\"", now+nonce) }
	expect("first", kernel("1")+")", plain, 0)
	expect("again", kernel("2")+")", plain, 0.98)
	expect("toggled", kernel("3")+toggled+")", other, 0.9)
	if c := expect("verified", kernel("4")+")", plain, 0.98, "LABSTAR_COMPILE_VERIFY=0.05"); c.compared == 0 {
		t.Error("got nothing compared, want a twentieth")
	}

	var both sync.WaitGroup
	for _, name := range []string{"left", "right"} {
		both.Go(func() { expect(name, kernel(name)+")", plain, 0.98) })
	}
	both.Wait()
	if left, _ := filepath.Glob(filepath.Join(l.store, "tmp", "*", "*", "socket")); len(left) > 0 {
		t.Errorf("got sockets left behind: %s", strings.Join(left, " "))
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
		_, _, off := kernel.kernel("off", of("off")+")", "LABSTAR_COMPILE_CACHE=off")
		ratio := func(name, expr string) {
			_, c, took := kernel.kernel(name, expr)
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
