package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store/disk"
)

// params are those of the tests' ops.
type params struct {
	ID   string      `json:"id"`
	Text action.Late `json:"text,omitempty"`
	Fail bool        `json:"fail,omitempty"`
}

// ran counts how often ops ran.
var ran atomic.Int64

// concat writes its text and its inputs' contents.
var concat = &action.Op{Name: "test/concat", Version: 1, Run: func(ctx context.Context, env action.Env) error {
	ran.Add(1)
	var p params
	if err := env.Params(&p); err != nil {
		return err
	}
	if p.Fail {
		fmt.Fprintln(env.Log(), "about to fail")
		return errors.New("told to fail")
	}
	out := string(p.Text)
	for _, in := range env.Inputs() {
		b, err := env.OpenBlob(ctx, in.Digest)
		if err != nil {
			return err
		}
		content, err := io.ReadAll(b)
		b.Close()
		if err != nil {
			return err
		}
		out += string(content)
	}
	return env.WriteFile("out", []byte(out))
}}

// first keeps the first byte of its input: most changes end there.
var first = &action.Op{Name: "test/first", Version: 1, Run: func(ctx context.Context, env action.Env) error {
	ran.Add(1)
	b, err := env.OpenBlob(ctx, env.Inputs()[0].Digest)
	if err != nil {
		return err
	}
	defer b.Close()
	content, err := io.ReadAll(b)
	if err != nil {
		return err
	}
	return env.WriteFile("out", content[:1])
}}

func newEngine(t testing.TB, dir string, opts Options) *Engine {
	t.Helper()
	st, err := disk.Open(dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opts.Store = st
	if opts.Jobs == 0 {
		opts.Jobs = 4
	}
	e, err := New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(e.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	return e
}

func makeAction(t testing.TB, s *action.Scope, op *action.Op, p params, inputs ...*action.Artifact) *action.Artifact {
	t.Helper()
	spec := action.Spec{Op: op, Params: p, Title: p.ID, Outputs: []action.Output{{Name: "out", Kind: action.File}},
		Site: []action.Frame{{File: "lab.star", Line: 1, Col: 1}}}
	for i, in := range inputs {
		spec.Inputs = append(spec.Inputs, action.Input{Name: fmt.Sprint(i), Artifact: in})
	}
	a, err := s.Action(spec)
	if err != nil {
		t.Fatal(err)
	}
	return a.Output("out")
}

func source(s *action.Scope, name, content string) *action.Artifact {
	return s.Source(action.Source{Kind: action.File, Digest: action.Of([]byte(content)), Path: name,
		Open: func(action.Digest) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader(content)), nil }}, name, nil)
}

// build builds and returns the content of the first target, and how many ops ran.
func build(t testing.TB, e *Engine, targets ...*action.Artifact) (string, *Report, int64) {
	t.Helper()
	before := ran.Load()
	rep, err := e.Build(t.Context(), targets)
	if err != nil {
		t.Fatal(err)
	}
	content := ""
	if out, ok := rep.Output(targets[0]); ok {
		b, err := e.opts.Store.OpenBlob(t.Context(), out.Digest)
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		all, err := io.ReadAll(b)
		if err != nil {
			t.Fatal(err)
		}
		content = string(all)
	}
	return content, rep, ran.Load() - before
}

// diamond is: source -> a, b -> c, with c's text naming what a holds.
func diamond(t testing.TB, content string) *action.Artifact {
	s := action.NewScope()
	src := source(s, "x", content)
	a := makeAction(t, s, concat, params{ID: "a", Text: "A"}, src)
	b := makeAction(t, s, first, params{ID: "b"}, src)
	return makeAction(t, s, concat, params{ID: "c", Text: action.Late("<" + a.Token(action.Text) + ">")}, a, b, b)
}

func TestBuild(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t, dir, Options{})
	content, rep, n := build(t, e, diamond(t, "xyz"))
	if content != "<Axyz>Axyzxx" || n != 3 || rep.Ran != 3 || rep.Cached != 0 {
		t.Fatalf("got %q, %d runs, %+v", content, n, rep)
	}
	// The same script again, in the same process and in another.
	for range 2 {
		content, rep, n = build(t, e, diamond(t, "xyz"))
		if content != "<Axyz>Axyzxx" || n != 0 || rep.Ran != 0 || rep.Cached != 3 {
			t.Fatalf("again: got %q, %d runs, %+v", content, n, rep)
		}
		e = newEngine(t, dir, Options{})
	}
}

func TestEarlyCutoff(t *testing.T) {
	e := newEngine(t, t.TempDir(), Options{})
	chain := func(content string) *action.Artifact {
		s := action.NewScope()
		f := makeAction(t, s, first, params{ID: "first"}, source(s, "x", content))
		return makeAction(t, s, concat, params{ID: "long", Text: "long "}, f)
	}
	build(t, e, chain("abc"))
	content, rep, n := build(t, e, chain("axx"))
	if n != 1 || rep.Ran != 1 || rep.Cached != 1 || content != "long a" {
		t.Errorf("got %q, %d runs, %+v", content, n, rep)
	}
	if _, _, n := build(t, e, chain("axx")); n != 0 {
		t.Errorf("the cutoff was not remembered: %d runs", n)
	}
}

