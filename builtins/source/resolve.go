package source

import (
	"context"
	"encoding/hex"
	"fmt"
	"os"
	"strconv"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/download"
	"github.com/labstar/labstar/internal/lock"
)

// fetchResolver finds the hashes that calls of fetch leave out: it fetches what
// is there now, over https, and hashes it.
type fetchResolver struct{}

// Resolve implements lock.Resolver.
func (fetchResolver) Resolve(ctx context.Context, env lock.Env, wants []lock.Request, f *lock.File, _ []string) error {
	for _, w := range wants {
		if _, ok := f.Get(lockKind, w.Name); ok {
			continue
		}
		fields, err := pinNow(ctx, env, w.Name)
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &lock.RequestError{Request: w, Err: fmt.Errorf("fetching %s: %w", w.Name, err)}
		}
		if err := f.Set(lockKind, w.Name, fields...); err != nil {
			return &lock.RequestError{Request: w, Err: err}
		}
	}
	return nil
}

// pinNow returns the fields of an entry for what the address has now.
func pinNow(ctx context.Context, env lock.Env, name string) ([]string, error) {
	a, err := parseAddress(name)
	if err != nil {
		return nil, err
	}
	if err := a.unpinned(); err != nil {
		return nil, err
	}
	if a.git {
		dir, err := os.MkdirTemp(env.Dir, "git-")
		if err != nil {
			return nil, err
		}
		defer os.RemoveAll(dir)
		t := newHashTree()
		if err := getGit(ctx, name, dir, t); err != nil {
			return nil, err
		}
		d, err := t.Commit()
		return []string{"tree:" + d.Hex()}, err
	}
	var sink *hashSink
	err = get(ctx, want{
		urls: []string{name}, client: env.Client,
		create: func() (download.Sink, error) { sink = &hashSink{action.NewHasher()}; return sink, nil },
		progress: func(done, total int64) {
			if env.Progress != nil {
				env.Progress(a.base(), done, total)
			}
		},
	})
	if err != nil {
		return nil, err
	}
	d := sink.Digest()
	return []string{"sha256:" + hex.EncodeToString(d.Hash[:]), strconv.FormatInt(d.Size, 10)}, nil
}

// hashSink keeps nothing but the digest.
type hashSink struct{ *action.Hasher }

func (hashSink) Abort() {}
