// Package buildtest is for the tests of builtins: it evaluates a piece of a
// script with given builtins and builds what comes out with the real engine and
// store, in a folder of the test.
//
//	lab := buildtest.New(t)
//	globals := lab.Eval(rootfs.Builtins(), `root = rootfs([t])`, starlark.StringDict{
//		"t": lab.Tree(map[string]buildtest.Node{"bin/sh": {Text: "#!…", Mode: 0o755}}),
//	})
//	out := lab.Build(globals["root"])
package buildtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"sort"
	"strings"
	"testing"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/engine"
	"github.com/labstar/labstar/internal/store/disk"
	"github.com/labstar/labstar/starlark/schema"
)

// Lab is one evaluation with a store and an engine of its own.
type Lab struct {
	t       testing.TB
	session *schema.Session
	content map[action.Digest][]byte // of source trees
	dir     string                   // of the store
	Store   *disk.Store
	Engine  *engine.Engine
	Secrets map[string]string // values, by name
}

// New returns a Lab that ends with the test. config, if given, has the settings
// of the machine for ops that use the network.
func New(t testing.TB, config ...func(key string) string) *Lab {
	t.Helper()
	l := &Lab{t: t, content: map[action.Digest][]byte{}}
	l.dir = t.TempDir()
	st, err := disk.Open(l.dir, disk.Options{})
	if err != nil {
		t.Fatal(err)
	}
	opts := engine.Options{Store: st, Jobs: 2}
	if len(config) > 0 {
		opts.Config = config[0]
	}
	opts.Secret = func(name string) (string, error) {
		if v, ok := l.Secrets[name]; ok {
			return v, nil
		}
		return "", fmt.Errorf("secret %q is not given", name)
	}
	e, err := engine.New(opts)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(e.Close(), st.Close()); err != nil {
			t.Error(err)
		}
	})
	l.session = &schema.Session{Context: context.Background(), Scope: action.NewScope()}
	l.Store, l.Engine = st, e
	return l
}

// Dir is the folder of the store.
func (l *Lab) Dir() string { return l.dir }

// SetPins gives the evaluation a lock.
func (l *Lab) SetPins(p schema.Pins) { l.session.Pins = p }

// Scope returns the evaluation's scope.
func (l *Lab) Scope() *action.Scope { return l.session.Scope }

// Session returns what the builtins see of the evaluation, for a test to add
// Pins or Files.
func (l *Lab) Session() *schema.Session { return l.session }

// Eval runs a script and returns its globals; a failure ends the test.
func (l *Lab) Eval(builtins []*schema.Builtin, script string, more starlark.StringDict) starlark.StringDict {
	l.t.Helper()
	globals, err := l.TryEval(builtins, script, more)
	if err != nil {
		l.t.Fatalf("%v", err)
	}
	return globals
}

// TryEval is Eval for scripts that may fail.
func (l *Lab) TryEval(builtins []*schema.Builtin, script string, more starlark.StringDict) (starlark.StringDict, error) {
	predeclared := starlark.StringDict{}
	for _, b := range builtins {
		predeclared[b.Name()] = b
	}
	for name, v := range more {
		predeclared[name] = v
	}
	thread := &starlark.Thread{Name: "test"}
	l.session.Attach(thread)
	return starlark.ExecFileOptions(&syntax.FileOptions{}, thread, "lab.star", script, predeclared)
}

// Node is a file of a source tree; one with a Target is a symlink, one whose
// path ends in "/" a folder.
type Node struct {
	Text     string
	Target   string
	Mode     uint32 // 0: the default of its kind
	UID, GID uint32
	Xattrs   []action.Xattr
}

// File makes a source file.
func (l *Lab) File(text string) *schema.Artifact {
	src := action.Source{Kind: action.File, Digest: l.keep([]byte(text)), Path: "test file", Open: l.open}
	return schema.NewArtifact(l.session.Scope.Source(src, "test file", nil), "file", nil)
}

