package npm

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/archive"
)

type unpackParams struct {
	Name    string `json:"name"`
	Version string `json:"version"`
}

// unpackOp unpacks one tarball. All is in one folder, mostly "package".
var unpackOp = &action.Op{Name: "npm/unpack", Version: 1, Run: runUnpack}

// limits end the unpacking of bombs: the largest packages of the registry have some
// ten thousand files.
var limits = archive.Limits{Entries: 200_000, Size: 4 << 30, Ratio: 200, RatioFrom: 64 << 20}

func runUnpack(ctx context.Context, env action.Env) error {
	var p unpackParams
	if err := env.Params(&p); err != nil {
		return err
	}
	blob, err := env.OpenBlob(ctx, env.Input("tarball").Digest)
	if err != nil {
		return err
	}
	defer blob.Close()
	w, err := env.CreateTree("tree")
	if err != nil {
		return err
	}
	defer w.Abort()
	id := p.Name + "@" + p.Version
	if _, err := archive.Unpack(ctx, blob, blob.Size(), files{w}, archive.Options{Name: id, Strip: 1, Limits: limits, Progress: env.Progress}); err != nil {
		return err
	}
	root, err := w.Commit()
	if err != nil {
		return err
	}
	return p.check(ctx, env, root)
}

// check compares what the package says of itself with the lock.
func (p *unpackParams) check(ctx context.Context, env action.Content, root action.Digest) error {
	id := p.Name + "@" + p.Version
	n, err := action.NewEdit(env, root).Lookup(ctx, "package.json")
	if err != nil || n.Kind != action.Regular {
		return fmt.Errorf("package %s has no package.json", id)
	}
	b, err := env.OpenBlob(ctx, n.Digest)
	if err != nil {
		return err
	}
	defer b.Close()
	raw, err := io.ReadAll(io.LimitReader(b, maxLock))
	if err != nil {
		return err
	}
	var said struct {
		Name    string `json:"name"`
		Version string `json:"version"`
	}
	if err := json.Unmarshal(raw, &said); err != nil {
		return fmt.Errorf("reading package.json of %s: %w", id, err)
	}
	if said.Name != p.Name || plainVersion(said.Version) != plainVersion(p.Version) {
		return fmt.Errorf("the tarball of %s says that it is %s@%s: another package under this name", id, clip(said.Name), clip(said.Version))
	}
	return nil
}

// plainVersion drops what npm drops: a leading "v" or "=", and the build's metadata.
func plainVersion(s string) string {
	s, _, _ = strings.Cut(strings.TrimLeft(strings.TrimSpace(s), "v="), "+")
	return s
}

// files gives what is unpacked the run bits that npm gives it, and refuses what is no
// file: npm packs none, and leaves out what somebody else packed.
type files struct{ action.TreeWriter }

func (f files) Mkdir(path string, _ action.Attr) error {
	return f.TreeWriter.Mkdir(path, action.Attr{Mode: action.ModeDir})
}

func (f files) File(path string, a action.Attr, r io.Reader) (action.Digest, error) {
	mode := action.ModeFile
	if a.Mode&0o100 != 0 {
		mode = 0o755
	}
	return f.TreeWriter.File(path, action.Attr{Mode: mode}, r)
}

var errLink = errors.New("got a link, want files: no package of npm's has one")

func (f files) Symlink(string, string, action.Attr) error { return errLink }
func (f files) Link(string, string) error                 { return errLink }
