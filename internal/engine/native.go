package engine

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"sync"

	"github.com/labstar/labstar/action"
)

// runNative runs a Go function as an action.
func (e *Engine) runNative(ctx context.Context, r *action.Resolved, key action.Digest, slot int) (res *action.Result, err error) {
	env := &nativeEnv{engine: e, ctx: ctx, resolved: r, slot: slot, outputs: map[string]action.Digest{}}
	defer env.cleanUp()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("internal error in %s: %v\n%s", r.Action.Op.Name, p, debug.Stack())
		}
	}()
	if err := r.Action.Op.Run(ctx, env); err != nil {
		describeInputs(r.Action, err)
		if ctx.Err() != nil {
			return nil, err
		}
		b := &BuildError{Action: r.Action, Site: r.Action.Site, Err: err, LogTail: env.tail()}
		b.point(ctx)
		return nil, b
	}
	res = &action.Result{}
	for _, o := range r.Action.Outputs {
		d, ok := env.outputs[o.Name]
		if !ok {
			return nil, fmt.Errorf("internal error: %s left no output %q", r.Action.Op.Name, o.Name)
		}
		res.Outputs = append(res.Outputs, action.OutputDigest{Name: o.Name, Kind: o.Kind, Digest: d})
	}
	if f := r.Action.Fixed; f != [32]byte{} && res.Outputs[0].Digest.Hash != f {
		return nil, fmt.Errorf("internal error: %s gave %s, want sha256:%x", r.Action.Op.Name, res.Outputs[0].Digest, f)
	}
	return res, nil
}

// describeInputs names the inputs that an error is about.
func describeInputs(a *action.Action, err error) {
	var e *action.InputsError
	if !errors.As(err, &e) {
		return
	}
	e.Describe(func(name string) string {
		for _, in := range a.Inputs {
			if in.Name == name {
				return in.Artifact.Describe()
			}
		}
		return name
	})
}

// nativeEnv is the action.Env of one run.
type nativeEnv struct {
	engine   *Engine
	ctx      context.Context
	resolved *action.Resolved
	slot     int

	mu       sync.Mutex
	outputs  map[string]action.Digest
	log      bytes.Buffer
	tempDirs []string
	open     []aborter
}

type aborter interface{ Abort() }

func (v *nativeEnv) Params(into any) error {
	if err := json.Unmarshal([]byte(v.resolved.Params), into); err != nil {
		return fmt.Errorf("decoding parameters: %w", err)
	}
	return nil
}

func (v *nativeEnv) Input(name string) action.OutputDigest {
	for _, in := range v.resolved.Inputs {
		if in.Name == name {
			return in
		}
	}
	panic(fmt.Sprintf("no input %q", name))
}

func (v *nativeEnv) Inputs() []action.OutputDigest { return v.resolved.Inputs }

func (v *nativeEnv) OpenBlob(ctx context.Context, d action.Digest) (action.Blob, error) {
	return v.engine.opts.Store.OpenBlob(ctx, d)
}

func (v *nativeEnv) Directory(ctx context.Context, d action.Digest) (*action.Directory, error) {
	return v.engine.opts.Store.Directory(ctx, d)
}

// set records an output, holding it to its declaration.
func (v *nativeEnv) set(name string, k action.OutputKind, d action.Digest) error {
	v.check(name, k)
	v.mu.Lock()
	defer v.mu.Unlock()
	v.outputs[name] = d
	return nil
}

func (v *nativeEnv) check(name string, k action.OutputKind) {
	for _, o := range v.resolved.Action.Outputs {
		if o.Name == name && o.Kind == k {
			return
		}
	}
	panic(fmt.Sprintf("no output %q of kind %s", name, k))
}

func (v *nativeEnv) WriteFile(name string, b []byte) error {
	d, err := v.PutBlob(b)
	if err != nil {
		return err
	}
	return v.set(name, action.File, d)
}

func (v *nativeEnv) CreateFile(name string) (action.BlobWriter, error) {
	v.check(name, action.File)
	w, err := v.engine.opts.Store.CreateBlob(v.ctx)
	if err != nil {
		return nil, err
	}
	v.keep(w)
	return &outputBlob{BlobWriter: w, env: v, name: name}, nil
}

type outputBlob struct {
	action.BlobWriter
	env  *nativeEnv
	name string
}

