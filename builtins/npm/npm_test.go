package npm

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

// tarball is what a registry has of a package: a folder of files in a tar.gz.
func tarball(t *testing.T, headers ...tar.Header) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	for _, h := range headers {
		text := h.PAXRecords["text"]
		h.PAXRecords = nil
		if h.Typeflag == 0 {
			h.Typeflag, h.Size = tar.TypeReg, int64(len(text))
		}
		if err := w.WriteHeader(&h); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write([]byte(text)[:h.Size]); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func member(name, text string, mode int64) tar.Header {
	return tar.Header{Name: name, Mode: mode, PAXRecords: map[string]string{"text": text}}
}

func packageJSON(name, version string) tar.Header {
	return member("package/package.json", fmt.Sprintf(`{"name": %q, "version": %q}`, name, version), 0o600)
}

func sri(b []byte) string {
	sum := sha512.Sum512(b)
	return "sha512-" + base64.StdEncoding.EncodeToString(sum[:])
}

// registry is a registry of one machine: tarballs by path, and what was asked for.
type registry struct {
	*httptest.Server
	mu    sync.Mutex
	files map[string][]byte
	asked []string
	token string // wanted for what is below /private/
}

func newRegistry(t *testing.T) *registry {
	r := &registry{files: map[string][]byte{}}
	r.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.asked = append(r.asked, req.URL.Path)
		b, ok := r.files[strings.TrimPrefix(req.URL.Path, "/private")]
		switch {
		case strings.HasPrefix(req.URL.Path, "/private") != (req.Header.Get("Authorization") == "Bearer "+r.token):
			w.WriteHeader(http.StatusUnauthorized)
		case !ok:
			w.WriteHeader(http.StatusNotFound)
		default:
			_, _ = w.Write(b)
		}
	}))
	t.Cleanup(r.Close)
	return r
}

func (r *registry) config(more map[string]string) func(string) string {
	return func(key string) string {
		if v, ok := more[key]; ok {
			return v
		}
		if key == "npm.registry" {
			return r.URL + "/"
		}
		return ""
	}
}

// add puts a package into the registry and returns its entry in a lock.
func (r *registry) add(t *testing.T, name, version string, more map[string]any, headers ...tar.Header) map[string]any {
	t.Helper()
	if headers == nil {
		headers = []tar.Header{packageJSON(name, version), member("package/index.js", name, 0o600)}
	}
	b := tarball(t, headers...)
	r.files["/"+name+"/-/"+name[strings.IndexByte(name, '/')+1:]+"-"+version+".tgz"] = b
	e := map[string]any{"version": version, "integrity": sri(b), "license": "MIT"}
	for k, v := range more {
		e[k] = v
	}
	return e
}

