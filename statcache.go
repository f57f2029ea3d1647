package labstar

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"hash/maphash"
	"io/fs"
	"maps"
	"math/bits"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// statCache remembers the digests of a script's local files by what stat says of
// them, as git's index does: a note in the store, one for each folder. A damaged
// or missing note only costs time.
//
// The note is a version byte, then for each file the path, relative to the folder
// and with its length before it, and a fixed-size record.
type statCache struct {
	store store.Store
	name  string
	dir   *os.File // the folder, nil if it can't be opened
	fd    int      // of dir
	now   time.Time

	// old is the note; at are the places of its records; index finds a record by
	// its path, a hash table of numbers of records, from 1 on, with a step of one:
	// a script may have read a hundred thousand files, and most runs look at the
	// same ones again.
	old   []byte
	at    []uint32
	index []uint32
	seed  maphash.Seed

	// ahead is what stat says of the files of the note now, asked for in the order
	// of the note while the script is evaluated; asked is how many are.
	ahead []statEntry
	asked atomic.Int64
	stop  atomic.Bool
	done  sync.WaitGroup

	mu  sync.Mutex
	new map[string]statEntry // by path; what this run found out
}

type statEntry struct {
	Size, Mtime, Ctime int64 // bytes, nanoseconds
	Inode              uint64
	Hash               [32]byte
}

const statVersion = 2

// racy is how old a file must be before its stat data is trusted: one that is
// younger could change again within the clock's resolution.
const racy = 2 * time.Second

// maxStatNote bounds the note, in bytes: that of some million files. A larger one
// is left alone and written anew.
const maxStatNote = 256 << 20

func readStatCache(st store.Store, dir string) *statCache {
	sum := sha256.Sum256([]byte(dir))
	c := &statCache{store: st, name: "stat-" + hex.EncodeToString(sum[:12]), now: time.Now(), seed: maphash.MakeSeed(), new: map[string]statEntry{}}
	if b, err := st.Note(c.name); err == nil && len(b) > 0 && b[0] == statVersion && len(b) <= maxStatNote {
		c.old = b
		c.buildIndex()
	}
	if d, err := os.Open(dir); err == nil {
		c.dir, c.fd = d, int(d.Fd())
		c.goAhead()
	}
	return c
}

// buildIndex finds the records of the note; it ends at a damaged one.
func (c *statCache) buildIndex() {
	for at := 1; at < len(c.old); {
		_, end := c.path(at)
		if end < 0 || end+statEntryLen > len(c.old) {
			break
		}
		c.at = append(c.at, uint32(at))
		at = end + statEntryLen
	}
	c.index = make([]uint32, 1<<bits.Len(uint(2*len(c.at))))
	for n, at := range c.at {
		path, _ := c.path(int(at))
		i := int(maphash.Bytes(c.seed, path)) & (len(c.index) - 1)
		for c.index[i] != 0 {
			i = (i + 1) & (len(c.index) - 1)
		}
		c.index[i] = uint32(n) + 1
	}
}

// maxAhead bounds the files that are asked for ahead.
const maxAhead = 1 << 18

// goAhead asks for the files of the note, which are most likely those that this
// run will ask for, beside the evaluation.
func (c *statCache) goAhead() {
	c.ahead = make([]statEntry, min(len(c.at), maxAhead))
	c.done.Go(func() {
		for n := range c.ahead {
			if c.stop.Load() {
				return
			}
			path, _ := c.path(int(c.at[n]))
			c.ahead[n], _ = statAt(c.fd, string(path))
			c.asked.Store(int64(n) + 1)
		}
	})
}

// path reads the path of the record at a place and where that ends, -1 if it is damaged.
func (c *statCache) path(at int) ([]byte, int) {
	n, w := binary.Uvarint(c.old[at:])
	if w <= 0 || n > uint64(len(c.old)-at-w) {
		return nil, -1
	}
	return c.old[at+w : at+w+int(n)], at + w + int(n)
}

// find returns the number of the record of path, -1 if there is none.
func (c *statCache) find(path string) int {
	if len(c.at) == 0 {
		return -1
	}
	for i := int(maphash.String(c.seed, path)) & (len(c.index) - 1); c.index[i] != 0; i = (i + 1) & (len(c.index) - 1) {
		n := int(c.index[i]) - 1
		if p, _ := c.path(int(c.at[n])); string(p) == path {
			return n
		}
	}
	return -1
}

// record returns what the note says of a file.
func (c *statCache) record(n int) statEntry {
	_, end := c.path(int(c.at[n]))
	return decodeStat(c.old[end:])
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

// Fresh implements host.StatCache.
func (c *statCache) Fresh(path string) (action.Digest, bool) {
	n := c.find(path)
	if n < 0 || c.dir == nil {
		return action.Digest{}, false
	}
	var now statEntry
	if int64(n) < c.asked.Load() {
		now = c.ahead[n]
	} else {
		now, _ = statAt(c.fd, path)
	}
	return now.same(c.record(n))
}

// Lookup implements host.StatCache.
func (c *statCache) Lookup(path string, fi fs.FileInfo) (action.Digest, bool) {
	now, ok := statOf(fi)
	if !ok {
		return action.Digest{}, false
	}
	c.mu.Lock()
	have, found := c.new[path]
	c.mu.Unlock()
	if !found {
		n := c.find(path)
		if n < 0 {
			return action.Digest{}, false
		}
		have = c.record(n)
	}
	return now.same(have)
}

// same returns the digest in have if all else is equal. The zero entry, of what is
// no regular file, is equal to none.
func (e statEntry) same(have statEntry) (action.Digest, bool) {
	e.Hash = have.Hash
	return action.Digest{Hash: have.Hash, Size: have.Size}, e == have && e.Inode != 0
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
	c.new[path] = e
}

// save ends the use of the cache, and writes the note if there is something new.
func (c *statCache) save() {
	c.stop.Store(true)
	c.done.Wait()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.dir != nil {
		_ = c.dir.Close()
	}
	if len(c.new) == 0 {
		return
	}
	b := []byte{statVersion}
	add := func(path, record []byte) {
		b = binary.AppendUvarint(b, uint64(len(path)))
		b = append(append(b, path...), record...)
	}
	for _, at := range c.at {
		path, end := c.path(int(at))
		if _, replaced := c.new[string(path)]; !replaced {
			add(path, c.old[end:end+statEntryLen])
		}
	}
	for _, path := range slices.Sorted(maps.Keys(c.new)) {
		add([]byte(path), c.new[path].append(nil))
	}
	_ = c.store.PutNote(c.name, b) // only saves time
}
