package disk

import (
	"fmt"
	"math"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Words that stand for a size.
const (
	fit  = "fit"  // what the content needs
	rest = "rest" // what the other partitions leave
)

// parseSize reads a number of bytes: an int, or a string such as "64M", "1.5G".
// The suffixes K, M, G and T are powers of 1024.
func parseSize(v starlark.Value) (int64, error) {
	if i, ok := v.(starlark.Int); ok {
		if n, ok := i.Int64(); ok && n > 0 {
			return n, nil
		}
		return 0, fmt.Errorf("got %s, want a positive number of bytes", v)
	}
	s, ok := starlark.AsString(v)
	if !ok {
		return 0, fmt.Errorf("got %s, want bytes as an int, or a string such as \"64M\"", v.Type())
	}
	digits := strings.TrimSuffix(strings.TrimSuffix(s, "B"), "i")
	factor := 1.0
	if digits != "" {
		if i := strings.IndexByte("KMGT", digits[len(digits)-1]); i >= 0 {
			factor = math.Pow(1024, float64(i+1))
			digits = digits[:len(digits)-1]
		}
	}
	n, err := strconv.ParseFloat(digits, 64)
	if err != nil || n <= 0 || n*factor >= 1<<62 {
		return 0, fmt.Errorf("got %q, want a size such as \"64M\", \"1.5G\" or a number of bytes", s)
	}
	return int64(n * factor), nil
}

// fsSize reads the argument size of a file system: "" if it is to fit, else the
// bytes, or a token that stands for them.
func fsSize(c *schema.Call, v starlark.Value) (action.Late, error) {
	if s, ok := starlark.AsString(v); ok {
		if s == fit {
			return "", nil
		}
		if strings.HasPrefix(s, "@labstar.") {
			return action.Late(s), nil
		}
	}
	n, err := parseSize(v)
	if err != nil {
		return "", c.ArgErrorf("size", "%w", err)
	}
	return action.Late(strconv.FormatInt(n, 10)), nil
}

// freeSize reads the argument free: bytes, or a share of the content in percent.
func freeSize(c *schema.Call, v starlark.Value) (bytes, percent int64, err error) {
	if s, ok := starlark.AsString(v); ok && strings.HasSuffix(s, "%") {
		n, err := strconv.ParseInt(strings.TrimSuffix(s, "%"), 10, 32)
		if err != nil || n < 0 {
			return 0, 0, c.ArgErrorf("free", "got %q, want a share such as \"10%%\"", s)
		}
		return 0, n, nil
	}
	if v == starlark.MakeInt(0) || v == starlark.String("0") {
		return 0, 0, nil
	}
	n, err := parseSize(v)
	if err != nil {
		return 0, 0, c.ArgErrorf("free", "%w, or a share such as \"10%%\"", err)
	}
	return n, 0, nil
}

// lateBytes reads a size that was filled in.
func lateBytes(s action.Late) (int64, error) {
	if s == "" {
		return 0, nil
	}
	n, err := strconv.ParseInt(string(s), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("got the size %q, want a number of bytes", s)
	}
	return n, nil
}

// people writes a size for people.
func people(n int64) string {
	switch {
	case n >= 10<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	}
	return fmt.Sprintf("%d bytes", n)
}
