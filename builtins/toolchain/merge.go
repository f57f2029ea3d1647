package toolchain

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/deb"
)

type mergeParams struct {
	Arch string `json:"arch"`
	// Versions by package. They are in the key by way of the trees already; here
	// they are for those who compare two toolchains.
	Versions map[string]string `json:"versions"`
}

var mergeOp = &action.Op{Name: "debian/merge", Version: 1, Run: runMerge}

// merge is one debian/merge in progress.
type merge struct {
	ctx  context.Context
	env  action.Env
	edit *action.Edit
}

func runMerge(ctx context.Context, env action.Env) error {
	var p mergeParams
	if err := env.Params(&p); err != nil {
		return err
	}
	m := &merge{ctx: ctx, env: env, edit: action.NewEdit(env, action.Digest{})}
	if err := m.packages(); err != nil {
		return err
	}
	for _, step := range []func() error{m.usrLinks, m.places, m.accounts, m.alternatives} {
		if err := step(); err != nil {
			return err
		}
	}
	return m.finish(p.Arch)
}

// finish makes the tree, and the cache of libraries from it.
func (m *merge) finish(arch string) error {
	root, err := m.edit.Finish(m.ctx, m.env.PutDirectory)
	if err != nil {
		return err
	}
	m.edit = action.NewEdit(m.env, root)
	if err := m.libraryCache(root, arch); err != nil {
		return err
	}
	if root, err = m.edit.Finish(m.ctx, m.env.PutDirectory); err != nil {
		return err
	}
	return m.env.SetTree("tree", root)
}

// packages lays the trees of the packages over each other. The attributes of a
// directory are those of the last one that has it, so base-files, which owns
// the standard ones, is the last.
func (m *merge) packages() error {
	inputs := slices.Clone(m.env.Inputs())
	slices.SortStableFunc(inputs, func(a, b action.OutputDigest) int {
		return last(a.Name) - last(b.Name)
	})
	for i, in := range inputs {
		if in.Kind != action.Tree {
			continue
		}
		err := m.edit.Merge(m.ctx, "", in.Digest, action.Refuse)
		var conflict *action.ConflictError
		if errors.As(err, &conflict) {
			return m.explain(conflict, inputs[:i], in)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func last(name string) int {
	if name == "base-files" {
		return 1
	}
	return 0
}

// explain finds the package that owns the path already.
func (m *merge) explain(c *action.ConflictError, before []action.OutputDigest, in action.OutputDigest) error {
	for _, b := range before {
		if _, err := action.NewEdit(m.env, b.Digest).Lookup(m.ctx, c.Path); err == nil {
			return fmt.Errorf("packages %s and %s both have /%s, with different content: leave one out, as in exclude = [%q]",
				b.Name, in.Name, c.Path, in.Name)
		}
	}
	return fmt.Errorf("package %s: %w", in.Name, c)
}

func (m *merge) has(p string) (bool, error) {
	_, err := m.edit.Lookup(m.ctx, p)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	return err == nil, err
}

// link makes a symlink unless the path is taken.
func (m *merge) link(p, target string) error {
	if taken, err := m.has(p); taken || err != nil {
		return err
	}
	return m.edit.Put(m.ctx, p, action.Node{Kind: action.Symlink, Target: target, Attr: action.Attr{Mode: action.ModeSymlink}}, action.Refuse)
}

// file writes a small file unless the path is taken.
func (m *merge) file(p, text string) error {
	if taken, err := m.has(p); taken || err != nil {
		return err
	}
	return m.put(p, []byte(text))
}

func (m *merge) put(p string, b []byte) error {
	d, err := m.env.PutBlob(b)
	if err != nil {
		return err
	}
	return m.edit.Put(m.ctx, p, action.Node{Kind: action.Regular, Digest: d, Attr: action.Attr{Mode: action.ModeFile}}, action.Replace)
}

// usrLinks makes /bin and its like links into /usr, where the packages' files
// were put when they were unpacked.
func (m *merge) usrLinks() error {
	for _, dir := range deb.UsrDirs {
		there, err := m.has("usr/" + dir)
		if err != nil {
			return err
		}
		if !there && !slices.Contains([]string{"bin", "lib", "sbin"}, dir) {
			continue
		}
		if err := errors.Join(m.edit.Mkdir(m.ctx, "usr/"+dir), m.link(dir, "usr/"+dir)); err != nil {
			return err
		}
	}
	return nil
}

// places makes the directories that a running system has and no package
// ships: mount points of the sandbox among them.
func (m *merge) places() error {
	for _, d := range []string{action.BuildDir, action.InputDir, "dev/pts", "dev/shm", "etc", "home", "proc", "root", "run", "sys", "tmp", "var/tmp"} {
		p := path.Clean("/" + d)[1:]
		if err := m.edit.Mkdir(m.ctx, p); err != nil {
			return err
		}
	}
	mode := func(v uint32) func(action.Kind, *action.Attr) {
		return func(_ action.Kind, a *action.Attr) { a.Mode = v }
	}
	return errors.Join(
		m.edit.SetAttr(m.ctx, "tmp", mode(0o1777)),
		m.edit.SetAttr(m.ctx, "var/tmp", mode(0o1777)),
		m.edit.SetAttr(m.ctx, "root", mode(0o700)),
		m.link("var/run", "/run"), m.link("var/lock", "/run/lock"),
	)
}

// accounts writes what base-passwd and base-files would on a fresh system.
func (m *merge) accounts() error {
	return errors.Join(m.file("etc/passwd", passwd), m.file("etc/group", group),
		m.file("etc/nsswitch.conf", "passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\nprotocols: files\n"),
		m.file("etc/hosts", "127.0.0.1 localhost\n::1 localhost\n"))
}

// The users and groups of base-passwd that files in packages belong to.
const (
	passwd = `root:x:0:0:root:/root:/bin/sh
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
`
	group = `root:x:0:
daemon:x:1:
bin:x:2:
sys:x:3:
adm:x:4:
tty:x:5:
disk:x:6:
mail:x:8:
man:x:12:
kmem:x:15:
cdrom:x:24:
shadow:x:42:
utmp:x:43:
video:x:44:
www-data:x:33:
staff:x:50:
users:x:100:
nogroup:x:65534:
`
)
