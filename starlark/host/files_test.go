package host_test

import (
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
)

// statCache is what a store offers, without the persistence.
type statCache struct {
	known        map[string]action.Digest
	hits, misses int
}

func key(path string, fi fs.FileInfo) string { return path + fi.ModTime().String() }

// Fresh is never sure, so that everything is looked up.
func (s *statCache) Fresh(string) (action.Digest, bool) { return action.Digest{}, false }

func (s *statCache) Lookup(path string, fi fs.FileInfo) (action.Digest, bool) {
	d, ok := s.known[key(path, fi)]
	if ok {
		s.hits++
	} else {
		s.misses++
	}
	return d, ok
}

func (s *statCache) Store(path string, fi fs.FileInfo, d action.Digest) { s.known[key(path, fi)] = d }

// tree writes a folder with a bit of everything.
func tree(t *testing.T) string {
	dir := t.TempDir()
	for _, f := range []string{"index.html", "css/a.css", "css/deep/b.css", "css/deep/b.txt", "js/x.js", ".hidden", "empty/"} {
		if strings.HasSuffix(f, "/") {
			if err := os.MkdirAll(filepath.Join(dir, "www", f), 0o755); err != nil {
				t.Fatal(err)
			}
			continue
		}
		write(t, filepath.Join(dir, "www", f), "content of "+f)
	}
	if err := os.Chmod(filepath.Join(dir, "www/js/x.js"), 0o700); err != nil {
		t.Fatal(err)
	}
	link(t, "../css/a.css", filepath.Join(dir, "www/js/link.css"))
	return dir
}

func loadDir(t *testing.T, dir, src string, cache host.StatCache) (*host.Module, error) {
	t.Helper()
	write(t, filepath.Join(dir, "lab.star"), src)
	cfg := config(nil)
	cfg.FS, cfg.StatCache = os.DirFS(dir), cache
	return host.Load(t.Context(), cfg, "lab.star")
}

