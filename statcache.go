package labstar

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"io/fs"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// statCache remembers the digests of a script's local files by what stat says of
// them, as git's index does: a note in the store, one for each folder. A damaged
// or missing note only costs time.
//
// The note is a version byte, then for each file, sorted by path: the path with
// its length before it, and a fixed-size record.
type statCache struct {
	store store.Store
	name  string
	now   time.Time

	mu      sync.Mutex
	entries map[string]statEntry
	changed bool
}

type statEntry struct {
	Size, Mtime, Ctime int64 // bytes, nanoseconds
	Inode              uint64
	Hash               [32]byte
}

const statVersion = 1

// racy is how old a file must be before its stat data is trusted: one that is
// younger could change again within the clock's resolution.
const racy = 2 * time.Second

// maxStatEntries bounds the note; beyond it, it starts anew.
const maxStatEntries = 1 << 20

func readStatCache(st store.Store, dir string) *statCache {
	sum := sha256.Sum256([]byte(dir))
	c := &statCache{store: st, name: "stat-" + hex.EncodeToString(sum[:12]), now: time.Now(), entries: map[string]statEntry{}}
	b, err := st.Note(c.name)
	if err != nil || len(b) == 0 || b[0] != statVersion {
		return c
	}
	for b = b[1:]; len(c.entries) < maxStatEntries; {
		n, w := binary.Uvarint(b)
		if w <= 0 || n > uint64(len(b)-w) || len(b)-w-int(n) < statEntryLen {
			return c
		}
		path := string(b[w : w+int(n)])
		b = b[w+int(n):]
		c.entries[path] = decodeStat(b[:statEntryLen])
		b = b[statEntryLen:]
	}
	return c
}

// statEntryLen is the size of a record in bytes.
const statEntryLen = 4*8 + 32

func decodeStat(b []byte) (e statEntry) {
	num := func(i int) int64 { return int64(binary.LittleEndian.Uint64(b[8*i:])) }
	e.Size, e.Mtime, e.Ctime, e.Inode = num(0), num(1), num(2), uint64(num(3))
	copy(e.Hash[:], b[32:])
	return e
}

func (e statEntry) append(b []byte) []byte {
	for _, n := range []int64{e.Size, e.Mtime, e.Ctime, int64(e.Inode)} {
		b = binary.LittleEndian.AppendUint64(b, uint64(n))
	}
	return append(b, e.Hash[:]...)
}

// Lookup returns the digest of the file at path, if it is what it was.
func (c *statCache) Lookup(path string, fi fs.FileInfo) (action.Digest, bool) {
	e, ok := statOf(fi)
	if !ok {
		return action.Digest{}, false
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	have, found := c.entries[filepath.Clean(path)]
	e.Hash = have.Hash
	return action.Digest{Hash: have.Hash, Size: have.Size}, found && have == e
}

// Store remembers the digest of the file at path.
func (c *statCache) Store(path string, fi fs.FileInfo, d action.Digest) {
	e, ok := statOf(fi)
	if !ok || c.now.Sub(fi.ModTime()) < racy || c.now.UnixNano()-e.Ctime < int64(racy) {
		return
	}
	e.Hash = d.Hash
	c.mu.Lock()
	defer c.mu.Unlock()
	c.entries[filepath.Clean(path)] = e
	c.changed = true
}

// save writes the note if there is something new in it.
func (c *statCache) save() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.changed {
		return
	}
	paths := make([]string, 0, len(c.entries))
	for p := range c.entries {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	b := []byte{statVersion}
	for _, p := range paths {
		b = binary.AppendUvarint(b, uint64(len(p)))
		b = c.entries[p].append(append(b, p...))
	}
	_ = c.store.PutNote(c.name, b) // only saves time
}
