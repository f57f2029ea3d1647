package action

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// Digest names content: the SHA-256 of the bytes and their number, as in the
// Remote Execution API v2. The zero Digest names nothing.
type Digest struct {
	Hash [sha256.Size]byte
	Size int64 // bytes
}

// Empty is the digest of no bytes.
var Empty = Of(nil)

// Of returns the digest of b.
func Of(b []byte) Digest { return Digest{Hash: sha256.Sum256(b), Size: int64(len(b))} }

// IsZero reports whether d names nothing.
func (d Digest) IsZero() bool { return d == Digest{} }

// Hex returns the hash in lower-case hexadecimal, 64 characters.
func (d Digest) Hex() string { return hex.EncodeToString(d.Hash[:]) }

// String returns "sha256:<hex>", the form used by image registries.
func (d Digest) String() string { return "sha256:" + d.Hex() }

// Compare orders digests by hash, then by size.
func (d Digest) Compare(e Digest) int {
	for i := range d.Hash {
		if d.Hash[i] != e.Hash[i] {
			return int(d.Hash[i]) - int(e.Hash[i])
		}
	}
	return int(d.Size - e.Size)
}

// MarshalText writes "<hex>/<size>", the form used by remote execution logs.
func (d Digest) MarshalText() ([]byte, error) {
	return []byte(d.Hex() + "/" + strconv.FormatInt(d.Size, 10)), nil
}

// UnmarshalText reads what MarshalText wrote.
func (d *Digest) UnmarshalText(b []byte) error {
	h, n, ok := strings.Cut(string(b), "/")
	if !ok {
		return fmt.Errorf("malformed digest: got %q, want HEX/SIZE", b)
	}
	size, err := strconv.ParseInt(n, 10, 64)
	if err != nil || size < 0 {
		return fmt.Errorf("malformed digest: got size %q, want a number of bytes", n)
	}
	hash, err := ParseHash(h)
	if err != nil {
		return err
	}
	*d = Digest{Hash: hash, Size: size}
	return nil
}

// ParseHash reads a SHA-256 in hexadecimal, with or without "sha256:" before it.
func ParseHash(s string) (hash [sha256.Size]byte, err error) {
	s = strings.TrimPrefix(s, "sha256:")
	if len(s) != 2*sha256.Size {
		return hash, fmt.Errorf("malformed sha256: got %d characters, want %d hexadecimal digits", len(s), 2*sha256.Size)
	}
	if _, err := hex.Decode(hash[:], []byte(s)); err != nil {
		return hash, fmt.Errorf("malformed sha256: %w", err)
	}
	return hash, nil
}

// Hasher computes a Digest from a stream. It is an io.Writer that never fails.
type Hasher struct {
	h hash.Hash
	n int64
}

// NewHasher returns an empty Hasher.
func NewHasher() *Hasher { return &Hasher{h: sha256.New()} }

// Write adds p to the stream.
func (h *Hasher) Write(p []byte) (int, error) {
	h.n += int64(len(p))
	return h.h.Write(p)
}

// Digest returns the digest of what was written so far.
func (h *Hasher) Digest() Digest {
	d := Digest{Size: h.n}
	h.h.Sum(d.Hash[:0])
	return d
}

// Reset forgets what was written.
func (h *Hasher) Reset() { h.h.Reset(); h.n = 0 }
