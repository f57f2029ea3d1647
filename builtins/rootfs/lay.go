package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/deb"
	"github.com/labstar/labstar/internal/format/ldcache"
)

// brought is what several trees may have and a system has one of: it is gathered
// and written anew.
type brought struct {
	passwd, group string
	libraries     []ldcache.Library
}

// trees lays the trees of contents over one another.
func (c *composer) trees(ctx context.Context) error {
	how := action.Refuse
	if c.p.Overwrite {
		how = action.Replace
	}
	merged, err := c.usrMerged(ctx)
	if err != nil {
		return err
	}
	laid := make([]action.Digest, 0, len(c.p.Trees))
	for _, name := range c.p.Trees {
		root, err := c.prepare(ctx, c.env.Input(name).Digest, merged)
		if err == nil {
			err = c.e.Merge(ctx, "", root, how)
		}
		var conflict *action.ConflictError
		switch {
		case errors.As(err, &conflict):
			return &action.PartError{Part: name, Err: c.explain(ctx, conflict, laid, name)}
		case err != nil:
			return &action.PartError{Part: name, Err: fmt.Errorf("laying %s: %w", name, err)}
		}
		laid = append(laid, root)
	}
	if err := c.usrLinks(ctx, merged); err != nil {
		return err
	}
	return c.libraryCache(ctx)
}

// explain finds the earlier tree that has the path.
func (c *composer) explain(ctx context.Context, conflict *action.ConflictError, laid []action.Digest, name string) error {
	for i, root := range laid {
		if _, err := action.NewEdit(c.env, root).Lookup(ctx, conflict.Path); err == nil {
			return &action.InputsError{
				Inputs: []string{name, c.p.Trees[i]},
				Format: "laying " + name + ", %s: \"/" + strings.ReplaceAll(conflict.Path, "%", "%%") + "\" is in " + c.p.Trees[i] +
					" too, %s; leave it out of one of them, or say overwrite = True",
			}
		}
	}
	return fmt.Errorf("laying %s: %w", name, conflict)
}

// usrMerged reports whether one of the trees has /bin or its like as links into
// /usr, as Debian has since 12. Programs are then in the same place by both names.
func (c *composer) usrMerged(ctx context.Context) (bool, error) {
	for _, name := range c.p.Trees {
		root, err := c.env.Directory(ctx, c.env.Input(name).Digest)
		if err != nil {
			return false, err
		}
		for _, dir := range deb.UsrDirs {
			if n, ok := root.Find(dir); ok && leadsToUsr(n) {
				return true, nil
			}
		}
	}
	return false, nil
}

func leadsToUsr(n action.Node) bool {
	return n.Kind == action.Symlink && strings.TrimPrefix(n.Target, "/") == "usr/"+n.Name
}

// prepare takes out of a tree what is gathered, and moves /bin and its like below
// /usr if some tree has them there.
func (c *composer) prepare(ctx context.Context, root action.Digest, merged bool) (action.Digest, error) {
	e := action.NewEdit(c.env, root)
	if err := c.gather(ctx, e); err != nil {
		return action.Digest{}, err
	}
	for _, dir := range deb.UsrDirs {
		if !merged {
			break
		}
		n, err := e.Lookup(ctx, dir)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return action.Digest{}, err
		case n.Kind == action.Dir:
			if err := moveToUsr(ctx, e, dir); err != nil {
				return action.Digest{}, err
			}
		case leadsToUsr(n):
			if err := dropEmpty(ctx, e); err != nil {
				return action.Digest{}, err
			}
			c.usr = append(c.usr, dir)
			if err := e.Remove(ctx, dir); err != nil {
				return action.Digest{}, err
			}
		}
	}
	return e.Finish(ctx, c.env.PutDirectory)
}

