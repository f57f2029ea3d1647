package debian

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/labstar/labstar/action"
)

// Release is what a suite's InRelease says.
type Release struct {
	Origin, Suite, Codename string
	Date                    time.Time
	ValidUntil              time.Time // zero: no end, as for stable releases
	ByHash                  bool      // indexes can be had under by-hash/SHA256/
	Architectures           []string
	Components              []string
	// Files are the indexes, by path relative to dists/SUITE.
	Files map[string]action.Digest
}

// maxRelease is the largest InRelease read, in bytes (trixie's has 140 kB).
const maxRelease = 8 << 20

// VerifyRelease checks the signature of an InRelease file against keys and
// reads what was signed. The keys must have been valid at the time now. It says
// nothing about the release's own age, see CheckAge.
func VerifyRelease(signed []byte, keys openpgp.EntityList, now time.Time) (*Release, error) {
	if len(signed) > maxRelease {
		return nil, fmt.Errorf("reading release: got %d bytes, want at most %d", len(signed), maxRelease)
	}
	block, _ := clearsign.Decode(signed)
	if block == nil {
		return nil, errors.New("reading release: got no OpenPGP clear-signed text; the address is no Debian mirror, or something on the way answers for it")
	}
	config := &packet.Config{Time: func() time.Time { return now }}
	if _, err := block.VerifySignature(keys, config); err != nil {
		return nil, fmt.Errorf("verifying the release's signature: %w", err)
	}
	// Only the signed text is looked at from here on.
	return parseRelease(block.Plaintext)
}

func parseRelease(text []byte) (*Release, error) {
	s := NewStanzaReader(bytes.NewReader(text), "Release",
		"Origin", "Suite", "Codename", "Date", "Valid-Until", "Acquire-By-Hash", "Architectures", "Components", "SHA256")
	if err := s.Next(); err != nil {
		return nil, fmt.Errorf("reading release: %w", err)
	}
	r := &Release{
		Origin: s.String(0), Suite: s.String(1), Codename: s.String(2), ByHash: s.String(5) == "yes",
		Architectures: strings.Fields(s.String(6)), Components: strings.Fields(s.String(7)),
		Files: map[string]action.Digest{},
	}
	var err error
	if r.Date, err = parseTime(s.String(3)); err != nil {
		return nil, fmt.Errorf("reading release: %w", err)
	}
	if s.Has(4) {
		if r.ValidUntil, err = parseTime(s.String(4)); err != nil {
			return nil, fmt.Errorf("reading release: %w", err)
		}
	}
	for line := range strings.SplitSeq(s.String(8), "\n") {
		f := strings.Fields(line)
		if len(f) == 0 {
			continue
		}
		if len(f) != 3 {
			return nil, fmt.Errorf("reading release: got %q, want HASH SIZE PATH", line)
		}
		d := action.Digest{}
		if d.Hash, err = action.ParseHash(f[0]); err != nil {
			return nil, fmt.Errorf("reading release: %w", err)
		}
		if d.Size, err = strconv.ParseInt(f[1], 10, 63); err != nil || d.Size < 0 {
			return nil, fmt.Errorf("reading release: got size %q of %s", f[1], f[2])
		}
		r.Files[f[2]] = d
	}
	if len(r.Files) == 0 {
		return nil, errors.New("reading release: got no SHA256 section")
	}
	return r, nil
}

func parseTime(s string) (time.Time, error) {
	s = strings.TrimSuffix(s, " UTC")
	s = strings.TrimSuffix(s, " +0000")
	for _, layout := range []string{"Mon, 2 Jan 2006 15:04:05", "Mon, 2 Jan 2006 15:04:05 MST"} {
		if t, err := time.Parse(layout, s); err == nil {
			return t.UTC(), nil
		}
	}
	return time.Time{}, fmt.Errorf("malformed date: got %q, want one as in \"Sat, 12 Sep 2026 07:55:41 UTC\"", s)
}

// clockSkew is by how much the clocks of the archive and of this machine may differ.
const clockSkew = 24 * time.Hour

// CheckAge reports whether the release may be used at the time now: an old one
// may be an attacker's replay, one from the future means that the clock is wrong.
func (r *Release) CheckAge(now time.Time) error {
	const ignore = "set debian.ignore-expiry = yes in the config file (or LABSTAR_DEBIAN_IGNORE_EXPIRY=yes) to use a snapshot or an archive on purpose"
	if r.Date.After(now.Add(clockSkew)) {
		return fmt.Errorf("the release of %s is dated %s, which is in the future: got the clock at %s; set it, or %s",
			r.Codename, r.Date.Format(time.DateOnly), now.UTC().Format(time.DateTime), ignore)
	}
	if !r.ValidUntil.IsZero() && now.After(r.ValidUntil) {
		return fmt.Errorf("the release of %s was valid until %s and it is %s: the mirror is out of date; use another one, or %s",
			r.Codename, r.ValidUntil.Format(time.DateTime), now.UTC().Format(time.DateTime), ignore)
	}
	return nil
}
