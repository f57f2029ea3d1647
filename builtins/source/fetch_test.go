package source

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"net/http"
	"net/http/cgi"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/download"
	"github.com/labstar/labstar/internal/lock"
)

// fetchLab evaluates a script with entries in its lock.
func fetchLab(t *testing.T, script string, f *lock.File, more starlark.StringDict) (*buildtest.Lab, *lock.Pins, starlark.StringDict) {
	t.Helper()
	lab := buildtest.New(t)
	pins := lock.NewPins(f)
	lab.Session().Pins = pins
	return lab, pins, lab.Eval(Builtins(), script, more)
}

func hexSum(s string) string {
	sum := sha256.Sum256([]byte(s))
	return hex.EncodeToString(sum[:])
}

func TestFetchWeb(t *testing.T) {
	content := strings.Repeat("the content\n", 10_000)
	cut := 0
	mux := http.NewServeMux()
	mux.HandleFunc("/good", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(content)) })
	mux.HandleFunc("/wrong", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("other")) })
	mux.HandleFunc("/cut", func(w http.ResponseWriter, r *http.Request) {
		if cut++; cut == 1 {
			w.Header().Set("Content-Length", "120000")
			w.Write([]byte(content[:50_000]))
			panic(http.ErrAbortHandler)
		}
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(content))
	})
	srv := httptest.NewServer(mux)
	defer srv.Close()
	with := starlark.StringDict{"url": starlark.String(srv.URL), "sum": starlark.String(hexSum(content))}

	for _, script := range []string{
		`r = fetch(url + "/good", sha256 = sum)`,
		`r = fetch(url + "/cut", sha256 = sum)`,
		`r = fetch(url + "/missing", sha256 = sum, mirrors = [url + "/wrong", url + "/good"])`,
	} {
		lab, _, g := fetchLab(t, script, lock.New(), with)
		if got := lab.Text(g["r"]); got != content {
			t.Errorf("%s: got %d bytes, want %d", script, len(got), len(content))
		}
	}
	for script, want := range map[string]string{
		`r = fetch(url + "/wrong", sha256 = sum)`:   "got content with sha256 " + hexSum("other") + ", want " + hexSum(content),
		`r = fetch(url + "/missing", sha256 = sum)`: "got HTTP status 404 Not Found",
	} {
		lab, _, g := fetchLab(t, script, lock.New(), with)
		_, err := lab.TryBuild(g["r"])
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), srv.URL) {
			t.Errorf("%s: got %v, want %q", script, err, want)
		}
		if strings.Contains(script, "wrong") && !strings.Contains(err.Error(), `sha256 = "`+hexSum("other")+`"`) {
			t.Errorf("got %v, want the line to write", err)
		}
	}
}

func TestFetchFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "a//file")
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte("local"), 0o644); err != nil {
		t.Fatal(err)
	}
	with := starlark.StringDict{"url": starlark.String("file://" + name), "sum": starlark.String(hexSum("local")), "dir": starlark.String("file://" + filepath.Dir(name))}
	lab, _, g := fetchLab(t, `
r = fetch(url, sha256 = sum)
w = fetch(url, sha256 = 64 * "1")
d = fetch(dir, sha256 = 64 * "2")
m = fetch(url + ".gone", sha256 = sum[:63] + "0", mirrors = [url])
`, lock.New(), with)
	if got := lab.Text(g["r"]); got != "local" {
		t.Errorf("got %q", got)
	}
	for v, want := range map[string]string{
		"w": "got sha256 " + hexSum("local") + ", want 1111", "d": "is no regular file", "m": "no such file",
	} {
		if _, err := lab.TryBuild(g[v]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", v, err, want)
		}
	}
}

// TestLock goes the whole way of a fetch without a hash: asked for, resolved over
// https, and then pinned.
func TestLock(t *testing.T) {
	srv := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/x.tar" {
			http.NotFound(w, r)
			return
		}
		w.Write([]byte("upstream"))
	}))
	defer srv.Close()
	file := lock.New()
	with := starlark.StringDict{"url": starlark.String(srv.URL)}
	lab, pins, g := fetchLab(t, `r = fetch(url + "/x.tar")`, file, with)
	wants := pins.Wants()
	if len(wants) != 1 || wants[0].Kind != "fetch" || wants[0].Name != srv.URL+"/x.tar" || len(wants[0].Site) == 0 {
		t.Fatalf("got wants %+v", wants)
	}
	if _, err := lab.TryBuild(g["r"]); err == nil || !strings.Contains(err.Error(), "not pinned") {
		t.Errorf("got %v, want that it is not pinned", err)
	}
	env := lock.Env{Client: srv.Client()}
	if err := Resolvers()["fetch"].Resolve(context.Background(), env, wants, file, nil); err != nil {
		t.Fatal(err)
	}
	if got := string(file.Format()); !strings.Contains(got, "fetch "+srv.URL+"/x.tar sha256:"+hexSum("upstream")+" 8\n") {
		t.Errorf("got lock\n%s", got)
	}
	_, pins, g = fetchLab(t, `r = fetch(url + "/x.tar"); s = r.sha256`, file, with)
	if s, _ := starlark.AsString(g["s"]); s != hexSum("upstream") || len(pins.Wants()) > 0 {
		t.Errorf("got %s and %+v", s, pins.Wants())
	}
	err := Resolvers()["fetch"].Resolve(context.Background(), env, []lock.Request{{Kind: "fetch", Name: srv.URL + "/gone"}}, file, nil)
	var failed *lock.RequestError
	if !errors.As(err, &failed) || !strings.Contains(err.Error(), "404") {
		t.Errorf("got %v, want a RequestError about 404", err)
	}
	if _, err := pinNow(context.Background(), env, "http://example.org/x"); err == nil || !strings.Contains(err.Error(), "over http") {
		t.Errorf("got %v, want that http can't be pinned so", err)
	}
}

