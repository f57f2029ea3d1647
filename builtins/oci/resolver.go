package oci

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labstar/labstar/internal/download"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/internal/registry"
)

// Resolvers returns what fills in the lock for this group, by kind of entry.
func Resolvers() map[string]lock.Resolver {
	return map[string]lock.Resolver{kindPulled: pullResolver{}}
}

// pullResolver asks registries what a tag names.
type pullResolver struct{}

// Resolve implements lock.Resolver.
func (pullResolver) Resolve(ctx context.Context, env lock.Env, wants []lock.Request, f *lock.File, _ []string) error {
	for _, w := range wants {
		if _, ok := f.Get(kindPulled, w.Name); ok {
			continue
		}
		pin, err := pinNow(ctx, env, w.Name)
		if err == nil {
			err = f.Set(kindPulled, w.Name, pin.fields()...)
		}
		if err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return &lock.RequestError{Request: w, Err: err, Hint: pullHint}
		}
	}
	return nil
}

const pullHint = "check the name and the network; a mirror is named in oci.mirror (LABSTAR_OCI_MIRROR), a registry with plain HTTP in oci.plain-http (LABSTAR_OCI_PLAIN_HTTP)"

// splitEntry takes an entry's name apart: OS/ARCH[/VARIANT]/REF.
func splitEntry(entry string) (platform, string, error) {
	f := strings.SplitN(entry, "/", 3)
	if len(f) < 3 {
		return platform{}, "", fmt.Errorf("malformed request %q, want PLATFORM/REF", entry)
	}
	p, rest := platform{OS: f[0], Arch: f[1]}, f[2]
	if v, ref, ok := strings.Cut(rest, "/"); ok && len(v) == 2 && v[0] == 'v' && v[1] >= '5' && v[1] <= '9' {
		p.Variant, rest = v, ref // arm/v7; a repository of that name would need a longer one
	}
	return p, rest, nil
}

// pinNow returns what a registry has now for an entry.
func pinNow(ctx context.Context, env lock.Env, entry string) (pulledPin, error) {
	p, s, err := splitEntry(entry)
	if err != nil {
		return pulledPin{}, err
	}
	ref, err := name.ParseReference(s)
	if err != nil {
		return pulledPin{}, err
	}
	repos, err := repositories(ref.Context().Name(), env.Setting)
	if err != nil {
		return pulledPin{}, err
	}
	var last error
	for _, repo := range repos {
		pin, err := pinAt(ctx, repo, ref.Identifier(), s, p)
		if err == nil {
			return pin, nil
		}
		if last == nil || !registry.IsNotFound(err) {
			last = err
		}
	}
	return pulledPin{}, last
}

func pinAt(ctx context.Context, repo *registry.Repository, tag, ref string, p platform) (pulledPin, error) {
	raw, d, err := repo.Manifest(ctx, tag)
	if err != nil {
		return pulledPin{}, err
	}
	if d.MediaType.IsIndex() {
		child, err := chooseManifest(raw, ref, p)
		if err != nil {
			return pulledPin{}, err
		}
		if raw, d, err = repo.Manifest(ctx, child.Digest.String()); err != nil {
			return pulledPin{}, err
		}
	}
	if !d.MediaType.IsImage() {
		return pulledPin{}, fmt.Errorf("pulling %s: got the media type %s, want an image's", ref, d.MediaType)
	}
	var m v1.Manifest
	if err := json.Unmarshal(raw, &m); err != nil {
		return pulledPin{}, fmt.Errorf("reading the manifest of %s: %w", ref, err)
	}
	pin := pulledPin{manifest: d, config: bare(m.Config)}
	for i, l := range m.Layers {
		if _, known := ociTypes[l.MediaType]; !known && !strings.HasPrefix(string(l.MediaType), "application/vnd.oci.image.layer.v1.tar") {
			return pulledPin{}, fmt.Errorf("pulling %s: layer %d has the media type %s, want a tar, with gzip, zstd or plain", ref, i, l.MediaType)
		}
		pin.layers = append(pin.layers, bare(l))
	}
	if len(pin.layers) == 0 {
		return pulledPin{}, fmt.Errorf("pulling %s: it has no layers, so it is no image to run", ref)
	}
	return pin, checkPlatform(ctx, repo, pin, ref, p)
}

func bare(d v1.Descriptor) v1.Descriptor {
	return v1.Descriptor{MediaType: d.MediaType, Digest: d.Digest, Size: d.Size}
}

// chooseManifest returns the image of an index for a platform.
func chooseManifest(raw []byte, ref string, p platform) (v1.Descriptor, error) {
	var index v1.IndexManifest
	if err := json.Unmarshal(raw, &index); err != nil {
		return v1.Descriptor{}, fmt.Errorf("reading the manifest of %s: %w", ref, err)
	}
	var has []string
	for _, m := range index.Manifests {
		if m.Platform == nil || !m.MediaType.IsImage() {
			continue
		}
		got := platform{OS: m.Platform.OS, Arch: m.Platform.Architecture, Variant: m.Platform.Variant}
		if got.OS == p.OS && got.Arch == p.Arch && (p.Variant == "" || got.Variant == p.Variant) {
			return m, nil
		}
		if got.OS != "unknown" { // what is no image to run: attestations of buildkit
			has = append(has, got.String())
		}
	}
	return v1.Descriptor{}, fmt.Errorf("%s is not there for %s, only for %s", ref, p, strings.Join(has, ", "))
}

// memory keeps a small blob.
type memory struct{ bytes.Buffer }

func (*memory) Abort() {}

// checkPlatform reads the image's configuration, which says what it runs on.
func checkPlatform(ctx context.Context, repo *registry.Repository, pin pulledPin, ref string, p platform) error {
	const most = 8 << 20
	if pin.config.Size > most {
		return fmt.Errorf("pulling %s: its configuration has %d bytes, want at most %d", ref, pin.config.Size, most)
	}
	var sink *memory
	err := repo.Fetch(ctx, pin.config, func() (download.Sink, error) { sink = &memory{}; return sink, nil }, nil)
	if err != nil {
		return err
	}
	var cf v1.ConfigFile
	if err := json.Unmarshal(sink.Bytes(), &cf); err != nil {
		return fmt.Errorf("reading the configuration of %s: %w", ref, err)
	}
	if len(cf.RootFS.DiffIDs) != len(pin.layers) {
		return fmt.Errorf("reading the configuration of %s: it names %d layers, and the manifest %d", ref, len(cf.RootFS.DiffIDs), len(pin.layers))
	}
	if cf.OS != p.OS || cf.Architecture != p.Arch {
		return fmt.Errorf("%s is not there for %s, only for %s/%s", ref, p, cf.OS, cf.Architecture)
	}
	return nil
}
