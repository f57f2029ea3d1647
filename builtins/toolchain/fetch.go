package toolchain

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/internal/download"
	"github.com/labstar/labstar/starlark/schema"
)

// documentation is what a toolchain has no use for.
var documentation = []string{"usr/share/bug", "usr/share/doc", "usr/share/doc-base", "usr/share/info",
	"usr/share/lintian", "usr/share/locale", "usr/share/man"}

type fetchParams struct {
	Name    string        `json:"name"`   // of the package, for errors
	Path    string        `json:"path"`   // in the archive
	Content action.Digest `json:"digest"` // of the file
}

var fetchOp = &action.Op{Name: "debian/fetch", Version: 1, Network: true, Run: runFetch}

// newFetch makes the action that fetches one file of the archive.
func newFetch(c *schema.Call, p fetchParams, title string) (*action.Artifact, error) {
	act, err := c.Action(action.Spec{
		Op: fetchOp, Params: p, Fixed: p.Content.Hash, Title: title,
		Outputs: []action.Output{{Name: "file", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return &action.Artifact{Action: act}, nil
}

// mirrors returns the configured mirrors of Debian.
func mirrors(setting func(string) string) []string {
	if list := strings.Fields(setting("debian.mirror")); len(list) > 0 {
		return list
	}
	return []string{debian.DefaultMirror}
}

// runFetch asks the mirrors, then the archives that keep what mirrors drop.
func runFetch(ctx context.Context, env action.Env) error {
	var p fetchParams
	if err := env.Params(&p); err != nil {
		return err
	}
	bases := append(mirrors(env.Config), strings.Fields(env.Config("debian.archive"))...)
	var w action.BlobWriter
	err := download.Fetch(ctx, download.Request{
		URLs: debian.URLs(bases, p.Path), SHA256: p.Content.Hash, Size: p.Content.Size, Progress: env.Progress,
		Client: client(),
		Create: func() (download.Sink, error) {
			var err error
			w, err = env.CreateFile("file")
			return w, err
		},
	})
	if err != nil {
		return explain(err, p.Name)
	}
	_, err = w.Commit()
	return err
}

// client is shared, so that connections are used again.
var client = sync.OnceValue(download.NewClient)

// explain says what to do about a failed download.
func explain(err error, name string) error {
	if download.IsNotFound(err) {
		return fmt.Errorf("package %s is no longer on the mirror: %w\n  hint: `labstar lock --update %s` takes the version that is there now; "+
			"or list an archive that keeps old ones in debian.archive (LABSTAR_DEBIAN_ARCHIVE)", name, err, name)
	}
	return fmt.Errorf("fetching package %s: %w\n  hint: check the network, or name another mirror in debian.mirror (LABSTAR_DEBIAN_MIRROR)", name, err)
}

// unlockedOp stands for what lab.lock doesn't have yet. It is never run: the
// lock is filled in first.
var unlockedOp = &action.Op{Name: "debian/unlocked", Version: 1, Run: func(context.Context, action.Env) error {
	return errors.New("lab.lock has no entry for this: run `labstar lock`")
}}
