package debian

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/download"
)

// DefaultMirror serves those whose machine names no mirror.
const DefaultMirror = "https://mirrors.kernel.org/debian"

// Archive is the mirrors of one archive and how to use them.
type Archive struct {
	Mirrors []string           // base addresses, tried in order
	Keys    openpgp.EntityList // that may sign a suite; Keys() for Debian's own
	Now     time.Time          // the wall clock
	// IgnoreExpiry takes a suite whose Valid-Until has passed, or keys that were
	// valid when it was signed: for snapshots.
	IgnoreExpiry bool
	Client       *http.Client
	// Dir keeps indexes for the next time, by digest; "" means they aren't kept.
	Dir      string
	Progress func(what string, done, total int64)
}

// URLs returns the addresses of a path on the bases given.
func URLs(bases []string, path string) []string {
	urls := make([]string, len(bases))
	for i, b := range bases {
		urls[i] = strings.TrimRight(b, "/") + "/" + path
	}
	return urls
}

// CheckSuite reports why s can't name a suite.
func CheckSuite(s string) error {
	ok := s != "" && s[0] != '-'
	for _, c := range []byte(s) {
		ok = ok && (isDigit(c) || c >= 'a' && c <= 'z' || c == '-' || c == '.')
	}
	if !ok || strings.Contains(s, "..") {
		return fmt.Errorf("got suite %q, want a code name as in \"trixie\"", s)
	}
	return nil
}

// Release fetches the suite's InRelease and verifies it.
func (a *Archive) Release(ctx context.Context, suite string) (*Release, error) {
	if err := CheckSuite(suite); err != nil {
		return nil, err
	}
	path := "dists/" + suite + "/InRelease"
	b, err := download.Bytes(ctx, download.Request{URLs: URLs(a.Mirrors, path), Client: a.Client, Progress: a.progress(path)}, maxRelease)
	if download.IsNotFound(err) {
		return nil, fmt.Errorf("suite %q is not on the Debian mirror; it may be misspelt, or have moved to an archive: %w", suite, err)
	}
	if err != nil {
		return nil, fmt.Errorf("fetching the release of %s: %w", suite, err)
	}
	rel, err := VerifyRelease(b, a.Keys, a.Now)
	if err != nil && a.IgnoreExpiry {
		rel, err = verifyOld(b, a.Keys)
	}
	if err != nil {
		return nil, fmt.Errorf("%s of %s: %w", path, strings.Join(a.Mirrors, ", "), err)
	}
	if rel.Codename != suite && rel.Suite != suite {
		return nil, fmt.Errorf("%s: got the release of %s (%s), want %s: the mirror mixes up suites; use another one", path, rel.Codename, rel.Suite, suite)
	}
	if !a.IgnoreExpiry {
		if err := rel.CheckAge(a.Now); err != nil {
			return nil, err
		}
	}
	return rel, nil
}

// verifyOld verifies a release as of its own date, which is inside the signed
// text: the signature must hold, whatever the keys' later fate.
func verifyOld(b []byte, keys openpgp.EntityList) (*Release, error) {
	block, _ := clearsign.Decode(b)
	if block == nil {
		return nil, errors.New("got no OpenPGP clear-signed text")
	}
	s := NewStanzaReader(bytes.NewReader(block.Plaintext), "Release", "Date")
	if err := s.Next(); err != nil {
		return nil, err
	}
	date, err := parseTime(s.String(0))
	if err != nil {
		return nil, err
	}
	return VerifyRelease(b, keys, date.Add(clockSkew))
}

// Packages reads the index of the suite's main component for arch.
func (a *Archive) Packages(ctx context.Context, rel *Release, suite, arch string) (*Index, error) {
	if !slices.Contains(rel.Architectures, arch) || arch == "all" {
		return nil, fmt.Errorf("suite %s has no architecture %q: got that, want one of %s", suite, arch,
			strings.Join(slices.DeleteFunc(slices.Clone(rel.Architectures), func(s string) bool { return s == "all" }), ", "))
	}
	r, err := a.open(ctx, rel, suite, "main/binary-"+arch+"/Packages")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return ReadIndex(r, suite, arch)
}

// Sources finds source packages in the suite's main component.
func (a *Archive) Sources(ctx context.Context, rel *Release, suite string, names []string) (map[string][]*Source, error) {
	r, err := a.open(ctx, rel, suite, "main/source/Sources")
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return FindSources(r, suite, names)
}

// open fetches an index, in the smallest form there is, and decompresses it.
func (a *Archive) open(ctx context.Context, rel *Release, suite, index string) (io.ReadCloser, error) {
	for _, ext := range []string{".xz", ".gz", ""} {
		d, ok := rel.Files[index+ext]
		if !ok {
			continue
		}
		f, err := a.fetchIndex(ctx, rel, suite, index+ext, d)
		if err != nil {
			return nil, fmt.Errorf("fetching the index of %s: %w", suite, err)
		}
		r, err := decompress(f, ext)
		if err != nil {
			_ = f.Close()
			return nil, fmt.Errorf("reading the index of %s: %w", suite, err)
		}
		return readCloser{r, f}, nil
	}
	return nil, fmt.Errorf("the release of %s lists no %s", suite, index)
}

type readCloser struct {
	io.Reader
	io.Closer
}

// fetchIndex returns the verified file of an index, positioned at its start.
func (a *Archive) fetchIndex(ctx context.Context, rel *Release, suite, path string, d action.Digest) (*os.File, error) {
	kept := ""
	if a.Dir != "" {
		kept = filepath.Join(a.Dir, d.Hex())
		if f, err := openVerified(kept, d); err == nil {
			return f, nil
		}
		if err := os.MkdirAll(a.Dir, 0o755); err != nil {
			return nil, err
		}
	}
	dists := "dists/" + suite + "/"
	paths := []string{dists + path}
	if rel.ByHash { // stays right while the mirror is being updated
		paths = []string{dists + path[:strings.LastIndexByte(path, '/')] + "/by-hash/SHA256/" + d.Hex(), dists + path}
	}
	var urls []string
	for _, p := range paths {
		urls = append(urls, URLs(a.Mirrors, p)...)
	}
	var t *tempFile
	err := download.Fetch(ctx, download.Request{URLs: urls, SHA256: d.Hash, Size: d.Size, Client: a.Client, Progress: a.progress(dists + path),
		Create: func() (download.Sink, error) {
			f, err := os.CreateTemp(a.Dir, ".index-*")
			if err == nil {
				t = &tempFile{f}
			}
			return t, err
		}})
	if err != nil {
		return nil, err
	}
	if kept != "" {
		err = os.Rename(t.Name(), kept)
	} else {
		err = os.Remove(t.Name()) // goes when it is closed
	}
	if _, e := t.Seek(0, io.SeekStart); err != nil || e != nil {
		t.Abort()
		return nil, errors.Join(err, e)
	}
	return t.File, nil
}

func (a *Archive) progress(what string) func(done, total int64) {
	if a.Progress == nil {
		return nil
	}
	return func(done, total int64) { a.Progress(what, done, total) }
}

type tempFile struct{ *os.File }

func (t *tempFile) Abort() {
	_ = t.Close()
	_ = os.Remove(t.Name())
}

func openVerified(path string, d action.Digest) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	h := action.NewHasher()
	if _, err := io.Copy(h, f); err != nil || h.Digest() != d {
		_ = f.Close()
		_ = os.Remove(path)
		return nil, fmt.Errorf("%s is damaged", path)
	}
	_, err = f.Seek(0, io.SeekStart)
	return f, err
}