// dropEmpty takes out the mount points of the sandbox, which a toolchain has.
func dropEmpty(ctx context.Context, e *action.Edit) error {
	for _, p := range []string{action.BuildDir, action.InputDir} {
		empty := true
		err := e.Walk(ctx, func(at string, n action.Node) error {
			if strings.HasPrefix("/"+at, p+"/") {
				empty = false
			}
			if n.Kind == action.Dir && at != "" && "/"+at != p {
				return fs.SkipDir
			}
			return nil
		})
		if err != nil {
			return err
		}
		if !empty {
			continue
		}
		if err := e.Remove(ctx, p); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

// moveToUsr moves a directory of the root below /usr. Relative links that lead out
// of it have one more step to go.
func moveToUsr(ctx context.Context, e *action.Edit, dir string) error {
	moved := map[string]action.Node{}
	err := e.Walk(ctx, func(p string, n action.Node) error {
		switch {
		case p == "" || p == dir || strings.HasPrefix(p, dir+"/"):
		case n.Kind == action.Dir:
			return fs.SkipDir
		default:
			return nil
		}
		if n.Kind == action.Symlink && strings.HasPrefix(n.Target, strings.Repeat("../", strings.Count(p, "/"))) {
			n.Target = "../" + n.Target
			moved[p] = n
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range sortedKeys(moved) {
		if err := e.Put(ctx, p, moved[p], action.Replace); err != nil {
			return err
		}
	}
	if _, err := e.Lookup(ctx, "usr/"+dir); errors.Is(err, fs.ErrNotExist) {
		if err := e.Mkdir(ctx, "usr"); err != nil {
			return err
		}
		return e.Move(ctx, dir, "usr/"+dir)
	}
	var names []string
	err = e.Walk(ctx, func(p string, n action.Node) error {
		switch {
		case p == "" || p == dir:
			return nil
		case path.Dir(p) == dir:
			names = append(names, p)
		}
		if n.Kind == action.Dir {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, p := range names {
		if err := mergeInto(ctx, e, p, "usr/"+p); err != nil {
			return err
		}
	}
	return e.Remove(ctx, dir)
}

// mergeInto moves what is at from to the place to; folders are merged.
func mergeInto(ctx context.Context, e *action.Edit, from, to string) error {
	old, err := e.Lookup(ctx, to)
	if errors.Is(err, fs.ErrNotExist) {
		return e.Move(ctx, from, to)
	}
	n, err2 := e.Lookup(ctx, from)
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if old.Kind != action.Dir || n.Kind != action.Dir {
		if n.Kind == action.Symlink || old.Kind == action.Regular && n.Digest == old.Digest {
			return e.Remove(ctx, from) // a link from one place to the other, or the same file
		}
		if old.Kind == action.Symlink {
			return e.Move(ctx, from, to)
		}
		return fmt.Errorf("got %q and %q, which are the same with /usr merged", "/"+from, "/"+to)
	}
	var names []string
	err = e.Walk(ctx, func(p string, n action.Node) error {
		if path.Dir(p) == from {
			names = append(names, path.Base(p))
		}
		if n.Kind == action.Dir && p != "" && p != from && !strings.HasPrefix(from, p+"/") {
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return err
	}
	for _, name := range names {
		if err := mergeInto(ctx, e, from+"/"+name, to+"/"+name); err != nil {
			return err
		}
	}
	return e.Remove(ctx, from)
}

// usrLinks makes the links of a merged /usr.
func (c *composer) usrLinks(ctx context.Context, merged bool) error {
	if !merged {
		return nil
	}
	for _, dir := range deb.UsrDirs {
		_, err := c.e.Lookup(ctx, "usr/"+dir)
		if err != nil && !slices.Contains(c.usr, dir) {
			continue
		}
		if err := c.e.Mkdir(ctx, "usr/"+dir); err != nil {
			return err
		}
		n := action.Node{Kind: action.Symlink, Target: "usr/" + dir, Attr: action.Attr{Mode: action.ModeSymlink}}
		if err := c.e.Put(ctx, dir, n, action.Refuse); err != nil {
			return fmt.Errorf("merging /usr: %w", err)
		}
	}
	return nil
}

// gather takes a tree's accounts and cache of libraries out of it.
func (c *composer) gather(ctx context.Context, e *action.Edit) error {
	from := composer{env: c.env, e: e}
	for _, p := range []string{"etc/passwd", "etc/group", "etc/shadow", "etc/ld.so.cache"} {
		n, err := e.Lookup(ctx, p)
		if errors.Is(err, fs.ErrNotExist) || err == nil && n.Kind != action.Regular {
			continue
		}
		if err != nil {
			return err
		}
		text, err := from.readText(ctx, p)
		if err != nil {
			return err
		}
		switch p {
		case "etc/passwd":
			c.brought.passwd += text
		case "etc/group":
			c.brought.group += text
		case "etc/ld.so.cache":
			libs, err := ldcache.Decode([]byte(text))
			if err != nil {
				continue // the loader ignores what it does not know
			}
			c.brought.libraries = append(c.brought.libraries, libs...)
		}
		if err := e.Remove(ctx, p); err != nil {
			return err
		}
	}
	return nil
}

// libraryCache writes /etc/ld.so.cache with the libraries of all trees; of two of
// a name, that of the first.
func (c *composer) libraryCache(ctx context.Context) error {
	var libs []ldcache.Library
	seen := map[ldcache.Library]bool{}
	for _, l := range c.brought.libraries {
		key := ldcache.Library{Name: l.Name, Flags: l.Flags}
		if !seen[key] {
			seen[key] = true
			libs = append(libs, l)
		}
	}
	if len(libs) == 0 {
		return nil
	}
	b, err := ldcache.Encode(libs)
	if err != nil {
		return err
	}
	return c.text(ctx, text{Path: "etc/ld.so.cache", Text: action.Late(b), Mode: action.ModeFile})
}
