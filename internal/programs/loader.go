package programs

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ldcache"
)

// loader is a dynamic loader of the tree and where it searches.
type loader struct {
	dirs []string
	musl bool
}

// loader reads where a loader of the tree searches by itself.
func (p *Checker) loader(ctx context.Context, interp string) (*loader, error) {
	if l := p.loaders[interp]; l != nil {
		return l, nil
	}
	l := &loader{musl: strings.HasPrefix(path.Base(interp), "ld-musl-")}
	p.loaders[interp] = l
	if l.musl {
		arch := strings.TrimSuffix(strings.TrimPrefix(path.Base(interp), "ld-musl-"), ".so.1")
		list, err := p.readText(ctx, "etc/ld-musl-"+arch+".path")
		if err != nil {
			return nil, err
		}
		l.dirs = strings.FieldsFunc(list, func(r rune) bool { return r == '\n' || r == ':' })
		if len(l.dirs) == 0 {
			l.dirs = []string{"/lib", "/usr/local/lib", "/usr/lib"}
		}
		return l, nil
	}
	if p.cache == nil {
		if err := p.readCache(ctx); err != nil {
			return nil, err
		}
	}
	at, err := p.resolve(ctx, interp)
	if err != nil {
		return nil, err
	}
	l.dirs, err = p.systemDirs(ctx, at.node.Digest)
	return l, err
}

func (p *Checker) readCache(ctx context.Context) error {
	p.cache = map[string][]string{}
	text, err := p.readText(ctx, "etc/ld.so.cache")
	if err != nil || text == "" {
		return err
	}
	libs, err := ldcache.Decode([]byte(text))
	if err != nil {
		return nil // the loader ignores what it does not know
	}
	for _, l := range libs {
		p.cache[l.Name] = append(p.cache[l.Name], l.Path)
	}
	return nil
}

// glibcDirs are where builds of the GNU C library search by themselves: as they
// come from its source, and as Debian and its like set them.
var glibcDirs = []string{
	"/lib/x86_64-linux-gnu/", "/usr/lib/x86_64-linux-gnu/", "/lib/aarch64-linux-gnu/", "/usr/lib/aarch64-linux-gnu/",
	"/lib/i386-linux-gnu/", "/usr/lib/i386-linux-gnu/", "/lib64/", "/usr/lib64/", "/lib32/", "/usr/lib32/", "/lib/", "/usr/lib/",
}

// systemDirs are those of glibcDirs that are in the loader's text.
func (p *Checker) systemDirs(ctx context.Context, d action.Digest) ([]string, error) {
	const most = 8 << 20
	if d.Size > most {
		return nil, nil
	}
	b, err := p.Content.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	text := make([]byte, d.Size)
	if _, err := b.ReadAt(text, 0); err != nil {
		return nil, err
	}
	var dirs, all []string
	for _, dir := range glibcDirs {
		clean := strings.TrimSuffix(dir, "/")
		all = append(all, clean)
		if bytes.Contains(text, []byte("\x00"+dir+"\x00")) {
			dirs = append(dirs, clean)
		}
	}
	if len(dirs) == 0 {
		return all, nil
	}
	return dirs, nil
}

// readText returns a small file of the tree, "" if there is none.
func (p *Checker) readText(ctx context.Context, name string) (string, error) {
	n, _, err := p.Edit.Resolve(ctx, name)
	if errors.Is(err, fs.ErrNotExist) || err == nil && n.Kind != action.Regular {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	b, err := p.Content.OpenBlob(ctx, n.Digest)
	if err != nil {
		return "", err
	}
	defer b.Close()
	text, err := io.ReadAll(b)
	return string(text), err
}
