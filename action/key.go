package action

import (
	"context"
	"fmt"
	"sort"
	"strconv"
	"strings"
)

// Resolved is an action whose inputs are all built: what its key covers, and
// what runs it.
type Resolved struct {
	Action  *Action
	Inputs  []OutputDigest // of the declared inputs, under their names
	Params  string         // with every token filled in
	Command *Command       // of an exec action: Params decoded
	Mounted []PathInput    // of an exec action: what path tokens laid in the sandbox
}

// PathInput is an artifact that a path token laid at Path in the sandbox.
type PathInput struct {
	Path   string
	Kind   OutputKind
	Digest Digest
}

// Key computes the digest of the action's REAPI Action message, storing no
// blobs: put receives the messages that it names (the Command and the input
// root's directories).
func (r *Resolved) Key(ctx context.Context, src Content, put func([]byte) (Digest, error)) (Digest, error) {
	var command wire
	root := Digest{}
	var err error
	if r.Command != nil {
		r.Command.encode(&command)
		root, err = r.inputRoot(ctx, src, put)
	} else {
		for _, arg := range []string{"labstar-native", r.Action.Op.Name, strconv.Itoa(r.Action.Op.Version), r.Params} {
			command.repeated(1, arg)
		}
		outputs := make([]string, len(r.Action.Outputs))
		for i, o := range r.Action.Outputs {
			outputs[i] = o.Name
		}
		sort.Strings(outputs)
		for _, o := range outputs {
			command.repeated(7, o)
		}
		root, err = r.nativeRoot(put)
	}
	if err != nil {
		return Digest{}, fmt.Errorf("composing the inputs of %s: %w", r.Action.Title, err)
	}
	commandDigest, err := put(command.b)
	if err != nil {
		return Digest{}, err
	}
	var w wire
	w.digest(1, commandDigest)
	w.digest(2, root)
	if r.Command != nil && r.Command.Timeout > 0 {
		w.msg(6, func(m *wire) { m.varint(1, uint64(r.Command.Timeout)) })
	}
	w.str(9, "labstar "+strconv.Itoa(FormatVersion))
	return Of(w.b), nil
}

// encode writes the REAPI Command message.
func (c *Command) encode(w *wire) {
	for _, a := range c.Argv {
		w.repeated(1, a)
	}
	for _, k := range sortedKeys(c.Env) {
		w.msg(2, func(m *wire) { m.str(1, k); m.str(2, c.Env[k]) })
	}
	w.msg(5, func(m *wire) {
		m.msg(1, func(p *wire) { p.str(1, "OSFamily"); p.str(2, "linux") })
	})
	w.str(6, strings.TrimPrefix(c.WorkDir(), "/"))
	outputs := make([]string, len(c.Outputs), len(c.Outputs)+1)
	for i, o := range c.Outputs {
		outputs[i] = strings.TrimPrefix(BuildDir, "/") + "/" + o
	}
	if c.Reason != "" { // so that a worker sends it
		outputs = append(outputs, strings.TrimPrefix(BuildDir, "/")+"/"+c.Reason)
	}
	sort.Strings(outputs)
	for _, o := range outputs {
		w.repeated(7, o)
	}
}

// WorkDir is the folder in which the command starts.
func (c *Command) WorkDir() string {
	if c.Dir == "" {
		return BuildDir
	}
	return c.Dir
}

// inputRoot composes everything that an exec action sees into one tree.
func (r *Resolved) inputRoot(ctx context.Context, src Content, put func([]byte) (Digest, error)) (Digest, error) {
	byName := map[string]OutputDigest{}
	for _, in := range r.Inputs {
		byName[in.Name] = in
	}
	e := NewEdit(src, Digest{})
	for _, name := range r.Command.Root {
		if err := e.Merge(ctx, "", byName[name].Digest, Replace); err != nil {
			return Digest{}, err
		}
	}
	for _, m := range r.Command.Mounts {
		in := byName[m.Input]
		if err := e.lay(ctx, PathInput{Path: m.Path, Kind: in.Kind, Digest: in.Digest}); err != nil {
			return Digest{}, err
		}
	}
	for _, p := range r.Mounted {
		if err := e.lay(ctx, p); err != nil {
			return Digest{}, err
		}
	}
	if w := r.Command.Work; w != "" {
		if err := e.Merge(ctx, BuildDir, byName[w].Digest, Replace); err != nil {
			return Digest{}, err
		}
	}
	return e.Finish(ctx, func(d *Directory) (Digest, error) { return put(d.Encode()) })
}

// lay puts an input at its mount point. Files are seen with their run bit set.
func (e *Edit) lay(ctx context.Context, p PathInput) error {
	if p.Kind == Tree {
		return e.Merge(ctx, p.Path, p.Digest, Replace)
	}
	return e.Put(ctx, p.Path, Node{Kind: Regular, Digest: p.Digest, Attr: Attr{Mode: ModeExec}}, Replace)
}

// nativeRoot is one directory with an entry for each input, in order.
func (r *Resolved) nativeRoot(put func([]byte) (Digest, error)) (Digest, error) {
	d := Directory{Attr: Attr{Mode: ModeDir}, Nodes: make([]Node, len(r.Inputs))}
	for i, in := range r.Inputs {
		n := Node{Name: fmt.Sprintf("%05d %s", i, strings.ReplaceAll(in.Name, "/", "\\")), Kind: Regular, Digest: in.Digest, Attr: Attr{Mode: ModeFile}}
		if len(n.Name) > 255 {
			n.Name = n.Name[:255]
		}
		if in.Kind == Tree {
			n.Kind = Dir
		}
		d.Nodes[i] = n
	}
	return put(d.Encode())
}
