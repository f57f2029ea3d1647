// Package store says what a store is: content-addressed blobs and trees, the
// results of actions, and what is needed to explain them. store/disk keeps it in
// a folder that many processes use at once, store/mem in memory; storetest is the
// suite that both pass.
package store

import (
	"context"
	"errors"
	"io"

	"github.com/labstar/labstar/action"
)

// ErrNotFound is returned (wrapped) for content and results that are not there.
var ErrNotFound = errors.New("not in the store")

// Store keeps content and results. It is safe for use by several goroutines.
type Store interface {
	action.Content // OpenBlob, Directory; wrapped ErrNotFound if missing

	// Has reports whether the content of d (a blob, or an encoded directory) is there.
	Has(d action.Digest) bool
	// PutBlob stores b.
	PutBlob(ctx context.Context, b []byte) (action.Digest, error)
	// CreateBlob streams a blob in.
	CreateBlob(ctx context.Context) (action.BlobWriter, error)
	// TakeIn stores contents whose digests are known and holds them to these, in any
	// order. After an error some may be stored, and none under another's digest.
	TakeIn(ctx context.Context, list []Intake) error
	// PutDirectory stores one encoded directory; what it names must be there.
	PutDirectory(ctx context.Context, d *action.Directory) (action.Digest, error)
	// CreateTree streams a tree in; its files are the storage, see action.TreeWriter.
	CreateTree(ctx context.Context) (action.TreeWriter, error)
	// Adopt moves the folder dir, made by a command, into the store as a tree:
	// files are renamed, not copied, owners become root, modes are kept to
	// 0755/0644 by the owner's run bit, times are dropped. dir is gone afterwards.
	Adopt(ctx context.Context, dir string) (action.Digest, error)
	// AdoptFile does the same for one regular file, as a blob.
	AdoptFile(ctx context.Context, path string) (action.Digest, error)
	// HasTree reports whether the tree of root is there, whole.
	HasTree(root action.Digest) bool

	// TreePath returns a host folder that shows the tree, for mounting: made at
	// first use by hard links, immutable, kept while this process runs. Owners,
	// devices and set-id bits are not shown (they are in the directories).
	TreePath(ctx context.Context, root action.Digest) (string, error)
	// Shown reports whether TreePath of root makes nothing.
	Shown(root action.Digest) bool
	// BlobPath returns a host file that holds the blob, for mounting. It is
	// read-only, and has the run bit if exec is set.
	BlobPath(ctx context.Context, d action.Digest, exec bool) (string, error)

	// Result returns what was published under key (an action's key or its
	// definition). A result whose outputs are no longer there is not found.
	Result(ctx context.Context, key action.Digest) (*action.Result, error)
	// PutResult publishes r under the keys. It is visible at once to this
	// process and to others; it outlives a crash of the machine once Sync
	// returned (before that it may be lost, never torn or wrong).
	PutResult(ctx context.Context, r *action.Result, keys ...action.Digest) error
	// Sync makes everything durable that was published so far.
	Sync(ctx context.Context) error
	// Lock waits until no other process or goroutine holds key. It dies with its holder.
	Lock(ctx context.Context, key action.Digest) (unlock func(), err error)

	// PutNote and Note keep small named values that are not content: the record
	// of the last run, times of actions, the stat cache. A note may be lost.
	PutNote(name string, b []byte) error
	Note(name string) ([]byte, error)

	// Scratch makes a fresh folder on the store's file system; the caller
	// removes it, and a later process does if the caller was killed.
	Scratch(ctx context.Context) (string, error)
	// LogFile creates the file that takes an action's output; keep is called
	// with the final say.
	LogFile(key action.Digest) (Log, error)

	Close() error
}

// Intake is a content to take in.
type Intake struct {
	Digest action.Digest
	Open   func() (io.ReadCloser, error)
	// Differs makes the error about a content that is another one.
	Differs func(got action.Digest) error
}

// Log takes what an action prints.
type Log interface {
	io.Writer
	Path() string // of the file, for the user
	Close() error
}
