package npm

import (
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"fmt"
	"hash"
	"strings"
)

// integrity is a hash in the notation of Subresource Integrity: "sha512-BASE64".
type integrity struct{ algorithm, sum string }

func (i integrity) String() string { return i.algorithm + "-" + i.sum }

// algorithms are those that are strong enough, the strongest first.
var algorithms = []struct {
	name string
	new  func() hash.Hash
}{{"sha512", sha512.New}, {"sha384", sha512.New384}, {"sha256", sha256.New}}

// parseIntegrity takes the strongest of the hashes in s.
func parseIntegrity(s string) (integrity, error) {
	for _, a := range algorithms {
		for word := range strings.FieldsSeq(s) {
			word, _, _ = strings.Cut(word, "?")
			sum, ok := strings.CutPrefix(word, a.name+"-")
			if !ok {
				continue
			}
			if b, err := base64.StdEncoding.Strict().DecodeString(sum); err != nil || len(b) != a.new().Size() {
				return integrity{}, fmt.Errorf("got the integrity %q, want %s and the base64 of %d bytes", clip(word), a.name, a.new().Size())
			}
			return integrity{a.name, sum}, nil
		}
	}
	if s == "" {
		return integrity{}, fmt.Errorf("the lock has no integrity, so nothing says which content is meant: lock it anew (npm install --package-lock-only)")
	}
	return integrity{}, fmt.Errorf("got the integrity %q, want one of sha512, sha384 or sha256: two contents can be made for a weaker one", clip(s))
}

// new returns the hash function.
func (i integrity) new() hash.Hash {
	for _, a := range algorithms {
		if a.name == i.algorithm {
			return a.new()
		}
	}
	return sha512.New()
}

// of writes a sum of the same algorithm.
func (i integrity) of(sum []byte) string {
	return i.algorithm + "-" + base64.StdEncoding.EncodeToString(sum)
}
