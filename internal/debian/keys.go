package debian

import (
	"embed"
	"fmt"
	"io"
	"sync"

	"github.com/ProtonMail/go-crypto/openpgp"
)

// keys holds the archive's and the release team's keys, as Debian ships them in
// the package debian-archive-keyring. They sign the suites of bookworm and
// trixie, their updates and security suites, testing and unstable.
//
//go:embed keys/*.gpg
var keyFiles embed.FS

// Keys returns the built-in keys of the Debian archive.
var Keys = sync.OnceValues(func() (openpgp.EntityList, error) {
	files, err := keyFiles.ReadDir("keys")
	if err != nil {
		return nil, err
	}
	var keys openpgp.EntityList
	for _, f := range files {
		r, err := keyFiles.Open("keys/" + f.Name())
		if err != nil {
			return nil, err
		}
		list, err := ReadKeys(r)
		_ = r.Close()
		if err != nil {
			return nil, fmt.Errorf("reading built-in key %s: %w", f.Name(), err)
		}
		keys = append(keys, list...)
	}
	return keys, nil
})

// ReadKeys reads an OpenPGP key ring in binary form.
func ReadKeys(r io.Reader) (openpgp.EntityList, error) { return openpgp.ReadKeyRing(r) }