// paths lists a source tree by reading it as the engine does.
func paths(t *testing.T, a *schema.Artifact) []string {
	t.Helper()
	var out []string
	var walk func(d action.Digest, at string)
	walk = func(d action.Digest, at string) {
		b := read(t, a, d)
		dir, err := action.DecodeDirectory(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, n := range dir.Nodes {
			switch n.Kind {
			case action.Dir:
				out = append(out, at+n.Name+"/")
				walk(n.Digest, at+n.Name+"/")
			case action.Symlink:
				out = append(out, at+n.Name+" -> "+n.Target)
			default:
				mark := ""
				if n.Attr.Mode == action.ModeExec {
					mark = "*"
				}
				if got, want := string(read(t, a, n.Digest)), "content of "+at+n.Name; got != want {
					t.Errorf("got %q, want %q", got, want)
				}
				out = append(out, at+n.Name+mark)
			}
		}
	}
	walk(a.Action.Source.Digest, "")
	slices.Sort(out)
	return out
}

func read(t *testing.T, a *schema.Artifact, d action.Digest) []byte {
	t.Helper()
	r, err := a.Action.Source.Open(d)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	b, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestTree(t *testing.T) {
	for _, c := range []struct{ src, want string }{
		{`x = glob("www")`, ".hidden css/ css/a.css css/deep/ css/deep/b.css css/deep/b.txt empty/ index.html js/ js/link.css -> ../css/a.css js/x.js*"},
		{`x = glob("www", ["*.html"])`, "index.html"},
		{`x = glob("www", ["**/*.css"])`, "css/ css/a.css css/deep/ css/deep/b.css js/ js/link.css -> ../css/a.css"},
		{`x = glob("www", ["css/**"])`, "css/ css/a.css css/deep/ css/deep/b.css css/deep/b.txt"},
		{`x = glob("www", ["css/"], ["**/*.txt"])`, "css/ css/a.css css/deep/ css/deep/b.css"},
		{`x = glob("www", exclude = ["css", "empty", ".*"])`, "index.html js/ js/link.css -> ../css/a.css js/x.js*"},
		{`x = glob("www", ["**/deep/*.[a-d]*"])`, "css/ css/deep/ css/deep/b.css"},
	} {
		t.Run(c.src, func(t *testing.T) {
			mod, err := loadDir(t, tree(t), c.src, nil)
			if err != nil {
				t.Fatal(err)
			}
			if got := strings.Join(paths(t, mod.Global("x").(*schema.Artifact)), " "); got != c.want {
				t.Errorf("got  %s\nwant %s", got, c.want)
			}
		})
	}
}

func TestTreeErrors(t *testing.T) {
	for src, want := range map[string]string{
		`glob("www", ["*.htm"])`:    `no file in "www" matches the pattern "*.htm"; "**/*.htm" looks in the folders below too`,
		`glob("ww")`:                `there is no file "ww" (did you mean "www"?)`,
		`glob("www/index.html")`:    "is a file, want a folder",
		`glob("www", ["[a"])`:       "malformed pattern",
		`glob("www", ["../*"])`:     "malformed pattern",
		`glob("www", ["a**"])`:      "** stands alone",
		`glob("www/js")`:            "out of the folder www/js",
		`file("www")`:               "is a folder, want a file: use glob",
		`file("www/css/b.css")`:     "there is no file",
		`file("www/indx.html")`:     `did you mean "www/index.html"?`,
		`file("wwww/css/deep/b.x")`: `did you mean "www/css/deep/b.x"?`,
		`file("/etc/passwd")`:       "absolute path",
		`file("")`:                  "empty path",
	} {
		_, err := loadDir(t, tree(t), src, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", src, err, want)
		}
	}
}

// The same content has the same digest, wherever and in whatever order it was
// written; a stat cache spares the second reading.
func TestDigestsAndStatCache(t *testing.T) {
	dir := tree(t)
	cache := &statCache{known: map[string]action.Digest{}}
	src := `x = [glob("www"), file("www/css/a.css"), file("big")]`
	write(t, filepath.Join(dir, "big"), strings.Repeat("0123456789", 100_000))
	a, err := loadDir(t, dir, src, cache)
	if err != nil {
		t.Fatal(err)
	}
	if cache.hits != 1 || cache.misses != 7 { // a.css is read once
		t.Errorf("got %d hits and %d misses, want 1 and 7", cache.hits, cache.misses)
	}
	b, err := loadDir(t, dir, src, cache)
	if err != nil {
		t.Fatal(err)
	}
	if cache.misses != 7 {
		t.Errorf("got %d misses after a second load, want 7", cache.misses)
	}
	other := tree(t)
	write(t, filepath.Join(other, "big"), strings.Repeat("0123456789", 100_000))
	c, err := loadDir(t, other, src, nil)
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(a.Files, b.Files) || !slices.Equal(a.Files, c.Files) {
		t.Errorf("got %v, %v and %v, want the same digests", a.Files, b.Files, c.Files)
	}
	if got := a.Files[0]; got.Path != "big" || got.Digest != action.Of([]byte(strings.Repeat("0123456789", 100_000))) {
		t.Errorf("got %v", got)
	}
}

// A file that is changed between evaluation and build is an error.
func TestChangedFile(t *testing.T) {
	dir := tree(t)
	mod, err := loadDir(t, dir, `x = file("www/index.html")`, nil)
	if err != nil {
		t.Fatal(err)
	}
	write(t, filepath.Join(dir, "www/index.html"), "changed")
	src := mod.Global("x").(*schema.Artifact).Action.Source
	if _, err := src.ReadAll(src.Digest); err == nil || !strings.Contains(err.Error(), "changed after the script was evaluated") {
		t.Errorf("got %v, want that the file was changed", err)
	}
}

func TestSpecialFile(t *testing.T) {
	dir := t.TempDir()
	link(t, "/dev/null", filepath.Join(dir, "null"))
	start := time.Now()
	if _, err := loadDir(t, dir, `x = file("null")`, nil); err == nil {
		t.Error("got no error for a link to a device")
	}
	if time.Since(start) > time.Second {
		t.Error("it was read")
	}
}
