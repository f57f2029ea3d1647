package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/internal/format/archive"
	"github.com/labstar/labstar/internal/format/patch"
	"github.com/labstar/labstar/starlark/schema"
)

type sourceArgs struct {
	Name    string `star:"name" doc:"the source package, as in \"busybox\" or \"linux\""`
	Suite   string `star:"suite,keyword" default:"\"trixie\"" doc:"the Debian suite, by code name"`
	Version string `star:"version,keyword" default:"\"\"" doc:"which version, where the suite has several: as in \"6.12.63\", or the start of one, as in \"6.12\"; by default the newest"`
	Patches bool   `star:"patches,keyword" default:"False" doc:"apply Debian's patches; otherwise the source is as its authors released it"`
}

// Source is the builtin debian_source.
var Source = schema.New("debian_source", `debian_source is the source of a program, as Debian has it in a suite.

The version and every file are pinned in lab.lock, by SHA-256, from the suite's signed index; of several versions the newest that the mirror still has is taken. The tree is that of the authors' own release, without its outermost folder; with patches=True Debian's patches are applied to it.

    src = debian_source("busybox")
    print(src.version)   # 1.37.0`,
	callSource, schema.Returns("a source (tree) with the attributes version (of the program), debian_version and name"))

func callSource(c *schema.Call, a *sourceArgs) (starlark.Value, error) {
	var errs []error
	if err := debian.CheckSuite(a.Suite); err != nil {
		errs = append(errs, c.ArgErrorf("suite", "%w", err))
	}
	if err := debian.CheckName(a.Name); err != nil {
		errs = append(errs, c.ArgErrorf("name", "%w", err))
	}
	if a.Version != "" {
		if err := debian.CheckVersion(a.Version); err != nil {
			errs = append(errs, c.ArgErrorf("version", "%w", err))
		}
	}
	if len(errs) > 0 {
		return nil, errors.Join(errs...)
	}
	name := a.Suite + "/" + a.Name
	if a.Version != "" {
		name += "@" + a.Version
	}
	pins := c.Session().Pins
	fields, ok := pins.Get(kindSource, name)
	if !ok {
		pins.Want(kindSource, name, c.Site())
		return sourceValue(c, action.Spec{Op: unlockedOp, Title: "source " + a.Name, Params: name}, sourcePin{Name: a.Name, Version: "0"})
	}
	p, err := parseSourcePin(a.Name, fields)
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	if a.Patches && p.Format == "1.0" {
		return nil, c.ArgErrorf("patches", "source %s has the old format 1.0, of which only the authors' release can be had: leave patches out", a.Name)
	}
	spec := action.Spec{Op: sourceOp, Title: "source " + a.Name + " " + upstream(p.Version), Component: &action.Component{
		Kind: "source", Name: a.Name, Version: p.Version, URL: debian.DefaultMirror + "/" + p.Directory,
		PURL: "pkg:deb/debian/" + purlEscape(a.Name) + "@" + purlEscape(p.Version) + "?arch=source&distro=" + a.Suite,
	}}
	params := sourceParams{Format: p.Format, Patches: a.Patches}
	for _, f := range p.Files {
		if !a.Patches && p.Format != "native" && isPackaging(f.Name) {
			continue
		}
		fetch, err := newFetch(c, fetchParams{Name: a.Name, Path: p.Directory + "/" + f.Name, Content: f.Digest}, "fetch "+f.Name)
		if err != nil {
			return nil, err
		}
		spec.Inputs = append(spec.Inputs, action.Input{Name: f.Name, Artifact: fetch})
	}
	if len(spec.Inputs) == 0 {
		return nil, c.Errorf("source %s %s has no upstream archive", a.Name, p.Version)
	}
	spec.Params = params
	return sourceValue(c, spec, p)
}

func sourceValue(c *schema.Call, spec action.Spec, p sourcePin) (starlark.Value, error) {
	spec.Outputs = []action.Output{{Name: "tree", Kind: action.Tree}}
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("tree"), "source", starlark.StringDict{
		"version": starlark.String(upstream(p.Version)), "debian_version": starlark.String(p.Version), "name": starlark.String(p.Name),
	}), nil
}

// isPackaging reports whether a file of a source package is Debian's own part:
// NAME_VERSION.debian.tar.*, or the NAME_VERSION.diff.gz of format 1.0.
func isPackaging(file string) bool {
	return strings.Contains(file, ".debian.tar.") || strings.HasSuffix(file, ".diff.gz")
}

type sourceParams struct {
	Format  string `json:"format"`
	Patches bool   `json:"patches"`
}

var sourceOp = &action.Op{Name: "debian/source", Version: 1, Run: runSource}

