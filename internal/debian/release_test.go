package debian

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/clearsign"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
)

const releaseText = `Origin: Debian
Suite: stable
Codename: trixie
Date: Sat, 12 Sep 2026 07:55:41 UTC
Valid-Until: Sat, 19 Sep 2026 07:55:41 UTC
Acquire-By-Hash: yes
Architectures: all amd64
Components: main
SHA256:
 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855 0 main/binary-amd64/Packages
`

var signedAt = time.Date(2026, 9, 12, 8, 0, 0, 0, time.UTC)

func signer(t *testing.T, name string) *openpgp.Entity {
	t.Helper()
	e, err := openpgp.NewEntity(name, "", name+"@example.org", &packet.Config{
		Algorithm: packet.PubKeyAlgoEdDSA, Time: func() time.Time { return signedAt.Add(-time.Hour) }, KeyLifetimeSecs: 7200 * 24})
	if err != nil {
		t.Fatal(err)
	}
	return e
}

// signRelease clear-signs text by all of the keys, as Debian does.
func signRelease(t *testing.T, text string, keys ...*openpgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	var private []*packet.PrivateKey
	for _, k := range keys {
		private = append(private, k.PrivateKey)
	}
	w, err := clearsign.EncodeMulti(&b, private, &packet.Config{Time: func() time.Time { return signedAt }})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := w.Write([]byte(text)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestVerifyRelease(t *testing.T) {
	mine, other := signer(t, "mine"), signer(t, "other")
	trust := openpgp.EntityList{mine}
	good := signRelease(t, releaseText, mine)
	rel, err := VerifyRelease(good, trust, signedAt)
	if err != nil {
		t.Fatal(err)
	}
	if rel.Codename != "trixie" || !rel.ByHash || len(rel.Files) != 1 || rel.Date.Year() != 2026 {
		t.Errorf("got %+v", rel)
	}
	// One known key among several is enough, at whatever place.
	for _, b := range [][]byte{signRelease(t, releaseText, other, mine), signRelease(t, releaseText, mine, other)} {
		if _, err := VerifyRelease(b, trust, signedAt); err != nil {
			t.Error(err)
		}
	}
	// Text outside of the signed part counts for nothing.
	rel, err = VerifyRelease(append([]byte("Codename: evil\n\n"), good...), trust, signedAt)
	if err == nil && rel.Codename != "trixie" {
		t.Errorf("got %s out of unsigned text", rel.Codename)
	}
	for name, b := range map[string][]byte{
		"changed":  bytes.Replace(good, []byte("trixie"), []byte("trixif"), 1),
		"unsigned": []byte(releaseText),
		"stranger": signRelease(t, releaseText, other),
		"cut":      good[:len(good)-100],
		"empty":    nil,
		"html":     []byte("<html>please log in</html>"),
	} {
		if _, err := VerifyRelease(b, trust, signedAt); err == nil {
			t.Errorf("%s: was taken", name)
		}
	}
	if _, err := VerifyRelease(good, trust, signedAt.AddDate(2, 0, 0)); err == nil {
		t.Error("a key was taken after its end")
	}
	if _, err := verifyOld(good, trust); err != nil {
		t.Errorf("ignoring expiry: %v", err)
	}
}

func TestCheckAge(t *testing.T) {
	rel, err := parseRelease([]byte(releaseText))
	if err != nil {
		t.Fatal(err)
	}
	if err := rel.CheckAge(signedAt); err != nil {
		t.Error(err)
	}
	for want, now := range map[string]time.Time{
		"valid until 2026-09-19 07:55:41": signedAt.AddDate(0, 1, 0),
		"in the future":                   signedAt.AddDate(-1, 0, 0),
	} {
		if err := rel.CheckAge(now); err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "debian.ignore-expiry") {
			t.Errorf("got %v, want %q and the remedy", err, want)
		}
	}
}

func FuzzParseRelease(f *testing.F) {
	f.Add([]byte(releaseText))
	f.Fuzz(func(t *testing.T, b []byte) {
		parseRelease(b)
		VerifyRelease(b, nil, signedAt)
	})
}
