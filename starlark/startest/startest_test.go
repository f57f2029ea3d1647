package startest_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/startest"
)

func files(m map[string]string) fstest.MapFS {
	fsys := fstest.MapFS{}
	for name, src := range m {
		fsys[name] = &fstest.MapFile{Data: []byte(src)}
	}
	return fsys
}

func TestRun(t *testing.T) {
	startest.Run(t, host.Config{}, files(map[string]string{
		"sub/a_test.star": `
load("../lib.star", "double")

def test_assert():
    assert.eq(double(2), 4)
    assert.ne(double(2), 5, "not five")
    assert.true([1])
    assert.contains("abc", "b")
    assert.contains({"k": 1}, "k")
    assert.fails(lambda: double(), "missing 1 argument")
    assert.fails(lambda: fail("with %d" % 3), "^fail: with 3$")
`,
		"lib.star": "def double(x):\n    return 2 * x\n",
	}), "*_test.star")
}

// What should fail fails, with the position of the assertion.
func TestFailures(t *testing.T) {
	results, err := startest.Files(t.Context(), host.Config{}, files(map[string]string{
		"a_test.star": `
def test_eq():
    print("about to fail")
    assert.eq(1, 2, "numbers")
def test_ne():
    assert.ne(1, 1)
def test_true():
    assert.true(0)
def test_contains():
    assert.contains([1], 2)
def test_fails_not():
    assert.fails(lambda: 1, "x")
def test_fails_otherwise():
    assert.fails(lambda: 1 // 0, "xyz")
def test_arguments():
    assert.eq(1)
def test_fine():
    assert.eq(1, 1)
def helper():
    fail("no test")
def test_endless():
    for a in range(1000000):
        for b in range(1000000):
            pass
`,
		"b_test.star": "x = (\n",
		"c_test.star": "x = 1\n",
		"chunks.star": "x = 1\n---\nfail('a') ### \"a\"\n---\nfail('b')\n---\nx = 1 ### \"c\"\n---\n\n\nfail('d') ### \"e\"\n",
		"bad.star":    "x = 1 ### not quoted\n",
		"other.txt":   "x",
	}), "*.star")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]string{
		"a_test.star/test_eq":              "a_test.star:4:15: assert.eq: got: numbers: got 1, want 2",
		"a_test.star/test_ne":              "got 1 twice, want different values",
		"a_test.star/test_true":            "got 0, want something true",
		"a_test.star/test_contains":        "got [1], want 2 in it",
		"a_test.star/test_fails_not":       "got no error, want one that matches",
		"a_test.star/test_fails_otherwise": "division by zero",
		"a_test.star/test_arguments":       `missing argument "want"`,
		"a_test.star/test_fine":            "",
		"a_test.star/test_endless":         "steps",
		"b_test.star/load":                 "the bracket opened on line 1 is not closed",
		"c_test.star/load":                 "no functions named test_",
		"chunks.star/chunk 1":              "",
		"chunks.star/chunk 3":              "",
		"chunks.star/chunk 5":              "unexpected error: chunks.star:5:1: fail: b",
		"chunks.star/chunk 7":              `chunks.star:7: got no error that matches "c"`,
		"chunks.star/chunk 9":              `chunks.star:11: got no error that matches "e"`,
		"bad.star/chunks":                  "malformed expectation",
	}
	for _, r := range results {
		name := r.File + "/" + r.Name
		w, ok := want[name]
		switch {
		case !ok:
			t.Errorf("%s: unexpected result: %v", name, r.Err)
		case w == "" && r.Err != nil:
			t.Errorf("%s: got %v, want it to pass", name, r.Err)
		case w != "" && (r.Err == nil || !strings.Contains(r.Err.Error(), w)):
			t.Errorf("%s: got %v, want %q", name, r.Err, w)
		}
		if r.Name == "test_eq" && strings.Join(r.Output, "|") != "about to fail" {
			t.Errorf("got output %q", r.Output)
		}
		delete(want, name)
	}
	for name := range want {
		t.Errorf("%s: no result", name)
	}
}
