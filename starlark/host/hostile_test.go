package host_test

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/starlark/host"
)

// hostile are scripts that try to take all time, memory or stack. Each must end
// with an error that matches, at the line given; 0 is for those that end
// wherever in the loop they are when the limit is seen.
var hostile = []struct {
	name, src string
	line      int
	want      string
}{
	{"loops", "def f():\n  for a in range(1000000):\n    for b in range(1000000):\n      pass\nf()", 0, "steps"},
	{"huge range", "for a in range(1<<40):\n  pass", 1, "range of"},
	{"list of a range", "x = 1\ny = list(range(1<<31))", 2, "range of"},
	{"long string", "x = 'a' * (1<<30)", 1, "too large"},
	{"long string by name", "n = 1<<29\ns = 'abc'\nx = s * n", 3, "too large"},
	{"long list", "x = [0] * (1<<28)", 1, "too large"},
	{"long list turned round", "n = 1<<28\nx = n * [0]", 2, "too large"},
	{"long tuple", "n = 1<<28\nx = (0, 1)\nx *= n", 3, "too large"},
	{"in a dict", "d = {'a': 'x'}\nn = 1<<30\nd['a'] *= n", 3, "too large"},
	{"string doubling", "s = 'ab'\nfor i in range(100):\n  s += s", 3, "too large"},
	{"string concatenation", "s = 'ab'\nfor i in range(100):\n  s = s + s", 3, "too large"},
	{"many long strings", "s = 'a' * 1000000\nl = []\nfor i in range(100000):\n  l.append(s + str(i))", 0, "memory"},
	{"list doubling", "s = ['ab']\nfor i in range(100):\n  s += s", 0, "memory"},
	{"list doubling by extend", "s = ['ab']\nfor i in range(100):\n  s.extend(s)", 0, "memory"},
	{"list concatenation", "s = ['ab']\nfor i in range(100):\n  s = s + s", 3, "too large"},
	{"growing list", "s = []\nfor i in range(1500000):\n  s.append([i, [i], {}])", 0, "memory"},
	{"growing dict", "s = {}\nfor i in range(1500000):\n  s[i] = [i, [i], [i]]", 0, "memory"},
	{"int squares", "x = 10\nfor i in range(100):\n  x = x * x", 3, "bits"},
	{"int squares in place", "x = 10\nfor i in range(100):\n  x *= x", 3, "bits"},
	{"join", "s = 'a' * 1000000\nx = s.join(['b'] * 1000000)", 2, "join: the result is larger"},
	{"join of long ones", "s = 'a' * 1000000\nj = ','.join\nx = j([s] * 1000000)", 3, "join: the result is larger"},
	{"join by getattr", "s = 'a' * 1000000\nx = getattr(',', 'join')([s] * 1000000)", 2, "join: the result is larger"},
	{"replace", "s = 'a' * 1000000\nx = s.replace('a', s)", 2, "replace: the result is too large"},
	{"format", "s = 'a' * 1000000\nx = ('{0}' * 1000).format(s)", 2, "too large"},
	{"percent", "s = 'a' * 1000000\nx = '%s' % ([s] * 100000)", 2, "too large"},
	{"percent many", "s = 'a' * 1000000\nx = ('%s' * 1000) % tuple([s] * 1000)", 2, "too large"},
	{"percent in place", "s = 'a' * 1000000\nx = '%s'\nx %= ([s] * 100000)", 3, "too large"},
	{"str of shared", "l = ['a']\nfor i in range(60):\n  l = [l, l]\nx = str(l)", 4, "too large"},
	{"print of shared", "l = ['a']\nfor i in range(60):\n  l = [l, l]\nprint(l)", 4, "too large"},
	{"fail of shared", "l = ['a']\nfor i in range(60):\n  l = [l, l]\nfail(l)", 4, "too large"},
	{"str of deep", "l = []\nfor i in range(1000000):\n  l = [l]\nx = str(l)", 4, "nested more than"},
	{"deep list left", "l = []\nfor i in range(1000000):\n  l = [l]", 1, "nested more than"},
	{"deep tuple left", "l = ()\nfor i in range(1000000):\n  l = (l,)", 1, "nested more than"},
	{"shared tuples left", "l = ()\nfor i in range(60):\n  l = (l, l)", 1, "too often"},
	{"deep closure left", "def wrap(f):\n  def g():\n    return f\n  return g\nf = None\nfor i in range(1000000):\n  f = wrap(f)", 5, "nested more than"},
	{"function inside itself", "def f():\n  def g():\n    return g\n  return g\nx = f()", 5, "nested more than"},
	{"deep key", "l = ()\ndef deep():\n  l = ()\n  for i in range(1500000):\n    l = (l,)\n  return l\nd = {deep(): 1}", 0, ""},
	{"split", "s = 'a,' * 3000000\nx = s.split(',')", 2, "too large"},
	{"elems", "s = 'a,' * 3000000\nx = list(s.elems())", 2, "too large"},
	{"zip", "l = [0] * 1000000\nx = list(zip(*([l] * 100)))", 2, "zip: got more than"},
	{"digits", "x = int('9' * 1000000)", 1, "int: got a number of 1000000 digits"},
	{"recursion", "def f():\n  g()\ndef g():\n  f()\nf()", 2, "recursively"},
	{"brackets", "x = 1\ny = " + strings.Repeat("[", 100000) + strings.Repeat("]", 100000), 2, "nested more than"},
	{"parens", strings.Repeat("(", 1000000), 1, "nested more than"},
	{"unary", "x = " + strings.Repeat("-", 1000000) + "1", 1, "expression of more than"},
	{"nots", "x = " + strings.Repeat("not ", 1000000) + "1", 1, "expression of more than"},
	{"sum", "x = 1" + strings.Repeat("+1", 1000000), 1, "expression of more than"},
	{"lambdas", "x = " + strings.Repeat("lambda:", 1000000) + "1", 1, "expression of more than"},
	{"conditions", "x = " + strings.Repeat("1 if 1 else ", 1000000) + "1", 1, "expression of more than"},
	{"calls", "x = f" + strings.Repeat("()", 1000000), 1, "expression of more than"},
	{"continued line", "x = 1" + strings.Repeat("+\\\n1", 100000), 0, "expression of more than"},
	{"elifs", "if 0: pass\n" + strings.Repeat("elif 0: pass\n", 1000000), 0, "more than 5000 elif"},
	{"NUL", "x = 1\x00", 1, "NUL"},
	{"not closed", "x = '''abc", 0, ""},
	{"waiting builtin", "x = 1\nwait()", 2, "longer than"},
}

