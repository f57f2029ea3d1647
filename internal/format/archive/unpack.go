package archive

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"strings"

	"github.com/labstar/labstar/action"
)

// member is one entry of an archive of either kind.
type member struct {
	name         string // as in the archive
	kind         kind
	link         string // target of a symlink; name of a hard link's file
	size         int64  // of the content, as the header says
	attr         action.Attr
	node         action.Kind // of a device
	major, minor uint32
}

type kind uint8

const (
	file kind = iota
	dir
	symlink
	hardlink
	device
)

// unpacker checks members and hands them to the tree.
type unpacker struct {
	ctx    context.Context
	src    *countingReaderAt
	size   int64 // of the archive
	w      action.TreeWriter
	opt    Options
	limits Limits
	pool   *writers
	prefix []string // of Options.Prefix
	tops   []string // first parts of names that Prefix left out, for the error
	kept   int64
	told   int64 // of Progress
	stats  Stats
}

func newUnpacker(ctx context.Context, src *countingReaderAt, size int64, w action.TreeWriter, opt Options) *unpacker {
	u := &unpacker{ctx: ctx, src: src, size: size, w: w, opt: opt, limits: opt.Limits.withDefaults()}
	for part := range strings.SplitSeq(opt.Prefix, "/") {
		if part != "" && part != "." {
			u.prefix = append(u.prefix, part)
		}
	}
	return u
}

func (u *unpacker) run() error {
	for _, part := range u.prefix {
		if _, err := path.Match(part, ""); err != nil || part == ".." {
			return fmt.Errorf("invalid prefix %q", u.opt.Prefix)
		}
	}
	u.pool = newWriters(u.w)
	unpack := u.tar
	var head [4]byte
	if n, _ := u.src.ReadAt(head[:], 0); n == 4 && (string(head[:]) == "PK\x03\x04" || string(head[:]) == "PK\x05\x06") {
		unpack = u.zip
	}
	err := unpack()
	// What the writers found comes first: the reader may have stopped because of it.
	if werr := u.pool.close(); werr != nil {
		err = werr
	}
	if err == nil && u.kept == 0 && len(u.prefix) > 0 {
		err = fmt.Errorf("no member is below %q; at the top there are: %s", u.opt.Prefix, strings.Join(u.tops, ", "))
	}
	return err
}

// add checks m and puts it into the tree; content is its bytes, for a file.
func (u *unpacker) add(m *member, content io.Reader) error {
	if err := u.ctx.Err(); err != nil {
		return err
	}
	if err := u.account(m); err != nil {
		return &MemberError{m.name, err}
	}
	p, ok, err := u.place(m.name, m.kind == dir)
	if err != nil {
		return &MemberError{m.name, err}
	}
	if !ok {
		return nil
	}
	u.kept++
	if !u.opt.Owners {
		m.attr.UID, m.attr.GID = 0, 0
	}
	if err := u.put(m, p, content); err != nil {
		var me *MemberError
		if errors.As(err, &me) {
			return err
		}
		return &MemberError{m.name, err}
	}
	u.progress()
	return nil
}

// account holds the limits.
func (u *unpacker) account(m *member) error {
	u.stats.Entries++
	if u.stats.Entries > u.limits.Entries {
		return fmt.Errorf("too many entries: got more than %d", u.limits.Entries)
	}
	if len(m.name) > 4096 || len(m.link) > 4096 {
		return fmt.Errorf("name or link of more than 4096 bytes")
	}
	if m.kind != file {
		return nil
	}
	u.stats.Files++
	if m.size < 0 || m.size > u.limits.Size-u.stats.Bytes {
		return fmt.Errorf("too large: unpacks to more than %d GiB", u.limits.Size>>30)
	}
	u.stats.Bytes += m.size
	return u.checkRatio(u.stats.Bytes)
}

