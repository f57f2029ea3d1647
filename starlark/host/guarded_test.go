package host

import (
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"
)

// The short way of format % y must say what the interpreter says, or nothing.
func TestFormatAgrees(t *testing.T) {
	max := sizesFor(1 << 30)
	str, num := starlark.String("a%db"), starlark.MakeInt(-42)
	huge := starlark.MakeInt(1).Lsh(100)
	values := []starlark.Value{
		str, num, huge, starlark.None, starlark.Float(1.5), starlark.Tuple{}, starlark.Tuple{str, num},
		starlark.Tuple{num, str}, starlark.Tuple{num, num, num}, starlark.NewList([]starlark.Value{num}), starlark.NewDict(0),
	}
	taken := 0
	for _, format := range []string{"", "x", "%", "%%", "%s", "%d", "x%sy", "x%dy", "%s/%d", "%d/%s", "%d%d%d", "%r", "%x", "%(a)s", "%5d", "é%sé", "%s%"} {
		for _, v := range values {
			got, ok := max.format(format, v)
			if !ok {
				continue
			}
			taken++
			if want, err := starlark.Binary(syntax.PERCENT, starlark.String(format), v); err != nil || got != string(want.(starlark.String)) {
				t.Errorf("%q %% %v: got %q, want %v (%v)", format, v, got, want, err)
			}
		}
	}
	if taken < 8 {
		t.Errorf("the short way was taken %d times only", taken)
	}
	if _, ok := (&sizes{bytes: 10}).format("%s%s", starlark.Tuple{starlark.String("123456"), starlark.String("123456")}); ok {
		t.Error("got a text of 12 bytes, want none above 10")
	}
}
