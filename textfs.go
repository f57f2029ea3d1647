package labstar

import (
	"io/fs"
	"strings"
	"time"
)

// textFS is a file system with one more file at its top.
type textFS struct {
	fs.FS
	name, text string
}

// linkedTextFS is textFS of one that has symlinks.
type linkedTextFS struct {
	textFS
	links fs.ReadLinkFS
}

func withText(fsys fs.FS, name, text string) fs.FS {
	t := textFS{fsys, name, text}
	if links, ok := fsys.(fs.ReadLinkFS); ok {
		return linkedTextFS{t, links}
	}
	return t
}

func (t textFS) Open(name string) (fs.File, error) {
	if name == t.name {
		return &textFile{strings.NewReader(t.text), t}, nil
	}
	return t.FS.Open(name)
}

func (t linkedTextFS) Lstat(name string) (fs.FileInfo, error) {
	if name == t.name {
		return textInfo{t.textFS}, nil
	}
	return t.links.Lstat(name)
}

func (t linkedTextFS) ReadLink(name string) (string, error) { return t.links.ReadLink(name) }

type textFile struct {
	*strings.Reader
	of textFS
}

func (f *textFile) Stat() (fs.FileInfo, error) { return textInfo{f.of}, nil }
func (f *textFile) Close() error               { return nil }

type textInfo struct{ of textFS }

func (i textInfo) Name() string       { return i.of.name }
func (i textInfo) Size() int64        { return int64(len(i.of.text)) }
func (i textInfo) Mode() fs.FileMode  { return 0o444 }
func (i textInfo) ModTime() time.Time { return time.Time{} }
func (i textInfo) IsDir() bool        { return false }
func (i textInfo) Sys() any           { return nil }
