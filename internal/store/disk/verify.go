package disk

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"sync"

	"github.com/labstar/labstar/action"
)

// Problem is something that Verify found to be other than it was written.
type Problem struct {
	Path string // of the file
	What string // "blob", "directory", "result", "file", "tree", "pack", "index"
	// Digest is that of the content (or the result's key), as it should be.
	Digest action.Digest
	Err    error
}

func (p Problem) String() string {
	return fmt.Sprintf("%s %s: %v (%s)", p.What, p.Digest, p.Err, p.Path)
}

// VerifyReport says what Verify read and found.
type VerifyReport struct {
	Blobs, Directories, Results, Files, Trees int
	Bytes                                     int64 // that were hashed
	Problems                                  []Problem
	Repaired                                  bool // what was damaged is gone, and every result that needs it
}

// Verify reads everything in the store and compares it with its digest. With
// repair it drops what is damaged, and what is not whole without it: it is built
// again when it is needed; for that it waits until no other process has the store
// open. progress, if not nil, is told how many bytes are done, now and then.
func (s *Store) Verify(ctx context.Context, repair bool, progress func(done int64)) (*VerifyReport, error) {
	v := &verifier{s: s, ctx: ctx, progress: progress, bad: map[badKey]struct{}{}, good: map[action.Digest]struct{}{},
		inodes: map[inode]hashed{}, whole: map[action.Digest]error{}, report: &VerifyReport{}, badTrees: map[[32]byte]struct{}{}}
	var err error
	if repair {
		if err = s.writeable("repairing"); err == nil {
			err = s.sweep(ctx, v.repair)
		}
	} else if err = s.refresh(true); err == nil {
		err = v.check()
	}
	if err != nil {
		return nil, s.explain("verifying", err)
	}
	return v.report, nil
}

type badKey struct {
	pack string
	off  int64
}

type inode struct{ dev, ino uint64 }

// hashed is what a file turned out to hold.
type hashed struct {
	digest action.Digest
	err    error
}

// verifier is one run of Verify.
type verifier struct {
	s        *Store
	ctx      context.Context
	progress func(int64)
	report   *VerifyReport

	entries  map[*pack][]entry
	bad      map[badKey]struct{}
	good     map[action.Digest]struct{} // content with a copy that is whole
	badTrees map[[32]byte]struct{}
	badFiles []string
	whole    map[action.Digest]error // directories, with all below them

	mu     sync.Mutex
	inodes map[inode]hashed
}

func (v *verifier) problem(p *pack, off int64, pr Problem) {
	if p != nil {
		v.bad[badKey{p.name, off}] = struct{}{}
	}
	v.report.Problems = append(v.report.Problems, pr)
}

func (v *verifier) check() error {
	v.entries = make(map[*pack][]entry)
	packs := *v.s.packs.Load()
	for _, p := range packs {
		if err := v.scan(p); err != nil {
			return err
		}
	}
	if err := v.files(packs); err != nil {
		return err
	}
	for _, p := range packs {
		for _, e := range v.entries[p] {
			if err := v.ctx.Err(); err != nil {
				return err
			}
			d := action.Digest{Hash: e.hash, Size: e.size}
			switch e.typ {
			case recDir:
				if err := v.tree(d); err != nil {
					v.problem(nil, 0, Problem{p.path, "directory", d, err})
				}
			case recTree:
				v.report.Trees++
				v.folder(p, e, d)
			}
		}
	}
	return nil
}

// scan reads the records of a pack themselves, whatever its index says.
func (v *verifier) scan(p *pack) error {
	p.mu.RLock()
	end := p.end
	p.mu.RUnlock()
	latest := make(map[liveKey]entry)
	sc := scanner{r: p.f, off: headerSize}
	for sc.off < end {
		if err := v.ctx.Err(); err != nil {
			return err
		}
		h, payload, off, err := sc.next()
		if err != nil && !errors.Is(err, errPayload) {
			v.problem(nil, 0, Problem{p.path, "pack", action.Digest{}, fmt.Errorf("its records can't be read from %d to %d: %w", off, end, err)})
			break
		}
		if h.typ == recCommit {
			continue
		}
		e := entry{typ: h.typ, hash: h.digest.Hash, size: h.digest.Size, off: off, plen: h.plen, pos: -1}
		if err == nil {
			err = v.record(h, payload)
		}
		if err != nil {
			v.problem(p, off, Problem{p.path, what(h.typ), h.digest, err})
			continue
		}
		latest[liveKey{e.hash, e.typ}] = e
		if x, ok := p.find(&e.hash, e.typ); p.idx != nil && (!ok || x.off < off || x.plen != e.plen && x.off == off) {
			v.problem(nil, 0, Problem{p.path, "index", h.digest, errors.New("its index does not tell of it")})
		}
	}
	for _, e := range latest {
		v.entries[p] = append(v.entries[p], e)
	}
	slices.SortFunc(v.entries[p], func(a, b entry) int { return int(a.off - b.off) })
	return nil
}