// Tree makes a source tree.
func (l *Lab) Tree(nodes map[string]Node) *schema.Artifact {
	l.t.Helper()
	ctx := context.Background()
	e := action.NewEdit(l.Store, action.Digest{})
	paths := make([]string, 0, len(nodes))
	for p := range nodes {
		paths = append(paths, p)
	}
	sort.Strings(paths)
	for _, p := range paths {
		n := nodes[p]
		var err error
		attr := action.Attr{Mode: n.Mode, UID: n.UID, GID: n.GID, Xattrs: n.Xattrs}
		switch {
		case strings.HasSuffix(p, "/"):
			if err = e.Mkdir(ctx, p); err == nil && n.Mode != 0 {
				err = e.SetAttr(ctx, p, func(_ action.Kind, a *action.Attr) { *a = attr })
			}
		case n.Target != "":
			err = e.Put(ctx, p, action.Node{Kind: action.Symlink, Target: n.Target, Attr: action.Attr{Mode: action.ModeSymlink}}, action.Refuse)
		default:
			if attr.Mode == 0 {
				attr.Mode = action.ModeFile
			}
			err = e.Put(ctx, p, action.Node{Kind: action.Regular, Digest: l.keep([]byte(n.Text)), Attr: attr}, action.Refuse)
		}
		if err != nil {
			l.t.Fatal(err)
		}
	}
	root, err := e.Finish(ctx, func(d *action.Directory) (action.Digest, error) { return l.keep(d.Encode()), nil })
	if err != nil {
		l.t.Fatal(err)
	}
	src := action.Source{Kind: action.Tree, Digest: root, Path: "test tree", Open: l.open}
	return schema.NewArtifact(l.session.Scope.Source(src, "test tree", nil), "tree", nil)
}

func (l *Lab) keep(b []byte) action.Digest {
	d := action.Of(b)
	l.content[d] = b
	return d
}

func (l *Lab) open(d action.Digest) (io.ReadCloser, error) {
	b, ok := l.content[d]
	if !ok {
		return nil, fmt.Errorf("content %s: %w", d, fs.ErrNotExist)
	}
	return io.NopCloser(bytes.NewReader(b)), nil
}

// Build builds an artifact and returns its digest; a failure ends the test.
func (l *Lab) Build(v starlark.Value) action.Digest {
	l.t.Helper()
	d, err := l.TryBuild(v)
	if err != nil {
		l.t.Fatal(err)
	}
	return d
}

// TryBuild is Build for what may fail.
func (l *Lab) TryBuild(v starlark.Value) (action.Digest, error) {
	a, ok := v.(*schema.Artifact)
	if !ok {
		return action.Digest{}, fmt.Errorf("got %s, want an artifact", v.Type())
	}
	rep, err := l.Engine.Build(context.Background(), []*action.Artifact{a.Artifact})
	if err != nil {
		return action.Digest{}, err
	}
	out, ok := rep.Output(a.Artifact)
	if !ok {
		return action.Digest{}, errors.Join(append([]error{errors.New("not built")}, rep.Errors...)...)
	}
	return out.Digest, nil
}

// Text builds a file and returns what is in it.
func (l *Lab) Text(v starlark.Value) string {
	l.t.Helper()
	return string(l.Blob(l.Build(v)))
}

// Blob returns content of the store.
func (l *Lab) Blob(d action.Digest) []byte {
	l.t.Helper()
	b, err := l.Store.OpenBlob(context.Background(), d)
	if err != nil {
		l.t.Fatal(err)
	}
	defer b.Close()
	content, err := io.ReadAll(b)
	if err != nil {
		l.t.Fatal(err)
	}
	return content
}

// List describes every node of a tree, a line each: "bin/sh file 755 0:0 12"
// with a file's size, a symlink's target, a device's number.
func (l *Lab) List(root action.Digest) []string {
	l.t.Helper()
	var lines []string
	err := action.NewEdit(l.Store, root).Walk(context.Background(), func(p string, n action.Node) error {
		what := ""
		switch n.Kind {
		case action.Regular:
			what = fmt.Sprint(" ", n.Digest.Size)
		case action.Symlink:
			what = " -> " + n.Target
		case action.Char, action.Block:
			what = fmt.Sprintf(" %d,%d", n.Major, n.Minor)
		}
		lines = append(lines, fmt.Sprintf("%s %s %o %d:%d%s", p, n.Kind, n.Attr.Mode, n.Attr.UID, n.Attr.GID, what))
		return nil
	})
	if err != nil {
		l.t.Fatal(err)
	}
	return lines
}