func TestFailure(t *testing.T) {
	for _, keepGoing := range []bool{false, true} {
		var events []EventKind
		e := newEngine(t, t.TempDir(), Options{KeepGoing: keepGoing, Jobs: 1, Events: func(ev Event) { events = append(events, ev.Kind) }})
		s := action.NewScope()
		bad := makeAction(t, s, concat, params{ID: "bad", Fail: true})
		after := makeAction(t, s, concat, params{ID: "after"}, bad)
		good := makeAction(t, s, concat, params{ID: "good", Text: "fine"})
		rep, err := e.Build(t.Context(), []*action.Artifact{after, good})
		if err != nil {
			t.Fatal(err)
		}
		var b *BuildError
		if rep.Failed != 1 || len(rep.Errors) != 1 || !errors.As(rep.Errors[0], &b) || b.LogTail[0] != "about to fail" {
			t.Fatalf("keepGoing %v: got %+v", keepGoing, rep)
		}
		if got := b.Error(); got != "lab.star:1:1: bad: told to fail" {
			t.Errorf("got %q", got)
		}
		if _, ok := rep.Output(good); keepGoing && !ok {
			t.Error("what did not depend on the failure was not built")
		}
		if rep.Failed+rep.Ran+rep.Skipped+rep.Cached != 3 {
			t.Errorf("counts don't add up: %+v", rep)
		}
	}
}

func TestCancel(t *testing.T) {
	e := newEngine(t, t.TempDir(), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	s := action.NewScope()
	wait := &action.Op{Name: "test/wait", Version: 1, Run: func(ctx context.Context, env action.Env) error {
		cancel()
		<-ctx.Done()
		return ctx.Err()
	}}
	a := makeAction(t, s, wait, params{ID: "wait"})
	if _, err := e.Build(ctx, []*action.Artifact{makeAction(t, s, concat, params{ID: "after"}, a)}); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

func TestPanicIsAnError(t *testing.T) {
	e := newEngine(t, t.TempDir(), Options{})
	op := &action.Op{Name: "test/panic", Version: 1, Run: func(context.Context, action.Env) error { panic("oops") }}
	rep, err := e.Build(t.Context(), []*action.Artifact{makeAction(t, action.NewScope(), op, params{ID: "p"})})
	if err != nil || rep.Failed != 1 || !strings.Contains(rep.Errors[0].Error(), "oops") {
		t.Errorf("got %+v, %v", rep, err)
	}
}

func TestChangedSource(t *testing.T) {
	e := newEngine(t, t.TempDir(), Options{})
	s := action.NewScope()
	src := s.Source(action.Source{Kind: action.File, Digest: action.Of([]byte("as seen")), Path: "x",
		Open: func(action.Digest) (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("as it is")), nil }}, "x", nil)
	rep, err := e.Build(t.Context(), []*action.Artifact{makeAction(t, s, concat, params{ID: "c"}, src)})
	if err != nil || rep.Failed != 1 || !strings.Contains(rep.Errors[0].Error(), "changed after the script was evaluated") {
		t.Errorf("got %+v, %v", rep, err)
	}
}

func TestPlan(t *testing.T) {
	e := newEngine(t, t.TempDir(), Options{})
	p, err := e.Plan(t.Context(), []*action.Artifact{diamond(t, "xyz")})
	if err != nil || len(p.Steps) != 3 || p.Cached != 0 || !p.Steps[0].Sure || p.Steps[2].Sure {
		t.Fatalf("got %+v, %v", p, err)
	}
	build(t, e, diamond(t, "xyz"))
	p, err = e.Plan(t.Context(), []*action.Artifact{diamond(t, "xyz")})
	if err != nil || len(p.Steps) != 0 || p.Cached != 3 {
		t.Fatalf("got %+v, %v", p, err)
	}
	if p, err = e.Plan(t.Context(), []*action.Artifact{diamond(t, "xother")}); err != nil || len(p.Steps) != 3 {
		t.Fatalf("got %+v, %v", p, err)
	}
}

func BenchmarkNoOp(b *testing.B) {
	for _, n := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			e := newEngine(b, b.TempDir(), Options{Jobs: 2})
			target := flat(b, n)
			if _, err := e.Build(b.Context(), []*action.Artifact{target}); err != nil {
				b.Fatal(err)
			}
			for b.Loop() {
				rep, err := e.Build(b.Context(), []*action.Artifact{flat(b, n)})
				if err != nil || rep.Ran != 0 {
					b.Fatal(rep, err)
				}
			}
		})
	}
}

// flat is a graph of n actions of three levels, like a program's objects,
// libraries and the link.
func flat(t testing.TB, n int) *action.Artifact {
	s := action.NewScope()
	src := source(s, "x.c", "x")
	var libs, objects []*action.Artifact
	for i := range n - n/100 - 1 {
		objects = append(objects, makeAction(t, s, concat, params{ID: fmt.Sprint(i)}, src))
		if len(objects) == 99 {
			libs = append(libs, makeAction(t, s, concat, params{ID: fmt.Sprint("lib", i)}, objects...))
			objects = nil
		}
	}
	return makeAction(t, s, concat, params{ID: "all"}, append(libs, objects...)...)
}