func lockOf(t *testing.T, packages map[string]any) string {
	t.Helper()
	b, err := json.Marshal(map[string]any{"lockfileVersion": 3, "packages": packages})
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func evalLock(lab *buildtest.Lab, args, lock string) (starlark.Value, error) {
	g, err := lab.TryEval(Builtins(), "m = npm_packages(lock = lock"+args+")", starlark.StringDict{"lock": lab.File(lock),
		"pkg": lab.File(`{"dependencies": {"a": "^1.0.0"}}`)})
	return g["m"], err
}

func TestLayout(t *testing.T) {
	r := newRegistry(t)
	lab := buildtest.New(t, r.config(nil))
	lock := lockOf(t, map[string]any{
		"": map[string]any{"dependencies": map[string]string{"a": "^1.0.0"}},
		"node_modules/a": r.add(t, "a", "1.0.0", map[string]any{"dependencies": map[string]string{"b": "2", "@s/c": "1"}, "bin": map[string]string{"a": "./cli.js", "../../x": "../../cli.js"}},
			packageJSON("a", "1.0.0"), member("package/cli.js", "#!/usr/bin/env node\n", 0o644), member("package/deep/run", "x", 0o700)),
		"node_modules/a/node_modules/b": r.add(t, "b", "2.0.0", map[string]any{"bin": "cli.js", "license": map[string]string{"type": "ISC"}},
			packageJSON("b", "v2.0.0+build"), member("package/cli.js", "", 0o600)),
		"node_modules/@s/c":     r.add(t, "@s/c", "1.2.3-rc.1", nil, packageJSON("@s/c", "1.2.3-rc.1")),
		"node_modules/other":    r.add(t, "real", "1.0.0", map[string]any{"name": "real", "resolved": "https://registry.example/real/-/real-1.0.0.tgz"}),
		"node_modules/mac":      map[string]any{"version": "1.0.0", "integrity": sri(nil), "optional": true, "os": []string{"darwin"}},
		"node_modules/notlinux": map[string]any{"version": "1.0.0", "integrity": sri(nil), "optional": true, "os": []string{"!linux"}},
		"node_modules/arm":      map[string]any{"version": "1.0.0", "integrity": sri(nil), "optional": true, "os": "linux", "cpu": "arm64"},
		"node_modules/musl":     map[string]any{"version": "1.0.0", "integrity": sri(nil), "optional": true, "libc": []string{"musl"}},
		"node_modules/x64":      r.add(t, "x64", "1.0.0", map[string]any{"optional": true, "os": []string{"linux"}, "cpu": []string{"!arm64"}, "libc": []string{"glibc"}}),
		"node_modules/dev":      map[string]any{"version": "1.0.0", "integrity": sri(nil), "dev": true},
		"node_modules/bundled":  map[string]any{"version": "1.0.0", "inBundle": true},
	})
	m, err := evalLock(lab, "", lock)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	err = action.NewEdit(lab.Store, lab.Build(m)).Walk(t.Context(), func(p string, n action.Node) error {
		if n.Kind != action.Dir {
			got = append(got, fmt.Sprintf("%s %o %s", strings.TrimPrefix(p, "node_modules/"), n.Attr.Mode, n.Target))
		}
		return nil
	})
	want := `.bin/a 777 ../a/cli.js
.bin/x 777 ../a/cli.js
@s/c/package.json 644 
a/cli.js 755 
a/deep/run 755 
a/node_modules/.bin/b 777 ../b/cli.js
a/node_modules/b/cli.js 755 
a/node_modules/b/package.json 644 
a/package.json 644 
other/index.js 644 
other/package.json 644 
x64/index.js 644 
x64/package.json 644 `
	if s := strings.Join(got, "\n"); err != nil || s != want {
		t.Errorf("got %v\n%s\nwant\n%s", err, s, want)
	}
	licenses, _ := m.(*schema.Artifact).Attr("licenses")
	if v, _, _ := licenses.(*starlark.Dict).Get(starlark.String("node_modules/a/node_modules/b")); v != starlark.String("ISC") {
		t.Errorf("got the licences %v, want ISC for b", licenses)
	}
}

// TestShared: two labs with different locks have the actions of a common package in common.
func TestShared(t *testing.T) {
	r := newRegistry(t)
	lab := buildtest.New(t, r.config(nil))
	a := r.add(t, "a", "1.0.0", nil)
	one, err := evalLock(lab, "", lockOf(t, map[string]any{"node_modules/a": a}))
	if err != nil {
		t.Fatal(err)
	}
	lab.Build(one)
	a["resolved"] = "https://registry.example/a/-/a-1.0.0.tgz"
	two, err := evalLock(lab, "", lockOf(t, map[string]any{"node_modules/a": a, "node_modules/b": r.add(t, "b", "1.0.0", nil)}))
	if err != nil {
		t.Fatal(err)
	}
	lab.Build(two)
	if got := strings.Join(r.asked, " "); got != "/a/-/a-1.0.0.tgz /b/-/b-1.0.0.tgz" {
		t.Errorf("asked for %s, want each once", got)
	}
}

func TestPrivateRegistry(t *testing.T) {
	r := newRegistry(t)
	r.token = "s3cret"
	host := strings.TrimPrefix(r.URL, "http:")
	lab := buildtest.New(t, r.config(map[string]string{
		"npmrc.@lab:registry": r.URL + "/private", "npmrc." + host + "/private/:_authToken": "s3cret",
	}))
	m, err := evalLock(lab, "", lockOf(t, map[string]any{"node_modules/@lab/a": r.add(t, "@lab/a", "1.0.0", nil), "node_modules/b": r.add(t, "b", "1.0.0", nil)}))
	if err != nil {
		t.Fatal(err)
	}
	lab.Build(m)
}

// Where no registry is configured, nobody is asked, and the error says what to do.
func TestNoRegistry(t *testing.T) {
	r := newRegistry(t)
	lab := buildtest.New(t, func(string) string { return "" })
	m, err := evalLock(lab, "", lockOf(t, map[string]any{"node_modules/a": r.add(t, "a", "1.0.0", nil)}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.TryBuild(m); err == nil || !strings.Contains(err.Error(), "no npm registry is configured") || !strings.Contains(err.Error(), "LABSTAR_NPM_REGISTRY") {
		t.Errorf("got %v", err)
	}
}

func TestHostile(t *testing.T) {
	link := tar.Header{Name: "package/l", Typeflag: tar.TypeSymlink, Linkname: "index.js", Mode: 0o777}
	hard := tar.Header{Name: "package/l", Typeflag: tar.TypeLink, Linkname: "package/package.json", Mode: 0o644}
	device := tar.Header{Name: "package/null", Typeflag: tar.TypeChar, Devmajor: 1, Devminor: 3}
	for want, headers := range map[string][]tar.Header{
		"got a link, want files":                     {packageJSON("a", "1.0.0"), link},
		"got a link, want files ":                    {packageJSON("a", "1.0.0"), hard},
		"want files":                                 {packageJSON("a", "1.0.0"), device},
		`name with ".."`:                             {packageJSON("a", "1.0.0"), member("package/../../x", "", 0o644)},
		"absolute name":                              {packageJSON("a", "1.0.0"), member("/etc/passwd", "", 0o644)},
		"has no package.json":                        {member("package/x", "", 0o644)},
		"says that it is b@1.0.0":                    {packageJSON("b", "1.0.0")},
		"says that it is a@9.0.0":                    {packageJSON("a", "9.0.0")},
		"reading package.json of a@1.0.0: unexpecte": {member("package/package.json", "{", 0o644)},
	} {
		r := newRegistry(t)
		lab := buildtest.New(t, r.config(nil))
		m, err := evalLock(lab, "", lockOf(t, map[string]any{"node_modules/a": r.add(t, "a", "1.0.0", nil, headers...)}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := lab.TryBuild(m); err == nil || !strings.Contains(err.Error(), strings.TrimSpace(want)) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
	r := newRegistry(t)
	lab := buildtest.New(t, r.config(nil))
	e := r.add(t, "a", "1.0.0", nil)
	r.files["/a/-/a-1.0.0.tgz"] = tarball(t, packageJSON("a", "1.0.0"), member("package/evil.js", "x", 0o644))
	m, err := evalLock(lab, "", lockOf(t, map[string]any{"node_modules/a": e}))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := lab.TryBuild(m); err == nil || !strings.Contains(err.Error(), "another tarball than the one that was locked") {
		t.Errorf("tampered tarball: got %v", err)
	}
}

func TestErrors(t *testing.T) {
	ok := map[string]any{"version": "1.0.0", "integrity": sri(nil)}
	with := func(more map[string]any) string {
		e := map[string]any{}
		for k, v := range ok {
			e[k] = v
		}
		for k, v := range more {
			e[k] = v
		}
		return lockOf(t, map[string]any{"node_modules/a": e})
	}
	for _, c := range []struct{ args, lock, want string }{
		{``, `{`, `lock: reading package-lock.json`},
		{``, `{"lockfileVersion": 1, "dependencies": {}}`, `got a lock of version 1, want 2 or 3`},
		{``, with(map[string]any{"integrity": ""}), `the lock has no integrity`},
		{``, with(map[string]any{"integrity": "sha1-2jmj7l5rSw0yVb/vlWAYkK/YBwk="}), `want one of sha512`},
		{``, with(map[string]any{"integrity": "sha512-abc"}), `want sha512 and the base64 of 64 bytes`},
		{``, with(map[string]any{"resolved": "git+ssh://git@example.org/a.git#0"}), `git and local sources have no integrity`},
		{``, with(map[string]any{"version": "../x"}), `got the version "../x"`},
		{``, with(map[string]any{"name": "../x"}), `got the name "../x"`},
		{``, with(map[string]any{"os": []string{"win32"}}), `package a@1.0.0 is for win32, want one for linux/x64`},
		{``, with(map[string]any{"dependencies": map[string]string{"b": "1"}}), `needs b, which the lock does not have`},
		{``, with(map[string]any{"hasInstallScript": true}), `package a@1.0.0 has an install script, which is never run`},
		{`, without_scripts = ["b"]`, with(map[string]any{"hasInstallScript": true}), `without_scripts[0]: package "b" is not there`},
		{`, without_scripts = ["a"]`, with(map[string]any{"hasInstallScript": true}), ``},
		{``, lockOf(t, map[string]any{"node_modules/../../a": ok}), `names no package`},
		{``, lockOf(t, map[string]any{"packages/a": ok}), `a workspace`},
		{``, lockOf(t, map[string]any{"node_modules/a": map[string]any{"link": true, "resolved": "packages/a"}}), `a workspace`},
		{``, lockOf(t, map[string]any{"node_modules/a": nil}), `got null`},
		{`, platform = "plan9"`, with(nil), `platform: got "plan9", want OS/ARCH`},
		{`, package = pkg`, with(nil), `does not say which package.json`},
		{`, package = pkg`, lockOf(t, map[string]any{"": map[string]any{}, "node_modules/a": ok}), `package.json has a "^1.0.0", package-lock.json has none`},
		{`, package = pkg`, lockOf(t, map[string]any{"": map[string]any{"dependencies": map[string]string{"a": "^1.0.0", "b": "1"}}, "node_modules/a": ok}), `package-lock.json has b "1"`},
		{`, package = pkg`, lockOf(t, map[string]any{"": map[string]any{"dependencies": map[string]string{"a": "^1.0.0"}}, "node_modules/a": ok}), ``},
	} {
		_, err := evalLock(buildtest.New(t), c.args, c.lock)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s %s\ngot  %v\nwant %s", c.args, c.lock, err, c.want)
		}
	}
}

// TestAsNpm installs the packages of a real lock and compares with npm itself.
func TestAsNpm(t *testing.T) {
	if os.Getenv("LABSTAR_E2E") == "" {
		t.Skip("end-to-end test: set LABSTAR_E2E=1")
	}
	npm, err := exec.LookPath("npm")
	if err != nil {
		t.Skip("needs npm, which is not installed")
	}
	dir := t.TempDir()
	for _, f := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.Command(npm, "ci", "--ignore-scripts", "--omit=dev", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	if err := os.Remove(filepath.Join(dir, "node_modules/.package-lock.json")); err != nil {
		t.Fatal(err)
	}
	lab := buildtest.New(t, buildtest.NpmSettings(t))
	lock, err := os.ReadFile(filepath.Join(dir, "package-lock.json"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := evalLock(lab, "", string(lock))
	if err != nil {
		t.Fatal(err)
	}
	ours, err := lab.Store.TreePath(t.Context(), lab.Build(m))
	if err != nil {
		t.Fatal(err)
	}
	// --no-dereference: links are compared as links.
	if out, err := exec.Command("diff", "-r", "--no-dereference", filepath.Join(dir, "node_modules"), filepath.Join(ours, "node_modules")).CombinedOutput(); err != nil {
		t.Errorf("npm's node_modules and ours differ: %v\n%.3000s", err, out)
	}
	modes := func(root string) string {
		out, err := exec.Command("sh", "-c", "cd \"$1\" && find node_modules -type f -printf '%p %m\\n' | sort", "sh", root).Output()
		if err != nil {
			t.Fatal(err)
		}
		return string(out)
	}
	got, want := modes(ours), modes(dir)
	if strings.Count(got, "\n") < 300 {
		t.Errorf("got %d files, want hundreds", strings.Count(got, "\n"))
	}
	for line := range strings.Lines(want) {
		path, mode, _ := strings.Cut(strings.TrimSpace(line), " ")
		// A store keeps the run bit of a file; that is what counts here.
		if run := strings.ContainsAny(mode[:1], "7"); strings.Contains(got, path+" 755") != run && strings.Contains(got, path+" 555") != run {
			t.Errorf("%s: npm has mode %s, ours is another", path, mode)
		}
	}
}

func FuzzLock(f *testing.F) {
	f.Add([]byte(`{"lockfileVersion":3,"packages":{"node_modules/a":{"version":"1.0.0","bin":"x","os":"linux","license":{"type":"MIT"}}}}`))
	f.Add([]byte(`{"lockfileVersion":2,"packages":{"":null,"node_modules/a/node_modules/@b/c":{"link":true}}}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		l, err := parseLock(raw)
		if err != nil {
			return
		}
		chosen, _ := l.choose(choice{target: platform{"linux", "x64", "glibc"}, optional: true})
		for _, e := range chosen {
			if p, err := action.CleanPath(e.path); err != nil || p != e.path || strings.Contains(p, "..") && !strings.Contains(e.Name, "..") {
				t.Errorf("%q is no clean path", e.path)
			}
			for name, target := range e.Bin {
				if strings.ContainsRune(name, '/') || strings.HasPrefix(target, "../") {
					t.Errorf("bin %q: %q leads out", name, target)
				}
			}
		}
		_ = l.agrees(raw)
	})
}
