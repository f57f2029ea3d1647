package source

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strings"

	"github.com/hashicorp/go-getter/v2"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/download"
)

// fetchOp downloads a file whose hash is known.
var fetchOp = &action.Op{Name: "source/fetch", Version: 1, Network: true, Run: runFetch}

type fetchParams struct {
	Name   string   `json:"name"` // of the output
	URLs   []string `json:"urls"` // of the same content, the preferred one first
	SHA256 string   `json:"sha256,omitempty"`
}

func runFetch(ctx context.Context, env action.Env) error {
	var p fetchParams
	if err := env.Params(&p); err != nil {
		return err
	}
	sum, err := action.ParseHash(p.SHA256)
	if err != nil {
		return errors.New("not pinned: run `labstar lock`, or give sha256")
	}
	var out action.BlobWriter
	err = get(ctx, want{urls: p.URLs, sha256: sum, progress: env.Progress, create: func() (download.Sink, error) {
		var err error
		out, err = env.CreateFile(p.Name)
		return out, err
	}})
	if err != nil {
		return err
	}
	_, err = out.Commit()
	return err
}

// want is what a download has to be.
type want struct {
	urls     []string
	sha256   [32]byte // zero: not known yet
	create   func() (download.Sink, error)
	progress func(done, total int64)
	client   *http.Client // nil for the default
	policy   download.Policy
}

// get downloads w, through go-getter, which chooses among the getters by the
// address: only the ones given here exist, archives are not unpacked, and symlinks
// are not followed. The content goes to the sink, which is the store's staging
// place: nothing can read it before its hash was checked.
func get(ctx context.Context, w want) error {
	var web []string
	var errs []error
	for _, u := range w.urls {
		if !strings.HasPrefix(u, "file:") {
			web = append(web, u)
			continue
		}
		w.urls = []string{u}
		err := getOne(ctx, w)
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if w.urls = web; len(web) > 0 {
		err := getOne(ctx, w) // tries them all
		if err == nil {
			return nil
		}
		errs = append(errs, err)
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	return errors.Join(errs...)
}

func getOne(ctx context.Context, w want) error {
	client := &getter.Client{
		Getters:         []getter.Getter{&webGetter{w}, &fileGetter{w}},
		Decompressors:   map[string]getter.Decompressor{},
		DisableSymlinks: true,
	}
	_, err := client.Get(ctx, &getter.Request{Src: w.urls[0], Dst: os.DevNull, GetMode: getter.ModeFile, DisableSymlinks: true})
	return err
}

// webGetter gets files over http and https, with resumption and mirrors.
type webGetter struct{ want }

// Detect takes the addresses of the web.
func (g *webGetter) Detect(req *getter.Request) (bool, error) {
	u, err := url.Parse(req.Src)
	return err == nil && req.Forced == "" && (u.Scheme == "http" || u.Scheme == "https"), nil
}

// Mode is always that of a file.
func (g *webGetter) Mode(context.Context, *url.URL) (getter.Mode, error) { return getter.ModeFile, nil }

// Get is for folders, which the web has none of.
func (g *webGetter) Get(context.Context, *getter.Request) error {
	return errors.New("the web has files, not folders")
}

// GetFile downloads into the sink.
func (g *webGetter) GetFile(ctx context.Context, _ *getter.Request) error {
	err := download.Fetch(ctx, download.Request{
		URLs: g.urls, SHA256: g.sha256, Create: g.create, Progress: g.progress, Client: g.client, Policy: g.policy,
	})
	var failed *download.Error
	if errors.As(err, &failed) {
		return explain(failed)
	}
	return err
}

// explain adds what to do about a download that failed.
func explain(e *download.Error) error {
	text := e.Error()
	const mark = "got content with sha256 "
	if i := strings.Index(text, mark); i >= 0 && len(text) >= i+len(mark)+64 {
		return fmt.Errorf("%w\nthe address has other content than what was pinned; if that is meant, change the hash in this call "+
			"(or in lab.lock, by `labstar lock --update`) to\n  sha256 = \"%s\"", e, text[i+len(mark):][:64])
	}
	if e.NotFound() {
		return fmt.Errorf("%w\ncheck the address; if the file has moved, its content is still pinned, so a mirror can be added", e)
	}
	return fmt.Errorf("%w\ncheck the network and its proxy settings (HTTPS_PROXY), or add mirrors", e)
}

// fileGetter reads files of this machine, which are pinned like any other.
type fileGetter struct{ want }

// Detect takes file: addresses.
func (g *fileGetter) Detect(req *getter.Request) (bool, error) {
	u, err := url.Parse(req.Src)
	return err == nil && req.Forced == "" && u.Scheme == "file", nil
}

// Mode is always that of a file.
func (g *fileGetter) Mode(context.Context, *url.URL) (getter.Mode, error) {
	return getter.ModeFile, nil
}

// Get is for folders.
func (g *fileGetter) Get(context.Context, *getter.Request) error {
	return errors.New("got a folder, want a file")
}

// GetFile copies into the sink.
func (g *fileGetter) GetFile(ctx context.Context, _ *getter.Request) error {
	u, err := url.Parse(g.urls[0]) // as it was written: go-getter gives // a meaning
	if err != nil {
		return err
	}
	f, err := os.Open(u.Path)
	if err != nil {
		return err
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return err
	}
	if !st.Mode().IsRegular() {
		return fmt.Errorf("%s is no regular file", f.Name())
	}
	w, err := g.create()
	if err != nil {
		return err
	}
	h := action.NewHasher()
	if _, err := io.Copy(io.MultiWriter(w, h), contextReader{ctx, f}); err != nil {
		w.Abort()
		return err
	}
	if got := h.Digest(); got.Hash != g.sha256 {
		w.Abort()
		return fmt.Errorf("%s has other content than what was pinned: got sha256 %s, want %s; if that is meant, change sha256 in this call",
			f.Name(), got.Hex(), hex.EncodeToString(g.sha256[:]))
	}
	return nil
}

// contextReader stops reading when the context ends.
type contextReader struct {
	ctx context.Context
	r   io.Reader
}

func (r contextReader) Read(p []byte) (int, error) {
	if err := r.ctx.Err(); err != nil {
		return 0, err
	}
	return r.r.Read(p)
}
