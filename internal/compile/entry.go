//go:build linux

package compile

import (
	"bytes"
	"cmp"
	"context"
	"fmt"

	"github.com/labstar/labstar/action"
)

// entry is what a command line left: files, what it printed, how it ended.
type entry struct {
	files  []file
	stderr []byte
	stdout []byte // of a probe
	status int    // of a probe; compilations that fail are not kept
}

// file is one output. Its role names it in the store, its path is the request's.
type file struct {
	role    string
	path    string
	content []byte
	replace bool // a file that is there is unlinked first, as the assembler does
	exec    bool
	missing bool // that there is none is an outcome
	absent  bool // there is none
}

// load reads the outputs that want names from the store.
func (c *Cache) load(ctx context.Context, key action.Digest, want []file) (*entry, error) {
	res, err := c.Store.Result(ctx, key)
	if err != nil {
		return nil, err
	}
	e := &entry{}
	for _, f := range want {
		o, ok := res.Output(f.role)
		if !ok && f.missing {
			continue
		}
		if !ok {
			return nil, fmt.Errorf("entry without %s", f.role)
		}
		if f.content, err = readBlob(ctx, c.Store, o.Digest); err != nil {
			return nil, err
		}
		e.files = append(e.files, f)
	}
	if !res.Log.IsZero() {
		e.stderr, err = readBlob(ctx, c.Store, res.Log)
	}
	return e, err
}

// save publishes an entry under its key, as an action's result.
func (c *Cache) save(ctx context.Context, key action.Digest, e *entry, millis int64) error {
	res := &action.Result{Millis: millis}
	for _, f := range e.files {
		if f.absent {
			continue
		}
		d, err := c.Store.PutBlob(ctx, f.content)
		if err != nil {
			return err
		}
		res.Outputs = append(res.Outputs, action.OutputDigest{Name: f.role, Kind: action.File, Digest: d})
	}
	if len(e.stderr) > 0 {
		d, err := c.Store.PutBlob(ctx, e.stderr)
		if err != nil {
			return err
		}
		res.Log = d
	}
	return c.Store.PutResult(ctx, res, key)
}

// differs names what is different in another run of the same command line.
func (e *entry) differs(again *entry) string {
	for i, f := range e.files {
		if !bytes.Equal(f.content, again.files[i].content) {
			return cmp.Or(f.path, f.role)
		}
	}
	return ""
}