// runSource unpacks the archives of a source package: NAME_VERSION.orig.tar.* at
// the top, NAME_VERSION.orig-PART.tar.* in the folder PART.
func runSource(ctx context.Context, env action.Env) error {
	var p sourceParams
	if err := env.Params(&p); err != nil {
		return err
	}
	w, err := env.CreateTree("tree")
	if err != nil {
		return err
	}
	defer w.Abort()
	// The main archive goes first: parts replace what it has under their name.
	for _, parts := range []bool{false, true} {
		for _, in := range env.Inputs() {
			dir, strip := place(in.Name)
			if (dir != "") != parts {
				continue
			}
			if err := unpackInto(ctx, env, in, w, dir, strip); err != nil {
				return err
			}
		}
	}
	root, err := w.Commit()
	if err != nil || !p.Patches || p.Format == "native" {
		return err
	}
	return applySeries(ctx, env, root)
}

// place returns the folder for an archive's content and how many parts of its
// members' names are dropped.
func place(file string) (dir string, strip int) {
	if isPackaging(file) {
		return "debian", 1 // its only folder is debian/
	}
	_, orig, _ := strings.Cut(file, ".orig-")
	part, _, _ := strings.Cut(orig, ".tar.")
	return part, 1
}

func unpackInto(ctx context.Context, env action.Env, in action.OutputDigest, w action.TreeWriter, dir string, strip int) error {
	blob, err := env.OpenBlob(ctx, in.Digest)
	if err != nil {
		return err
	}
	defer blob.Close()
	if dir != "" {
		if err := action.ValidName(dir); err != nil {
			return err
		}
		w = below{w, dir}
	}
	_, err = archive.Unpack(ctx, blob, blob.Size(), w, archive.Options{Name: in.Name, Strip: strip, ExternalLinks: true, Progress: env.Progress})
	return err
}

// applySeries applies debian/patches/series to the tree of root.
func applySeries(ctx context.Context, env action.Env, root action.Digest) error {
	t := newTree(env, root)
	edit := action.NewEdit(env, root)
	series, err := t.read(ctx, "debian/patches/series")
	if err != nil {
		return fmt.Errorf("reading Debian's patches: %w; leave patches=True out if there are none", err)
	}
	for line := range strings.SplitSeq(series, "\n") {
		line, _, _ = strings.Cut(line, " #")
		f := strings.Fields(line)
		if len(f) == 0 || strings.HasPrefix(f[0], "#") {
			continue
		}
		strip := 1
		for _, opt := range f[1:] {
			switch opt {
			case "-p0":
				strip = 0
			case "-p1":
			default:
				return fmt.Errorf("patch %s: got option %q in the series, want -p0 or -p1", f[0], opt)
			}
		}
		text, err := t.read(ctx, path.Join("debian/patches", f[0]))
		if err != nil {
			return fmt.Errorf("patch %s: %w", f[0], err)
		}
		files, err := patch.Parse([]byte(text), strip)
		if err == nil {
			err = patch.Tree(ctx, edit, files, patch.Target{Content: env, Put: env.PutBlob, Log: env.Log()})
		}
		if err != nil {
			return fmt.Errorf("patch %s: %w", f[0], err)
		}
	}
	if root, err = edit.Finish(ctx, env.PutDirectory); err != nil {
		return err
	}
	return env.SetTree("tree", root)
}

// read returns the text of a file of at most 64 MiB.
func (t *tree) read(ctx context.Context, p string) (string, error) {
	n, err := t.file(ctx, p)
	if err != nil {
		return "", err
	}
	b, err := t.env.OpenBlob(ctx, n.Digest)
	if err != nil {
		return "", err
	}
	defer b.Close()
	if b.Size() > 64<<20 {
		return "", fmt.Errorf("%s has %d bytes, want at most 64 MiB", p, b.Size())
	}
	text, err := io.ReadAll(b)
	return string(text), err
}

// below writes everything below one folder.
type below struct {
	action.TreeWriter
	dir string
}

func (b below) Mkdir(p string, a action.Attr) error {
	return b.TreeWriter.Mkdir(path.Join(b.dir, p), a)
}

func (b below) File(p string, a action.Attr, r io.Reader) (action.Digest, error) {
	return b.TreeWriter.File(path.Join(b.dir, p), a, r)
}

func (b below) Symlink(p, target string, a action.Attr) error {
	return b.TreeWriter.Symlink(path.Join(b.dir, p), target, a)
}

func (b below) Link(p, old string) error {
	return b.TreeWriter.Link(path.Join(b.dir, p), path.Join(b.dir, old))
}

func (b below) Device(p string, k action.Kind, major, minor uint32, a action.Attr) error {
	return b.TreeWriter.Device(path.Join(b.dir, p), k, major, minor, a)
}
