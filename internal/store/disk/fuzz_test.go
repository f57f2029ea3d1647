package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/labstar/labstar/action"
)

func samplePack() ([]byte, []entry) {
	b := appendPackHeader(nil, bootID{1})
	var entries []entry
	for i, r := range []record{
		{typ: recBlob, digest: action.Of([]byte("hello")), payload: []byte("hello"), seconds: 1},
		{typ: recFile, digest: action.Of([]byte("large")), payload: location{path: "a/b"}.encode(), seconds: 1},
		{typ: recResult, digest: keyOf(1), payload: (&action.Result{Millis: 3}).Encode(), seconds: 1},
		{typ: recCommit, seconds: 1},
		{typ: recTree, digest: keyOf(2), seconds: 1},
	} {
		entries = append(entries, entry{typ: r.typ, hash: r.digest.Hash, size: r.digest.Size, off: int64(len(b)), plen: uint32(len(r.payload)), pos: i})
		b = appendRecord(b, r)
	}
	return b, entries
}

// FuzzPack opens a store that has an arbitrary pack: never a panic, and what is
// told about is read back as it is named.
func FuzzPack(f *testing.F) {
	sample, _ := samplePack()
	f.Add(sample)
	f.Add(sample[:len(sample)-3])
	f.Add(sample[:headerSize])
	f.Add([]byte{})
	dir := f.TempDir()
	open(f, dir).Close()
	f.Fuzz(func(t *testing.T, b []byte) {
		packs, _ := filepath.Glob(filepath.Join(dir, "packs", "*"))
		for _, p := range packs {
			os.Remove(p)
		}
		check(t, os.WriteFile(filepath.Join(dir, "packs", "1-a"+packSuffix), b, 0o644))
		for range 2 { // by scanning, then by its index
			s, err := Open(dir, Options{boot: &bootID{1}})
			if err != nil {
				return // a pack of a newer format
			}
			for _, p := range *s.packs.Load() {
				for _, e := range p.all() {
					d := action.Digest{Hash: e.hash, Size: e.size}
					if h, _, err := p.read(e); err == nil && h.digest != d {
						t.Errorf("entry of %s reads %s", d, h.digest)
					}
					if blob, err := s.OpenBlob(ctx, d); err == nil {
						blob.Close()
					}
					_, _ = s.Result(ctx, d)
					_, _ = s.Directory(ctx, d)
				}
			}
			must[*VerifyReport](t)(s.Verify(ctx, false, nil))
			check(t, s.Close())
		}
	})
}

// FuzzIndex looks up in an arbitrary index: never a panic, never outside it.
func FuzzIndex(f *testing.F) {
	_, entries := samplePack()
	f.Add(encodeIndex(entries, 1000, bootID{1}, 0), []byte("x"))
	f.Add(encodeIndex(nil, headerSize, bootID{1}, idxDurable), []byte{})
	f.Fuzz(func(t *testing.T, b, key []byte) {
		x, err := parseIndex(b)
		if err != nil {
			// The fuzzer can't make a checksum: see what a damaged table does.
			if len(b) < headerSize {
				return
			}
			b = bytes.Clone(b)
			fixed := encodeIndex(nil, headerSize, bootID{1}, 0)
			copy(fixed[40:56], b[40:56])
			copy(b, fixed[:60])
			sum := checksum(b[:60])
			b[60], b[61], b[62], b[63] = byte(sum), byte(sum>>8), byte(sum>>16), byte(sum>>24)
			if x, err = parseIndex(b); err != nil {
				return
			}
		}
		hash := action.Of(key).Hash
		if e, ok := x.find(&hash, recBlob); ok && (e.hash != hash || e.typ != recBlob) {
			t.Errorf("found %x, want %x", e.hash, hash)
		}
		for i := range x.n {
			e := x.at(i)
			x.find(&e.hash, e.typ)
		}
	})
}

// FuzzRoot reads an arbitrary file of roots/.
func FuzzRoot(f *testing.F) {
	f.Add([]byte("/home/me/out/disk\n" + keyOf(1).Hex() + "/5\n"))
	f.Add([]byte("\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if r, err := parseRoot(b); err == nil && !filepath.IsAbs(r.Path) {
			t.Errorf("got path %q", r.Path)
		}
	})
}

// FuzzLocation reads an arbitrary location: a path never leaves its tree.
func FuzzLocation(f *testing.F) {
	f.Add(location{path: "a/b"}.encode())
	f.Add(append(make([]byte, 32), "../x"...))
	f.Fuzz(func(t *testing.T, b []byte) {
		if l, err := parseLocation(b); err == nil && l.path != "" && !filepath.IsLocal(l.path) {
			t.Errorf("got path %q", l.path)
		}
	})
}