func (b *outputBlob) Commit() (action.Digest, error) {
	d, err := b.BlobWriter.Commit()
	if err == nil {
		err = b.env.set(b.name, action.File, d)
	}
	return d, err
}

func (v *nativeEnv) SetFile(name string, d action.Digest) error {
	if !v.engine.opts.Store.Has(d) {
		return fmt.Errorf("output %q: %s is not in the store", name, d)
	}
	return v.set(name, action.File, d)
}

func (v *nativeEnv) PutBlob(b []byte) (action.Digest, error) {
	return v.engine.opts.Store.PutBlob(v.ctx, b)
}

func (v *nativeEnv) PutDirectory(d *action.Directory) (action.Digest, error) {
	return v.engine.opts.Store.PutDirectory(v.ctx, d)
}

func (v *nativeEnv) SetTree(name string, root action.Digest) error {
	if !v.engine.opts.Store.HasTree(root) {
		return fmt.Errorf("output %q: tree %s is not in the store", name, root)
	}
	return v.set(name, action.Tree, root)
}

func (v *nativeEnv) CreateTree(name string) (action.TreeWriter, error) {
	v.check(name, action.Tree)
	w, err := v.engine.opts.Store.CreateTree(v.ctx)
	if err != nil {
		return nil, err
	}
	v.keep(w)
	return &outputTree{TreeWriter: w, env: v, name: name}, nil
}

type outputTree struct {
	action.TreeWriter
	env  *nativeEnv
	name string
}

func (t *outputTree) Commit() (action.Digest, error) {
	d, err := t.TreeWriter.Commit()
	if err == nil {
		err = t.env.set(t.name, action.Tree, d)
	}
	return d, err
}

func (v *nativeEnv) keep(a aborter) {
	v.mu.Lock()
	defer v.mu.Unlock()
	v.open = append(v.open, a)
}

func (v *nativeEnv) Log() io.Writer { return (*nativeLog)(v) }

type nativeLog nativeEnv

// maxNativeLog keeps a chatty op from filling the memory.
const maxNativeLog = 1 << 20

func (l *nativeLog) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.log.Len() < maxNativeLog {
		l.log.Write(p)
	}
	return len(p), nil
}

func (v *nativeEnv) tail() []string { return lastLines(v.log.Bytes(), tailLines) }

func (v *nativeEnv) Progress(done, total int64) {
	v.engine.emit(Event{Kind: EventProgress, Action: v.resolved.Action, Slot: v.slot, Done: done, Size: total})
}

func (v *nativeEnv) Config(key string) string { return v.engine.opts.Config(key) }

func (v *nativeEnv) Secret(name string) (string, error) {
	if !slices.Contains(v.resolved.Action.Secrets, name) {
		panic(fmt.Sprintf("secret %q is not declared", name))
	}
	return v.engine.secret(name)
}

// secret returns the value of a secret.
func (e *Engine) secret(name string) (string, error) {
	if e.opts.Secret == nil {
		return "", fmt.Errorf("secret %q is not given: this program gives none", name)
	}
	value, err := e.opts.Secret(name)
	if err == nil && value == "" {
		err = fmt.Errorf("secret %q is empty", name)
	}
	return value, err
}

func (v *nativeEnv) TempDir() (string, error) {
	dir, err := v.engine.opts.Store.Scratch(v.ctx)
	if err == nil {
		v.mu.Lock()
		v.tempDirs = append(v.tempDirs, dir)
		v.mu.Unlock()
	}
	return dir, err
}

func (v *nativeEnv) cleanUp() {
	for _, a := range v.open {
		a.Abort()
	}
	for _, dir := range v.tempDirs {
		_ = os.RemoveAll(dir) // the store removes what is left of it later
	}
}

// tailLines is how much of a log is shown when an action fails.
const tailLines = 20

// lastLines returns the last n lines of b.
func lastLines(b []byte, n int) []string {
	b = bytes.TrimRight(b, "\n")
	if len(b) == 0 {
		return nil
	}
	lines := bytes.Split(b, []byte("\n"))
	var out []string
	for _, l := range lines[max(0, len(lines)-n):] {
		out = append(out, string(bytes.ToValidUTF8(bytes.TrimRight(l, "\r"), []byte("\uFFFD"))))
	}
	return out
}
