package oci

import (
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/labstar/labstar/action"
)

// kindPulled is the kind of the entries in lab.lock:
//
//	oci PLATFORM/REF sha256:HEX:SIZE:TYPE config=sha256:HEX:SIZE:TYPE layer=sha256:HEX:SIZE:TYPE…
//
// The first is the manifest of the platform.
const kindPulled = "oci"

// pulledPin is a locked image.
type pulledPin struct {
	manifest, config v1.Descriptor
	layers           []v1.Descriptor
}

func (p pulledPin) fields() []string {
	f := []string{formatDescriptor(p.manifest), "config=" + formatDescriptor(p.config)}
	for _, d := range p.layers {
		f = append(f, "layer="+formatDescriptor(d))
	}
	return f
}

func formatDescriptor(d v1.Descriptor) string {
	return fmt.Sprintf("%s:%d:%s", d.Digest, d.Size, d.MediaType)
}

func parseDescriptor(s string) (v1.Descriptor, error) {
	f := strings.SplitN(s, ":", 4)
	if len(f) != 4 || f[3] == "" {
		return v1.Descriptor{}, fmt.Errorf("got %q, want sha256:HEX:SIZE:TYPE", s)
	}
	h, err := v1.NewHash(f[0] + ":" + f[1])
	if err != nil || h.Algorithm != "sha256" {
		return v1.Descriptor{}, fmt.Errorf("got the digest %s:%s, want one of sha256", f[0], f[1])
	}
	size, err := strconv.ParseInt(f[2], 10, 64)
	if err != nil || size < 0 {
		return v1.Descriptor{}, fmt.Errorf("got the size %q, want a number of bytes", f[2])
	}
	return v1.Descriptor{MediaType: types.MediaType(f[3]), Digest: h, Size: size}, nil
}

// parsePin reads the fields of an entry.
func parsePin(name string, fields []string) (pulledPin, error) {
	var p pulledPin
	bad := func(err error) (pulledPin, error) {
		return p, fmt.Errorf("lab.lock: malformed entry of image %s: %w; run `labstar lock --update %s`", name, err, name[strings.LastIndexByte(name, '/')+1:])
	}
	for i, f := range fields {
		key, value, ok := strings.Cut(f, "=")
		if i == 0 {
			key, value, ok = "", f, true
		}
		d, err := parseDescriptor(value)
		switch {
		case err != nil:
			return bad(err)
		case i == 0:
			p.manifest = d
		case ok && key == "config":
			p.config = d
		case ok && key == "layer":
			p.layers = append(p.layers, d)
		default:
			return bad(fmt.Errorf("got the field %q", f))
		}
	}
	if p.config.Digest.Hex == "" || len(p.layers) == 0 {
		return bad(fmt.Errorf("got no configuration or no layer"))
	}
	return p, nil
}

// digestOf is the store's name of a blob; its hash is known to be whole.
func digestOf(d v1.Descriptor) action.Digest {
	out := action.Digest{Size: d.Size}
	_, _ = hex.Decode(out.Hash[:], []byte(d.Digest.Hex))
	return out
}