// repository serves a git repository over HTTP and returns its address and a commit.
func repository(t *testing.T) (address, commit string) {
	t.Helper()
	git := func(dir string, args ...string) string {
		cmd := exec.Command("git", args...)
		cmd.Dir = dir
		cmd.Env = append(os.Environ(), "GIT_CONFIG_GLOBAL=/dev/null", "GIT_AUTHOR_NAME=a", "GIT_AUTHOR_EMAIL=a@b", "GIT_COMMITTER_NAME=a",
			"GIT_COMMITTER_EMAIL=a@b", "GIT_AUTHOR_DATE=1600000000 +0000", "GIT_COMMITTER_DATE=1600000000 +0000")
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
		return strings.TrimSpace(string(out))
	}
	path, err := exec.LookPath("git")
	if err != nil {
		t.Skip("no git here to serve a repository")
	}
	root := t.TempDir()
	work := filepath.Join(root, "work")
	for name, content := range map[string]string{"README": "read me\n", "src/main.c": "int main;\n", "src/run": "#!/bin/sh\n"} {
		p := filepath.Join(work, name)
		if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
			t.Fatal(err)
		}
		mode := os.FileMode(0o644)
		if strings.HasPrefix(content, "#!") {
			mode = 0o755
		}
		if err := os.WriteFile(p, []byte(content), mode); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Symlink("main.c", filepath.Join(work, "src/link")); err != nil {
		t.Fatal(err)
	}
	git(work, "init", "-q", "-b", "main")
	git(work, "add", "-A")
	git(work, "commit", "-qm", "one")
	commit = git(work, "rev-parse", "HEAD")
	if err := os.WriteFile(filepath.Join(work, "later"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	git(work, "add", "-A")
	git(work, "commit", "-qm", "two") // so that the pinned commit is not the newest
	git(root, "clone", "-q", "--bare", work, "repo.git")
	srv := httptest.NewServer(&cgi.Handler{
		Path: path, Args: []string{"http-backend"}, Dir: root,
		Env: []string{"GIT_PROJECT_ROOT=" + root, "GIT_HTTP_EXPORT_ALL=1", "GIT_CONFIG_GLOBAL=/dev/null"},
	})
	t.Cleanup(srv.Close)
	return "git::" + srv.URL + "/repo.git", commit
}

func TestFetchGit(t *testing.T) {
	address, commit := repository(t)
	t.Setenv("PATH", "") // no git for us
	sum := newHashTree()
	if err := getGit(context.Background(), address+"?ref="+commit, t.TempDir(), sum); err != nil {
		t.Fatal(err)
	}
	whole, err := sum.Commit()
	if err != nil {
		t.Fatal(err)
	}
	with := starlark.StringDict{
		"url": starlark.String(address), "ref": starlark.String("?ref=" + commit), "sum": starlark.String(whole.Hex()),
	}
	lab, _, g := fetchLab(t, `
r = fetch(url + ref, tree = sum)
w = fetch(url + "//src" + ref, tree = sum)
n = fetch(url + "//nothing" + ref, tree = sum)
c = fetch(url + "?ref=" + 40 * "a", tree = sum)
`, lock.New(), with)
	d := lab.Build(g["r"])
	if d != whole {
		t.Errorf("got %s, want %s", d, whole)
	}
	got := strings.Join(lab.List(d), "\n")
	want := " directory 755 0:0\nREADME file 644 0:0 8\nsrc directory 755 0:0\nsrc/link symlink 777 0:0 -> main.c\nsrc/main.c file 644 0:0 10\nsrc/run file 755 0:0 10"
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	for v, want := range map[string]string{
		"w": "has other content than what was pinned: got the tree sha256 ", "n": `no folder "nothing" in commit`, "c": "aaaaaaaa",
	} {
		if _, err := lab.TryBuild(g[v]); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", v, err, want)
		}
	}
}

// TestStaging checks that nothing can be read of what has the wrong hash.
func TestStaging(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte("evil")) }))
	defer srv.Close()
	var sinks []*stage
	err := get(context.Background(), want{
		urls: []string{srv.URL}, sha256: sha256.Sum256([]byte("good")), policy: download.Policy{Rounds: 2, Pause: time.Millisecond, Stall: time.Second},
		create: func() (download.Sink, error) { sinks = append(sinks, &stage{}); return sinks[len(sinks)-1], nil },
	})
	if err == nil || len(sinks) == 0 {
		t.Fatalf("got %v after %d sinks", err, len(sinks))
	}
	for _, s := range sinks {
		if !s.aborted {
			t.Error("got a sink that was not aborted")
		}
	}
}

type stage struct {
	bytes.Buffer
	aborted bool
}

func (s *stage) Abort() { s.aborted = true }

func FuzzAddress(f *testing.F) {
	f.Add("git::https://example.org/x.git//src?ref=" + strings.Repeat("a", 40))
	f.Add("https://example.org/a?b=c#d")
	f.Add("file:///a//b")
	f.Fuzz(func(t *testing.T, s string) {
		a, err := parseAddress(s)
		if err != nil {
			return
		}
		if _, err := action.CleanPath(a.subdir); err != nil {
			t.Errorf("got the folder %q", a.subdir)
		}
		if e := (lock.Entry{Kind: lockKind, Name: a.raw, Fields: []string{"x"}}); e.Check() != nil {
			t.Errorf("got an address that a lock can't hold: %q", s)
		}
	})
}
