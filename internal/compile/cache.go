package compile

import (
	"context"
	"io"
	"sync"

	"github.com/klauspost/compress/zstd"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// Cache is what the servers of one process share: what texts say, by digest. The
// entries themselves are in the store.
type Cache struct {
	Store store.Store

	mu      sync.Mutex
	facts   map[action.Digest]*facts
	options map[action.Digest]*mentions
	configs map[action.Digest]*config
	shapes  map[action.Digest]*known
}

// known is a decoded shape.
type known struct {
	shape *shape
	id    action.Digest
}

// NewCache returns the cache of the entries in a store.
func NewCache(st store.Store) *Cache {
	return &Cache{
		Store: st, facts: map[action.Digest]*facts{}, options: map[action.Digest]*mentions{}, configs: map[action.Digest]*config{},
		shapes: map[action.Digest]*known{},
	}
}

func readBlob(ctx context.Context, st store.Store, d action.Digest) ([]byte, error) {
	r, err := st.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	b := make([]byte, r.Size())
	_, err = io.ReadFull(r, b)
	return b, err
}

// factsOf scans a text once.
func (c *Cache) factsOf(d action.Digest, read func() ([]byte, error)) (*facts, error) {
	c.mu.Lock()
	f := c.facts[d]
	c.mu.Unlock()
	if f != nil {
		return f, nil
	}
	text, err := read()
	if err != nil {
		return nil, err
	}
	f = scan(text)
	c.mu.Lock()
	c.facts[d] = f
	c.mu.Unlock()
	return f, nil
}

// optionsOf scans a text for the macros of options once.
func (c *Cache) optionsOf(d action.Digest, read func() ([]byte, error)) (*mentions, error) {
	c.mu.Lock()
	m := c.options[d]
	c.mu.Unlock()
	if m != nil {
		return m, nil
	}
	text, err := read()
	if err != nil {
		return nil, err
	}
	m = scanOptions(text)
	c.mu.Lock()
	c.options[d] = m
	c.mu.Unlock()
	return m, nil
}

// configOf parses a configuration header once; nil for any other text.
func (c *Cache) configOf(d action.Digest, read func() ([]byte, error)) *config {
	c.mu.Lock()
	found, ok := c.configs[d]
	c.mu.Unlock()
	if ok {
		return found
	}
	text, err := read()
	if err != nil {
		return nil
	}
	found = parseConfiguration(text)
	c.mu.Lock()
	c.configs[d] = found
	c.mu.Unlock()
	return found
}

var (
	encoder, _ = zstd.NewWriter(nil, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	decoder, _ = zstd.NewReader(nil, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(64<<20))
)

// shapeAt reads a shape from the store.
func (c *Cache) shapeAt(ctx context.Context, d action.Digest) (*known, error) {
	c.mu.Lock()
	k := c.shapes[d]
	c.mu.Unlock()
	if k != nil {
		return k, nil
	}
	packed, err := readBlob(ctx, c.Store, d)
	if err != nil {
		return nil, err
	}
	b, err := decoder.DecodeAll(packed, nil)
	if err != nil {
		return nil, err
	}
	s, err := decodeShape(b)
	if err != nil {
		return nil, err
	}
	k = &known{s, action.Of(b)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if len(c.shapes) == maxDecoded {
		clear(c.shapes)
	}
	c.shapes[d] = k
	return k, nil
}

// putShape writes a shape to the store.
func (c *Cache) putShape(ctx context.Context, s *shape) (id, blob action.Digest, err error) {
	b := s.encode()
	id = action.Of(b)
	blob, err = c.Store.PutBlob(ctx, encoder.EncodeAll(b, nil))
	return id, blob, err
}

// maxDecoded is how many shapes are held decoded. A command line asks for its own a few
// times in a row and then no more, and one is 200 KB.
const maxDecoded = 64

// maxShapes is how many shapes a command line keeps, the latest used first.
const maxShapes = 12

// shapesOf returns where the shapes of a command line are.
func (c *Cache) shapesOf(ctx context.Context, manifest action.Digest) []action.Digest {
	res, err := c.Store.Result(ctx, manifest)
	if err != nil {
		return nil
	}
	var list []action.Digest
	for _, o := range res.Outputs {
		list = append(list, o.Digest)
	}
	return list
}

// addShape puts a shape at the head of a command line's.
func (c *Cache) addShape(ctx context.Context, manifest, shape action.Digest) error {
	list := c.shapesOf(ctx, manifest)
	res := &action.Result{Outputs: []action.OutputDigest{{Name: "deps", Kind: action.File, Digest: shape}}}
	for _, d := range list {
		if d != shape && len(res.Outputs) < maxShapes {
			res.Outputs = append(res.Outputs, action.OutputDigest{Name: "deps", Kind: action.File, Digest: d})
		}
	}
	if len(list) > 0 && list[0] == shape && len(list) == len(res.Outputs) {
		return nil
	}
	return c.Store.PutResult(ctx, res, manifest)
}
