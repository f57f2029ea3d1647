package action

import (
	"context"
	"io"
)

// Env is what a native op sees of the world: its parameters, its inputs by
// content, a place for its outputs, and nothing else. The engine makes one for
// each run; its methods are safe for use by several goroutines.
type Env interface {
	// Params decodes the parameters, with every token filled in, into v.
	Params(v any) error
	// Input returns the kind and digest of the input called name.
	// It panics if the action has none of that name.
	Input(name string) OutputDigest
	// Inputs returns all declared inputs, in the order of Spec.Inputs.
	Inputs() []OutputDigest

	Content

	// WriteFile sets the file output called name to b.
	WriteFile(name string, b []byte) error
	// CreateFile streams into the file output called name.
	CreateFile(name string) (BlobWriter, error)
	// SetFile sets the file output called name to content that is in the store:
	// that of an input, or what PutBlob gave.
	SetFile(name string, d Digest) error
	// PutBlob stores content that an output refers to: a file of a tree.
	PutBlob(b []byte) (Digest, error)
	// PutDirectory stores one encoded directory of a tree output.
	PutDirectory(d *Directory) (Digest, error)
	// SetTree sets the tree output called name to the tree whose directories are
	// all in the store.
	SetTree(name string, root Digest) error
	// CreateTree streams entries into the tree output called name. It is for
	// new files (unpacking); to rearrange what is in the store use Edit.
	CreateTree(name string) (TreeWriter, error)

	// Log is for lines that a person reads when the action failed.
	Log() io.Writer
	// Progress reports how far the action is, in bytes; total is 0 if unknown.
	Progress(done, total int64)
	// Config returns a setting of this machine ("debian.mirror", …), "" if unset.
	// It is for ops with Network, whose output does not depend on it.
	Config(key string) string
	// Secret returns the value of a secret, which must be among Spec.Secrets. It
	// may leave the op only as what is derived from it one way.
	Secret(name string) (string, error)
	// TempDir returns a fresh folder that goes when the action ends.
	TempDir() (string, error)
}

// Content reads what is in a store.
type Content interface {
	// OpenBlob reads a file's content.
	OpenBlob(ctx context.Context, d Digest) (Blob, error)
	// Directory reads one directory of a tree. The caller must not change it.
	Directory(ctx context.Context, d Digest) (*Directory, error)
}

// Blob is content being read.
type Blob interface {
	io.Reader
	io.ReaderAt
	io.Closer
	Size() int64
}

// BlobWriter takes a file's content. Nothing is visible before Commit.
type BlobWriter interface {
	io.Writer
	Commit() (Digest, error)
	// Abort drops what was written. After Commit it does nothing.
	Abort()
}

// TreeWriter takes a tree entry by entry, in any order; parents that were not
// given are made with the default mode, a later entry replaces an earlier one of
// the same path (a directory only updates the attributes of a directory).
// Paths are slash-separated; CleanPath is applied to each. A path that goes
// through a symlink or a file of the tree itself is an error: nothing is ever
// written outside. An Attr with mode 0 means the default mode of the kind.
// Nothing is visible before Commit.
type TreeWriter interface {
	Mkdir(path string, a Attr) error
	// File takes the content from r until EOF.
	File(path string, a Attr, r io.Reader) (Digest, error)
	Symlink(path, target string, a Attr) error
	// Link makes path the same file as old, which was given before.
	Link(path, old string) error
	// Device takes Char, Block and Fifo; it is recorded, never made.
	Device(path string, k Kind, major, minor uint32, a Attr) error
	Commit() (Digest, error)
	// Abort drops what was written. After Commit it does nothing.
	Abort()
}
