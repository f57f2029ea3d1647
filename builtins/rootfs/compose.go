package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/programs"
)

// composeParams is what rootfs/compose is to do. Paths are clean.
type composeParams struct {
	Trees        []string          `json:"trees"`              // inputs laid at /, in order
	Texts        []text            `json:"texts"`              // files by their text
	Defaults     []text            `json:"defaults,omitempty"` // texts for paths where there is nothing
	Files        []laidFile        `json:"files"`              // files and trees by input
	Dirs         []string          `json:"dirs"`
	Symlinks     map[string]string `json:"symlinks"`
	DefaultLinks []link            `json:"defaultLinks,omitempty"` // for paths where there is nothing
	Devices      []devicePath      `json:"devices,omitempty"`
	Accounts     accountParams     `json:"accounts"`
	Homes        []string          `json:"homes"`
	Owners       []pathOwner       `json:"owners"` // in order, each for all below
	Modes        []pathMode        `json:"modes"`  // in order
	Xattrs       []pathXattr       `json:"xattrs,omitempty"`
	Timezone     string            `json:"timezone,omitempty"`
	FHS          bool              `json:"fhs"`
	Overwrite    bool              `json:"overwrite"`

	// What is checked only.
	Shells     []userShell     `json:"shells"` // of the users that the script names
	Services   []serviceParams `json:"services,omitempty"`
	DHCP       []string        `json:"dhcp,omitempty"` // interfaces
	Uses       []use           `json:"uses,omitempty"` // by the services that rootfs makes
	KernelArch string          `json:"kernelArch,omitempty"`
	Init       string          `json:"init"`
	Unchecked  []string        `json:"unchecked,omitempty"`
}

type text struct {
	Path string      `json:"path"`
	Text action.Late `json:"text"`
	Mode uint32      `json:"mode,omitempty"` // 0: by content
	UID  uint32      `json:"uid,omitempty"`
	GID  uint32      `json:"gid,omitempty"`
}

type link struct {
	Path   string `json:"path"`
	Target string `json:"target"`
}

type use struct {
	By      string `json:"by"`
	Program string `json:"program"`
}

type serviceParams struct {
	Name    string      `json:"name"`
	Command action.Late `json:"command"`
	Respawn bool        `json:"respawn,omitempty"`
}

type laidFile struct {
	Path  string `json:"path"`
	Input string `json:"input"`
}

type pathOwner struct {
	Path  string `json:"path"`
	UID   uint32 `json:"uid"`
	GID   uint32 `json:"gid"`
	Owner string `json:"owner,omitempty"` // instead of the numbers: the script asked, and the path must be there
}

type userShell struct {
	User  string `json:"user"`
	Shell string `json:"shell"`
}

type pathMode struct {
	Path string `json:"path"`
	Mode uint32 `json:"mode"`
}

// folders are those of the Filesystem Hierarchy Standard 3.0, sections 3 to 5.
var folders = []string{
	"bin", "boot", "dev", "etc", "home", "lib", "lib64", "media", "mnt", "opt", "proc", "root", "run", "sbin", "srv", "sys", "tmp",
	"usr/bin", "usr/include", "usr/lib", "usr/lib64", "usr/sbin", "usr/share", "usr/src",
	"usr/local/bin", "usr/local/lib", "usr/local/sbin", "usr/local/share",
	"usr/share/man/man1", "usr/share/man/man2", "usr/share/man/man3", "usr/share/man/man4",
	"usr/share/man/man5", "usr/share/man/man6", "usr/share/man/man7", "usr/share/man/man8", "usr/share/misc",
	"run/lock", "var/cache", "var/lib", "var/local", "var/log", "var/opt", "var/spool", "var/tmp",
}

// folderLinks are those that a link may be, and nowadays is: what is there is of
// one boot.
var folderLinks = []link{{"var/lock", "../run/lock"}, {"var/run", "../run"}}

// folderModes are the ones that are not 0755.
var folderModes = []pathMode{{"root", 0o700}, {"tmp", 0o1777}, {"var/tmp", 0o1777}}

// composeOp makes the tree. It copies no file: only directories are written, and
// the texts.
var composeOp = &action.Op{Name: "rootfs/compose", Version: 2, Check: true, Run: runCompose}

