package debian

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
)

// pkg writes one paragraph of an index.
func pkg(name, version string, fields ...string) string {
	return fmt.Sprintf("Package: %s\nVersion: %s\nArchitecture: amd64\nFilename: pool/%s.deb\nSize: 10\nSHA256: %064d\n%s\n\n",
		name, version, name, 1, strings.Join(fields, "\n"))
}

func index(t *testing.T, paragraphs ...string) *Index {
	t.Helper()
	x, err := ReadIndex(strings.NewReader(strings.ReplaceAll(strings.Join(paragraphs, ""), "\n\n\n", "\n\n")), "trixie", "amd64")
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func closure(t *testing.T, x *Index, names ...string) string {
	t.Helper()
	res, err := x.Resolve(names, nil)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Join(slices.Sorted(maps.Keys(res.Packages)), " ")
}

func TestResolve(t *testing.T) {
	x := index(t,
		pkg("app", "1", "Depends: libone (>= 2), mail | reader", "Pre-Depends: virt"),
		pkg("libone", "2", "Depends: app"), // a cycle
		pkg("reader", "1"),
		pkg("impl-b", "1", "Provides: virt", "Priority: optional"),
		pkg("impl-a", "1", "Provides: virt", "Priority: optional"),
		pkg("impl-z", "1", "Provides: virt (= 3)", "Priority: required"),
		pkg("needs-virt2", "1", "Depends: virt (>= 2)"),
		pkg("needs-virt9", "1", "Depends: virt (>= 9)"),
		pkg("either", "1", "Depends: one | two"),
		pkg("one", "1"), pkg("two", "1"),
		pkg("realfirst", "1", "Depends: virt | reader"),
		pkg("multi", "1", "Depends: reader:any, one:arm64"),
		pkg("double", "1"), pkg("double", "2"), pkg("double", "1.5"),
	)
	for _, c := range []struct{ ask, want string }{
		{"app", "app impl-z libone reader"},
		{"app impl-b", "app impl-b libone reader"},
		{"needs-virt2", "impl-z needs-virt2"},
		{"either", "either one"},
		{"either two", "either two"},
		{"two either", "either two"},
		{"realfirst", "reader realfirst"},
	} {
		if got := closure(t, x, strings.Fields(c.ask)...); got != c.want {
			t.Errorf("%s: got %s, want %s", c.ask, got, c.want)
		}
	}
	if p, _ := x.Find("double"); p.Version != "2" {
		t.Errorf("got double %s, want the newest", p.Version)
	}
	for _, c := range []struct{ ask, want string }{
		{"needs-virt9", "needs-virt9 1 needs virt (>= 9): nothing provides it"},
		{"multi", "multi 1 needs one:arm64: it has one 1"},
		{"readr", `unknown package "readr" in trixie/amd64 (did you mean reader?)`},
		{"virt", "virtual in trixie/amd64: name one that provides it: impl-z, impl-a, impl-b"},
		{"nothing-like-it", `unknown package "nothing-like-it" in trixie/amd64`},
	} {
		_, err := x.Resolve([]string{c.ask}, nil)
		if err == nil || !strings.HasSuffix(err.Error(), c.want) {
			t.Errorf("%s: got %v, want …%s", c.ask, err, c.want)
		}
	}
}

func TestChain(t *testing.T) {
	x := index(t, pkg("aa", "1", "Depends: bb"), pkg("bb", "2", "Depends: cc"), pkg("cc", "3", "Depends: dd (>> 4) | ee"), pkg("dd", "4"))
	_, err := x.Resolve([]string{"aa"}, nil)
	want := "unsatisfiable dependency in trixie/amd64: aa 1, which needs bb 2, which needs cc 3 needs dd (>> 4) | ee: it has dd 4"
	if err == nil || err.Error() != want {
		t.Errorf("got %v\nwant %s", err, want)
	}
}

func TestConflicts(t *testing.T) {
	x := index(t,
		pkg("mta-a", "1", "Provides: mta", "Conflicts: mta"), pkg("mta-b", "1", "Provides: mta", "Conflicts: mta"),
		pkg("old", "1"), pkg("new", "1", "Breaks: old (<< 2)"), pkg("fine", "1", "Breaks: old (<< 1)"))
	res, err := x.Resolve([]string{"mta-a", "mta-b", "old", "new", "fine"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(res.Conflicts); got != "map[mta-a:[mta-b] mta-b:[mta-a] new:[old] old:[new]]" {
		t.Errorf("got %s", got)
	}
}

func TestIndexErrors(t *testing.T) {
	good := pkg("aa", "1")
	for _, c := range []struct{ text, want string }{
		{"Package: a\n", "without Version"},
		{strings.Replace(good, "Size: 10", "Size: -1", 1), "got size"},
		{strings.Replace(good, "pool/aa.deb", "../etc/passwd", 1), "clean relative path"},
		{strings.Replace(good, "pool/aa.deb", "/etc/passwd", 1), "clean relative path"},
		{strings.Replace(good, "SHA256: 00", "SHA256: 0", 1), "malformed sha256"},
		{strings.Replace(good, "Package: aa", "Package: a/../b", 1), "got package name"},
		{" continued\n", "Packages:1: malformed paragraph"},
		{"nonsense\n", "malformed field"},
		{strings.TrimSpace(good) + "\nSize: 5\n", "given twice"},
	} {
		if _, err := ReadIndex(strings.NewReader(c.text), "trixie", "amd64"); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%q: got %v, want %q", c.text, err, c.want)
		}
	}
}

func TestFindSources(t *testing.T) {
	text := "Package: bb\nVersion: 1-1\nFormat: 3.0 (quilt)\nDirectory: pool/b\nChecksums-Sha256:\n" +
		fmt.Sprintf(" %064d 7 bb_1.orig.tar.xz\n %064d 8 bb_1-1.dsc\n %064d 9 bb_1.orig.tar.xz.asc\n %064d 5 bb_1-1.debian.tar.xz\n\n", 1, 2, 3, 4)
	newer := strings.ReplaceAll(text, "1-1", "1-2")
	for _, both := range []string{text + newer, newer + text} {
		m, err := FindSources(strings.NewReader(both), "trixie", []string{"bb"})
		if err != nil {
			t.Fatal(err)
		}
		if s := m["bb"][0]; len(m["bb"]) != 2 || s.Version != "1-2" || len(s.Files) != 2 || s.Files[1].Name != "bb_1.orig.tar.xz" || s.Files[1].Digest.Size != 7 {
			t.Errorf("got %+v", s)
		}
	}
	_, err := FindSources(strings.NewReader(text), "trixie", []string{"bbb"})
	var unknown *UnknownError
	if !errors.As(err, &unknown) || err.Error() != `unknown source package "bbb" in trixie (did you mean bb?)` {
		t.Errorf("got %v", err)
	}
}

func FuzzReadIndex(f *testing.F) {
	f.Add([]byte(pkg("aa", "1:2-3", "Depends: bb (>= 1) | cc", "Provides: dd (= 1)") + pkg("bb", "1")))
	f.Add([]byte("A: b\n c\n\t d\n# x\n\nA: b\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		x, err := readIndex(bytes.NewReader(b), "trixie", "amd64", 1)
		if err != nil {
			return
		}
		for i := range x.packages {
			x.Resolve([]string{x.packages[i].Name}, nil) // an error is fine, a panic is not
		}
		x.Similar("dd")
		FindSources(bytes.NewReader(b), "trixie", []string{"aa"})
	})
}