func what(t recType) string {
	switch t {
	case recBlob:
		return "blob"
	case recDir:
		return "directory"
	case recTree:
		return "tree"
	case recResult:
		return "result"
	}
	return "file"
}

// record checks what a record holds against what it names.
func (v *verifier) record(h header, payload []byte) error {
	switch h.typ {
	case recBlob, recDir:
		v.hashed(int64(len(payload)))
		if action.Of(payload) != h.digest {
			return errors.New("its content has another digest")
		}
		if h.typ == recBlob {
			v.report.Blobs++
		} else {
			v.report.Directories++
			if _, err := action.DecodeDirectory(payload); err != nil {
				return err
			}
		}
		v.good[h.digest] = struct{}{}
	case recResult:
		v.report.Results++
		_, err := action.DecodeResult(payload)
		return err
	case recFile, recExec:
		_, err := parseLocation(payload)
		return err
	}
	return nil
}

func (v *verifier) hashed(n int64) {
	v.report.Bytes += n
	if v.progress != nil {
		v.progress(v.report.Bytes)
	}
}

// files hashes the files that records name, in parallel.
func (v *verifier) files(packs []*pack) error {
	type job struct {
		p    *pack
		e    entry
		path string
	}
	jobs := make(chan job)
	var wg sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		wg.Go(func() {
			for j := range jobs {
				got := v.hash(j.path)
				d := action.Digest{Hash: j.e.hash, Size: j.e.size}
				v.mu.Lock()
				v.report.Files++
				if got.err == nil && got.digest != d {
					got.err = fmt.Errorf("it holds %s", got.digest)
				}
				if got.err == nil {
					got.err = checkKept(j.path, j.e.typ == recExec)
				}
				if got.err != nil {
					v.badFiles = append(v.badFiles, j.path)
					v.problem(j.p, j.e.off, Problem{j.path, "file", d, got.err})
				} else {
					v.good[d] = struct{}{}
				}
				v.mu.Unlock()
			}
		})
	}
	for _, p := range packs {
		for _, e := range v.entries[p] {
			if e.typ != recFile && e.typ != recExec || v.ctx.Err() != nil {
				continue
			}
			path, err := v.s.locate(p, e)
			if err != nil {
				v.mu.Lock()
				v.problem(p, e.off, Problem{p.path, "file", action.Digest{Hash: e.hash, Size: e.size}, err})
				v.mu.Unlock()
				continue
			}
			jobs <- job{p, e, path}
		}
	}
	close(jobs)
	wg.Wait()
	return v.ctx.Err()
}

// checkKept reports whether a file lost the mode and time that it was given.
func checkKept(path string, exec bool) error {
	st, err := os.Lstat(path)
	switch {
	case err != nil:
		return err
	case st.Mode().Perm() != fileMode(exec):
		return fmt.Errorf("%s has mode %v, want %v", path, st.Mode().Perm(), fileMode(exec))
	case st.ModTime().Unix() != action.SourceDateEpoch:
		return fmt.Errorf("%s was changed at %v", path, st.ModTime())
	}
	return nil
}

// hash returns the digest of a file, each inode read once.
func (v *verifier) hash(path string) hashed {
	f, err := os.OpenFile(path, os.O_RDONLY|noFollow, 0)
	if err != nil {
		return hashed{err: err}
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return hashed{err: err}
	}
	if !st.Mode().IsRegular() {
		return hashed{err: fmt.Errorf("got a %v, want a file", st.Mode().Type())}
	}
	id := inodeOf(st)
	v.mu.Lock()
	known, ok := v.inodes[id]
	v.mu.Unlock()
	if ok {
		return known
	}
	h := action.NewHasher()
	_, err = io.Copy(hashing{v.ctx, h}, f)
	res := hashed{h.Digest(), err}
	v.mu.Lock()
	v.inodes[id] = res
	v.hashed(res.digest.Size)
	v.mu.Unlock()
	return res
}

// tree reports what the directory d and all below it lack.
func (v *verifier) tree(d action.Digest) error {
	if err, ok := v.whole[d]; ok {
		return err
	}
	v.whole[d] = nil // a directory can't be its own child: that would take a hash collision
	err := v.checkDir(d)
	v.whole[d] = err
	return err
}

func (v *verifier) checkDir(d action.Digest) error {
	if _, ok := v.good[d]; !ok {
		return errors.New("it is missing")
	}
	dir, err := v.s.Directory(v.ctx, d)
	if err != nil {
		return err
	}
	for i := range dir.Nodes {
		n := &dir.Nodes[i]
		switch n.Kind {
		case action.Dir:
			if err := v.tree(n.Digest); err != nil {
				return fmt.Errorf("its directory %q is not whole", n.Name)
			}
		case action.Regular:
			if _, ok := v.good[n.Digest]; !ok && n.Digest != action.Empty {
				return fmt.Errorf("the content %s of its file %q is missing", n.Digest, n.Name)
			}
		}
	}
	return nil
}