func runCompose(ctx context.Context, env action.Env) error {
	c := composer{env: env, e: action.NewEdit(env, action.Digest{})}
	if err := env.Params(&c.p); err != nil {
		return err
	}
	for _, step := range []func(context.Context) error{
		c.trees, c.packages, c.skeleton, c.files, c.links, c.devices, c.accounts, c.homes, c.attributes, c.keys, c.xattrs, c.timezone,
	} {
		if err := step(ctx); err != nil {
			return err
		}
	}
	if err := c.check(ctx); err != nil {
		return err
	}
	root, err := c.e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	return env.SetTree("tree", root)
}

type composer struct {
	env action.Env
	e   *action.Edit
	p   composeParams

	brought brought
	usr     []string // links into /usr that the trees had
}

// skeleton makes the standard folders that nothing has made. What contents has
// instead of one (a link from /lib to usr/lib) stays.
func (c *composer) skeleton(ctx context.Context) error {
	dirs := c.p.Dirs
	if c.p.FHS {
		for _, d := range folders {
			ok, err := c.free(ctx, d)
			if err != nil {
				return err
			}
			if ok {
				dirs = append(dirs, d)
			}
		}
	}
	for _, d := range dirs {
		if err := c.e.Mkdir(ctx, d); err != nil {
			return fmt.Errorf("making folder: %w", err)
		}
	}
	if c.p.FHS {
		for _, l := range folderLinks {
			if err := c.defaultLink(ctx, l); err != nil {
				return err
			}
		}
		for _, m := range folderModes {
			if n, err := c.e.Lookup(ctx, m.Path); err == nil && n.Kind == action.Dir {
				if err := c.setMode(ctx, m); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// free reports whether nothing is at p and only directories are above it.
func (c *composer) free(ctx context.Context, p string) (bool, error) {
	for at := p; at != "."; at = path.Dir(at) {
		n, err := c.e.Lookup(ctx, at)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			return false, err
		}
		return at != p && n.Kind == action.Dir, nil
	}
	return true, nil
}

func (c *composer) files(ctx context.Context) error {
	for _, f := range c.p.Files {
		in := c.env.Input(f.Input)
		if in.Kind == action.Tree {
			if err := c.e.Merge(ctx, f.Path, in.Digest, action.Replace); err != nil {
				return &action.PartError{Part: filePart(f.Path), Err: fmt.Errorf("laying files[%q]: %w", "/"+f.Path, err)}
			}
			continue
		}
		head, err := programs.Head(ctx, c.env, in.Digest)
		if err != nil {
			return err
		}
		if err := c.put(ctx, f.Path, in.Digest, action.Attr{Mode: modeOf(head)}); err != nil {
			return err
		}
	}
	for _, t := range c.p.Texts {
		if err := c.text(ctx, t); err != nil {
			return err
		}
	}
	for _, t := range c.p.Defaults {
		if _, _, err := c.e.Resolve(ctx, t.Path); err == nil {
			continue
		}
		if err := c.text(ctx, t); err != nil {
			return err
		}
	}
	return nil
}

func (c *composer) text(ctx context.Context, t text) error {
	d, err := c.env.PutBlob([]byte(t.Text))
	if err != nil {
		return err
	}
	attr := action.Attr{Mode: t.Mode, UID: t.UID, GID: t.GID}
	if attr.Mode == 0 {
		attr.Mode = modeOf([]byte(t.Text))
	}
	return c.put(ctx, t.Path, d, attr)
}

func (c *composer) put(ctx context.Context, p string, d action.Digest, attr action.Attr) error {
	if n, err := c.e.Lookup(ctx, p); err == nil && n.Kind == action.Dir {
		return &action.PartError{Part: filePart(p), Err: fmt.Errorf("laying file %q: there is a folder", "/"+p)}
	}
	if err := c.e.Put(ctx, p, action.Node{Kind: action.Regular, Digest: d, Attr: attr}, action.Replace); err != nil {
		return &action.PartError{Part: filePart(p), Err: fmt.Errorf("laying file: %w; give the path that the link leads to", err)}
	}
	return nil
}

// modeOf makes programs and scripts executable.
func modeOf(head []byte) uint32 {
	if programs.IsScript(head) || strings.HasPrefix(string(head), "\x7fELF") {
		return action.ModeExec
	}
	return action.ModeFile
}

func (c *composer) links(ctx context.Context) error {
	for _, l := range sortedKeys(c.p.Symlinks) {
		p, err := action.CleanPath(l)
		if err != nil {
			return err
		}
		n := action.Node{Kind: action.Symlink, Target: c.p.Symlinks[l], Attr: action.Attr{Mode: action.ModeSymlink}}
		if err := c.e.Put(ctx, p, n, action.Refuse); err != nil {
			return fmt.Errorf("making link: %w", err)
		}
	}
	for _, l := range c.p.DefaultLinks {
		if err := c.defaultLink(ctx, l); err != nil {
			return err
		}
	}
	return nil
}

// defaultLink makes a link where there is nothing.
func (c *composer) defaultLink(ctx context.Context, l link) error {
	free, err := c.free(ctx, l.Path)
	if err != nil || !free {
		return err
	}
	n := action.Node{Kind: action.Symlink, Target: l.Target, Attr: action.Attr{Mode: action.ModeSymlink}}
	return c.e.Put(ctx, l.Path, n, action.Refuse)
}

// homes makes the folders of users; root's is there, and another's mode stays.
func (c *composer) homes(ctx context.Context) error {
	for _, h := range c.p.Homes {
		ok, err := c.free(ctx, h)
		if err != nil {
			return err
		}
		if ok {
			if err := c.e.Mkdir(ctx, h); err != nil {
				return fmt.Errorf("making home folder: %w", err)
			}
		}
	}
	return nil
}

func (c *composer) attributes(ctx context.Context) error {
	for _, o := range c.p.Owners {
		if err := c.chown(ctx, o); err != nil {
			return err
		}
	}
	for _, m := range c.p.Modes {
		if err := c.setMode(ctx, m); err != nil {
			return err
		}
	}
	return nil
}

// chown gives a path and all below it to an owner. Homes that are whole parts of
// the system (/, /bin) keep theirs.
func (c *composer) chown(ctx context.Context, o pathOwner) error {
	must := o.Owner != ""
	if must {
		var err error
		if o.UID, o.GID, err = c.p.Accounts.owner(o.Owner); err != nil {
			return fmt.Errorf("setting owner of %q: %w", "/"+o.Path, err)
		}
	}
	if !must && (o.UID == 0 || slices.Contains(folders, o.Path)) {
		return nil
	}
	var paths []string
	err := c.e.Walk(ctx, func(p string, n action.Node) error {
		switch {
		case p == o.Path || o.Path == "" || strings.HasPrefix(p, o.Path+"/"):
			paths = append(paths, p)
		case n.Kind == action.Dir && p != "" && !strings.HasPrefix(o.Path, p+"/"):
			return fs.SkipDir
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(paths) == 0 && must {
		return fmt.Errorf("setting owner of %q: there is no such path; see owners", "/"+o.Path)
	}
	for _, p := range paths {
		err := c.e.SetAttr(ctx, p, func(_ action.Kind, a *action.Attr) { a.UID, a.GID = o.UID, o.GID })
		if err != nil {
			return err
		}
	}
	return nil
}

func (c *composer) setMode(ctx context.Context, m pathMode) error {
	var symlink bool
	err := c.e.SetAttr(ctx, m.Path, func(k action.Kind, a *action.Attr) {
		symlink = k == action.Symlink
		if !symlink {
			a.Mode = m.Mode
		}
	})
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fmt.Errorf("setting mode of %q: there is no such path; see modes", "/"+m.Path)
	case symlink:
		return fmt.Errorf("setting mode of %q: it is a symlink; name the file that it leads to", "/"+m.Path)
	}
	return err
}

// readAll returns a small file.
func readAll(ctx context.Context, env action.Env, d action.Digest) ([]byte, error) {
	const most = 1 << 20
	if d.Size > most {
		return nil, fmt.Errorf("got a file of %d bytes, want at most %d", d.Size, most)
	}
	b, err := env.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}
