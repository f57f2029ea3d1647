package host_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/labstar/labstar/starlark/host"
)

// What a recipe of the standard library says with fail is told where the script has
// called it; what fails in it otherwise, where that is.
func TestFailInStdlib(t *testing.T) {
	stdlib := fstest.MapFS{"app.star": {Data: []byte(`
def _check(x):
    if type(x) != "int":
        fail("app: got %s, want a number" % type(x))

def app(x):
    _check(x)
    return x + 1

def broken(x):
    return x.name
`)}}
	for script, want := range map[string]string{
		"app(\"a\")": "lab.star:4:12: app: got string, want a number\n     4 |     return app(\"a\")\n       |            ^^^\n  called from lab.star:5:5",
		"broken(1)":  "@stdlib//app.star:11:14: int has no .name field or method",
	} {
		fsys := fstest.MapFS{"lab.star": {Data: []byte("load(\"@stdlib//app.star\", \"app\", \"broken\")\n\ndef f():\n    return " + script + "\nx = f()\n")}}
		_, err := host.Load(t.Context(), host.Config{FS: fsys, Stdlib: stdlib}, "lab.star")
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}