// checkRatio stops what is small packed and huge unpacked.
func (u *unpacker) checkRatio(unpacked int64) error {
	if unpacked > u.limits.RatioFrom && unpacked/u.limits.Ratio > u.size {
		return fmt.Errorf("looks like a bomb: unpacks to more than %d times its %d bytes", u.limits.Ratio, u.size)
	}
	return nil
}

func (u *unpacker) put(m *member, p string, content io.Reader) error {
	if p == "" && m.kind != dir {
		return fmt.Errorf("stripping %d parts leaves nothing of its name: use a smaller number", u.opt.Strip)
	}
	if m.kind == file {
		return u.pool.file(p, m, content)
	}
	if err := u.pool.settle(p); err != nil {
		return err
	}
	switch m.kind {
	case dir:
		return u.w.Mkdir(p, m.attr)
	case symlink:
		if err := u.checkTarget(p, m.link); err != nil {
			return err
		}
		return u.w.Symlink(p, m.link, m.attr)
	case hardlink:
		old, ok, err := u.place(m.link, false)
		if err != nil {
			return fmt.Errorf("hard link to %q: %w", shorten(m.link), err)
		}
		if !ok || old == "" {
			return fmt.Errorf("hard link to %q, which is not unpacked", shorten(m.link))
		}
		if err := u.pool.settle(old); err != nil {
			return err
		}
		if err := u.w.Link(p, old); err != nil {
			return fmt.Errorf("hard link to %q: %w", shorten(m.link), err)
		}
		return nil
	}
	if !u.opt.Devices {
		return fmt.Errorf("got a %s, want files, directories and links: pass devices=True if it belongs there", m.node)
	}
	return u.w.Device(p, m.node, m.major, m.minor, m.attr)
}

// place finds the path in the tree for a name; ok is false if it is left out.
func (u *unpacker) place(name string, isDir bool) (p string, ok bool, err error) {
	if strings.HasPrefix(name, "/") {
		return "", false, errors.New("absolute name: it would leave the tree")
	}
	p, err = action.CleanPath(name)
	if err != nil {
		if strings.Contains("/"+name+"/", "/../") {
			err = errors.New(`name with "..": it could leave the tree`)
		}
		return "", false, err
	}
	if p, ok = u.below(p); !ok {
		return "", false, nil
	}
	for range u.opt.Strip {
		_, rest, found := strings.Cut(p, "/")
		if !found {
			return "", !isDir, nil // a directory above what is kept says nothing
		}
		p = rest
	}
	return p, true, nil
}

// below applies Options.Prefix.
func (u *unpacker) below(p string) (string, bool) {
	if len(u.prefix) == 0 {
		return p, true
	}
	rest := p
	for _, want := range u.prefix {
		part, tail, _ := strings.Cut(rest, "/")
		if ok, _ := path.Match(want, part); !ok {
			top, _, _ := strings.Cut(p, "/")
			if n := len(u.tops); n < 8 && top != "" && (n == 0 || u.tops[n-1] != top) {
				u.tops = append(u.tops, top)
			}
			return "", false
		}
		rest = tail
	}
	return rest, true
}

// checkTarget refuses a symlink at p that points out of the tree.
func (u *unpacker) checkTarget(p, target string) error {
	if target == "" || strings.ContainsRune(target, 0) {
		return fmt.Errorf("invalid symlink target %q", shorten(target))
	}
	if u.opt.ExternalLinks {
		return nil
	}
	full := path.Join(path.Dir(p), target)
	if path.IsAbs(target) || full == ".." || strings.HasPrefix(full, "../") {
		return fmt.Errorf("symlink to %q, which is outside the tree: pass allow_external_links=True if that is meant", shorten(target))
	}
	return nil
}

// progress reports now and then.
func (u *unpacker) progress() {
	if u.opt.Progress == nil {
		return
	}
	if n := u.src.n.Load(); n-u.told > 1<<20 {
		u.told = n
		u.opt.Progress(min(n, u.size), u.size)
	}
}
