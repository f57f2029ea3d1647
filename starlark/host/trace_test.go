package host_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
)

// check is a builtin that finds the number 13, and the key "bad", wherever they are.
type checkArgs struct {
	Value starlark.Value `star:"value" doc:"any value"`
}

var check = schema.New("check", "check finds 13.", func(c *schema.Call, a *checkArgs) (starlark.Value, error) {
	var elem string
	var find func(v starlark.Value, at string) bool
	find = func(v starlark.Value, at string) bool {
		switch v := v.(type) {
		case *starlark.Dict:
			for k, x := range v.Entries() {
				if find(x, at+"["+k.String()+"]") {
					return true
				}
			}
		case *starlark.List:
			for i := range v.Len() {
				if find(v.Index(i), at+"["+starlark.MakeInt(i).String()+"]") {
					return true
				}
			}
		case starlark.Int:
			elem = at
			n, _ := v.Int64()
			return n == 13
		}
		return false
	}
	if find(a.Value, "") {
		e := c.ArgErrorf("value", "got 13")
		e.Root, e.RootElem, e.Label = a.Value, elem, "it"
		return nil, e
	}
	return a.Value, nil
})

// The error is told where the 13 was written.
func TestTrace(t *testing.T) {
	stdlib := fstest.MapFS{"x.star": {Data: []byte(`
def port(name, number = 1, more = None):
    p = {"name": name}
    p["number"] = number
    return {"ports": [p] + (more or [])}

def wide(name, size):
    return {"name": name, "size": {"max": size or 13}}
`)}}
	for script, want := range map[string]string{
		`check({"a": [1, 13]})`:                                                                   `1:17`,
		"x = {\"a\": {\"b\": 13}}\ncheck([x])":                                                    `1:17`,
		"def f(n):\n    return {\"a\": n}\ncheck([f(n) for n in [1]] + [f(13)])":                  `3:32`,
		"def f(n = 13):\n    return {\"a\": n}\ncheck(f())":                                       `2:18`,
		"x = {\"a\": 1} | {\"b\": 13}\ncheck(x)":                                                  `1:22`,
		"x = {\"a\": 13} | {\"b\": 1}\ncheck(x)":                                                  `1:11`,
		"def f(a):\n    return {\"x\": g(a)}\ndef g(b):\n    return {\"y\": b}\ncheck(f(a = 13))": `5:13`,
		"load(\"@stdlib//x.star\", \"port\")\ny = port(\"a\",\n    number = 13)\ncheck(y)":        `3:14`,
		"load(\"@stdlib//x.star\", \"port\")\ny = port(\"a\", more = [{\"x\": 13}])\ncheck(y)":    `2:29`,
		"load(\"@stdlib//x.star\", \"wide\")\ny = wide(\"a\", 13)\ncheck(y)":                      `2:15`,
		"load(\"@stdlib//x.star\", \"wide\")\ny = wide(\"a\", 0)\ncheck(y)":                       `2:15`,
		"x = {}\nx[\"a\"] = 13\ncheck(x)":                                                         `1:5`,
		"x = {k: v for k, v in [(\"a\", 13)]}\ncheck(x)":                                          `1:9`,
	} {
		fsys := fstest.MapFS{"lab.star": {Data: []byte(script)}}
		_, err := host.Load(t.Context(), host.Config{FS: fsys, Stdlib: stdlib, Builtins: []*schema.Builtin{check}}, "lab.star")
		if err == nil || !strings.HasPrefix(err.Error(), "lab.star:"+want+": check: it: got 13") {
			t.Errorf("%s\ngot  %v\nwant it at %s", script, err, want)
		}
	}
}
