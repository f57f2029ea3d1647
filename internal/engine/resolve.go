package engine

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/jobserver"
	"github.com/labstar/labstar/internal/store"
)

// maxText is the size of the largest file that a text token may stand for.
const maxText = 64 << 10

// resolve fills in what the action's built inputs give. output returns what was
// built for an artifact.
func (e *Engine) resolve(ctx context.Context, a *action.Action, output func(*action.Artifact) (action.OutputDigest, error)) (*action.Resolved, error) {
	r := &action.Resolved{Action: a, Inputs: make([]action.OutputDigest, len(a.Inputs))}
	for i, in := range a.Inputs {
		out, err := output(in.Artifact)
		if err != nil {
			return nil, err
		}
		out.Name = in.Name
		r.Inputs[i] = out
	}
	paths := map[action.Digest]string{} // of artifacts laid by path tokens, by definition and index
	taken := map[string]bool{}
	substitute := func(ref action.Ref) (string, error) {
		out, err := output(ref.Artifact)
		if err != nil {
			return "", err
		}
		if ref.Kind == action.Text {
			return e.text(ctx, ref.Artifact, out.Digest)
		}
		id := ref.Artifact.Action.Definition()
		id.Size = int64(ref.Artifact.Index)
		if p, ok := paths[id]; ok {
			return p, nil
		}
		p := freeName(action.InputDir+"/"+ref.Artifact.FileName(), taken)
		paths[id] = p
		r.Mounted = append(r.Mounted, action.PathInput{Path: p, Kind: out.Kind, Digest: out.Digest})
		return p, nil
	}
	if a.Op == action.Exec {
		// The inputs by name have the places that their names say.
		var c action.Command
		if err := json.Unmarshal(a.Params, &c); err != nil {
			return nil, fmt.Errorf("decoding command: %w", err)
		}
		for _, m := range c.Mounts {
			taken[m.Path] = true
		}
	}
	params, err := a.Scope().Substitute(string(a.Params), func(ref action.Ref) (string, error) {
		s, err := substitute(ref)
		return jsonEscape(s), err
	})
	if err != nil {
		return nil, err
	}
	r.Params = params
	if a.Op != action.Exec {
		return r, nil
	}
	r.Command = &action.Command{}
	if err := json.Unmarshal([]byte(params), r.Command); err != nil {
		return nil, fmt.Errorf("decoding command: %w", err)
	}
	env := maps.Clone(fixedEnv)
	maps.Copy(env, r.Command.Env)
	r.Command.Env = env
	return r, nil
}

// fixedEnv is the environment of every command; a script may set over it.
var fixedEnv = map[string]string{
	"PATH":              "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
	"HOME":              action.BuildDir,
	"TMPDIR":            "/tmp",
	"LANG":              "C.UTF-8",
	"LC_ALL":            "C.UTF-8",
	"TZ":                "UTC",
	"USER":              "root",
	"LOGNAME":           "root",
	"SHELL":             "/bin/sh",
	"TERM":              "dumb",
	"SOURCE_DATE_EPOCH": fmt.Sprint(action.SourceDateEpoch),
	"MAKEFLAGS":         jobserver.MakeFlags(),
	// The user inside is root by name but can own files only as itself.
	"TAR_OPTIONS": "--no-same-owner",
}

// freeName returns p, or p with a number when it is taken.
func freeName(p string, taken map[string]bool) string {
	name := p
	for i := 2; taken[name]; i++ {
		name = fmt.Sprintf("%s-%d", p, i)
	}
	taken[name] = true
	return name
}

// jsonEscape makes s fit inside a JSON string.
func jsonEscape(s string) string {
	b, err := action.Canonical(s)
	if err != nil {
		panic(err) // a string always encodes
	}
	return string(b[1 : len(b)-1])
}

// text reads the file that a text token stands for.
func (e *Engine) text(ctx context.Context, a *action.Artifact, d action.Digest) (string, error) {
	if a.Kind() != action.File || d.Size > maxText {
		return "", fmt.Errorf("%s can't be put into a string: got %s of %d bytes, want a file of at most %d",
			a.Describe(), a.Kind(), d.Size, maxText)
	}
	if src := a.Action.Source; src != nil {
		if err := e.ingest(ctx, src); err != nil {
			return "", err
		}
	}
	b, err := e.opts.Store.OpenBlob(ctx, d)
	if err != nil {
		return "", err
	}
	defer b.Close()
	content, err := io.ReadAll(b)
	return strings.TrimSuffix(string(content), "\n"), err
}

// ingest puts a local file or tree into the store, if it is not there, holding
// it to the digest that the evaluation saw.
func (e *Engine) ingest(ctx context.Context, src *action.Source) error {
	e.sources.Lock()
	defer e.sources.Unlock()
	if src.Kind == action.File {
		return e.ingestBlob(ctx, src, src.Digest)
	}
	if e.opts.Store.HasTree(src.Digest) {
		return nil
	}
	t := sourceTree{src: src, seen: map[action.Digest]bool{}}
	if err := t.list(src.Digest); err != nil {
		return err
	}
	if err := e.ingestFiles(ctx, src, t.files); err != nil {
		return err
	}
	for _, dir := range t.dirs {
		if _, err := e.opts.Store.PutDirectory(ctx, dir); err != nil {
			return err
		}
	}
	return nil
}

// ingestFiles puts files of a local tree into the store.
func (e *Engine) ingestFiles(ctx context.Context, src *action.Source, files []action.Digest) error {
	if len(files) == 1 {
		return e.ingestBlob(ctx, src, files[0])
	}
	var list []store.Intake
	for _, d := range files {
		if e.opts.Store.Has(d) {
			continue
		}
		list = append(list, store.Intake{Digest: d,
			Open: func() (io.ReadCloser, error) {
				r, err := src.Open(d)
				if err != nil {
					return nil, fmt.Errorf("reading %s: %w", src.Path, err)
				}
				return r, nil
			},
			Differs: func(got action.Digest) error { return src.Compare(d, got) },
		})
	}
	if len(list) == 0 {
		return nil
	}
	return e.opts.Store.TakeIn(ctx, list)
}

func (e *Engine) ingestBlob(ctx context.Context, src *action.Source, d action.Digest) error {
	if e.opts.Store.Has(d) {
		return nil
	}
	r, err := src.Open(d)
	if err != nil {
		return fmt.Errorf("reading %s: %w", src.Path, err)
	}
	defer r.Close()
	w, err := e.opts.Store.CreateBlob(ctx)
	if err != nil {
		return err
	}
	defer w.Abort()
	if _, err := io.Copy(w, r); err != nil {
		return fmt.Errorf("reading %s: %w", src.Path, err)
	}
	got, err := w.Commit()
	if err != nil {
		return err
	}
	return src.Compare(d, got)
}

// sourceTree lists what a local tree consists of, each once, a directory after
// those below it.
type sourceTree struct {
	src   *action.Source
	seen  map[action.Digest]bool
	files []action.Digest
	dirs  []*action.Directory
}

func (t *sourceTree) list(d action.Digest) error {
	dir, err := openDirectory(t.src, d)
	if err != nil {
		return err
	}
	for _, n := range dir.Nodes {
		if n.Kind != action.Dir && n.Kind != action.Regular || t.seen[n.Digest] {
			continue
		}
		t.seen[n.Digest] = true
		if n.Kind == action.Regular {
			t.files = append(t.files, n.Digest)
		} else if err := t.list(n.Digest); err != nil {
			return err
		}
	}
	t.dirs = append(t.dirs, dir)
	return nil
}