func hostileLimits() host.Limits {
	return host.Limits{Steps: 30_000_000, Time: 30 * time.Second, Memory: 128 << 20}
}

func TestHostile(t *testing.T) {
	for _, h := range hostile {
		t.Run(h.name, func(t *testing.T) {
			debug.FreeOSMemory()
			cfg := config(map[string]string{"lab.star": h.src})
			cfg.Limits = hostileLimits()
			if h.name == "waiting builtin" {
				cfg.Limits.Time = 200 * time.Millisecond
			}
			start := time.Now()
			mod, err := host.Load(t.Context(), cfg, "lab.star")
			took := time.Since(start)
			var ms runtime.MemStats
			runtime.ReadMemStats(&ms)
			t.Logf("%v, heap %d MB: %.200v", took.Round(time.Millisecond), ms.HeapAlloc>>20, err)
			if took > 40*time.Second {
				t.Errorf("it took %v", took)
			}
			if err == nil {
				t.Fatalf("got no error and %d globals, want one that has %q", len(mod.Globals), h.want)
			}
			var es host.Errors
			if !errors.As(err, &es) {
				t.Fatalf("got %T %v, want host.Errors", err, err)
			}
			if !strings.Contains(es[0].Msg, h.want) {
				t.Errorf("got %q, want %q in it", es[0].Msg, h.want)
			}
			if es[0].Line == 0 {
				t.Error("got no line")
			}
			if h.line > 0 && es[0].Line != h.line {
				t.Errorf("got line %d, want %d", es[0].Line, h.line)
			}
			if len(err.Error()) > 4000 {
				t.Errorf("the error is %d bytes long", len(err.Error()))
			}
		})
	}
}

// A step that can't be interrupted is given up. This one ends by itself after
// some seconds, so that it does not take a core from the other tests.
func TestStuck(t *testing.T) {
	defer host.SetGrace(100 * time.Millisecond)()
	cfg := config(map[string]string{"lab.star": "t = ()\nfor i in range(28):\n  t = (t, t)\nd = {t: 1}\n"})
	cfg.Limits = host.Limits{Time: 100 * time.Millisecond}
	start := time.Now()
	_, err := host.Load(t.Context(), cfg, "lab.star")
	if err == nil || !strings.Contains(err.Error(), "can't be interrupted") {
		t.Fatalf("got %v, want that it can't be interrupted", err)
	}
	if took := time.Since(start); took > 2*time.Second {
		t.Errorf("it took %v", took)
	}
	var es host.Errors
	if errors.As(err, &es) && es[0].Line != 4 && !raceEnabled {
		t.Errorf("got line %d, want 4", es[0].Line)
	}
}

func TestCancel(t *testing.T) {
	for name, src := range map[string]string{
		"script":  "for a in range(1000000):\n  for b in range(1000000):\n    c = a + b\n",
		"builtin": "wait()",
	} {
		t.Run(name, func(t *testing.T) {
			why := errors.New("the window was closed")
			ctx, cancel := context.WithCancelCause(t.Context())
			time.AfterFunc(50*time.Millisecond, func() { cancel(why) })
			cfg := config(map[string]string{"lab.star": src})
			cfg.Limits = host.Limits{Steps: 1 << 40}
			start := time.Now()
			_, err := host.Load(ctx, cfg, "lab.star")
			var es host.Errors
			if !errors.As(err, &es) || !strings.Contains(es[0].Msg, "cancelled") || es[0].Line == 0 {
				t.Fatalf("got %v, want that it was cancelled, with a line", err)
			}
			if !errors.Is(err, context.Canceled) || !errors.Is(err, why) {
				t.Errorf("got %#v, want that it wraps context.Canceled and its cause", es[0].Err)
			}
			if took := time.Since(start); took > time.Second {
				t.Errorf("it took %v", took)
			}
		})
	}
}

// What is large but not too large is no error.
func TestWithinLimits(t *testing.T) {
	mod, err := load(t, `
s = "ab" * 1000000
l = list(range(1000000))
x = ",".join([str(i) for i in l])
y = "%s and %d %%" % (l[:1000], 3)
n = 1 << 400
n *= n
m = 7 % 4 * -3
d = {(i, str(i)): [i] for i in range(100000)}
z = "{} {}".format("a", [1]) + "a b".split()[1] + "x".replace("x", "yy")
p = [1, 2] * 3 + 2 * [4]
q = list(zip([1], "a".elems()))
def f(k = {"a": [1]}):
    return lambda: k
g = f()
`)
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.TrimSpace(fmt.Sprintln(mod.Global("m"), mod.Global("z"), mod.Global("p"), mod.Global("q"))); got != `-9 "a [1]byy" [1, 2, 1, 2, 1, 2, 4, 4] [(1, "a")]` {
		t.Errorf("got %s", got)
	}
}
