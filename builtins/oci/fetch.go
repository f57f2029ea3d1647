package oci

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/google/go-containerregistry/pkg/name"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/download"
	"github.com/labstar/labstar/internal/registry"
)

// clients are shared, so that connections and tokens are used again. Credentials
// are read when a registry first asks for them.
var (
	secureClient = sync.OnceValue(func() *registry.Client { return registry.New(registry.Options{}) })
	plainClient  = sync.OnceValue(func() *registry.Client { return registry.New(registry.Options{PlainHTTP: true}) })
)

// repositories returns where a repository is to be had: at the mirrors of its
// registry, then at the registry itself.
func repositories(full string, setting func(string) string) ([]*registry.Repository, error) {
	r, err := name.NewRepository(full)
	if err != nil {
		return nil, err
	}
	var at []string
	for _, m := range strings.Fields(setting("oci.mirror")) {
		from, to, ok := strings.Cut(m, "=")
		if !ok || to == "" {
			return nil, fmt.Errorf("reading the setting oci.mirror: got %q, want REGISTRY=MIRROR, as docker.io=mirror.lan:5000", m)
		}
		if from == r.RegistryStr() || from == "docker.io" && r.RegistryStr() == name.DefaultRegistry {
			at = append(at, strings.TrimSuffix(to, "/")+"/"+r.RepositoryStr())
		}
	}
	plain := strings.Fields(setting("oci.plain-http"))
	var out []*registry.Repository
	for _, full := range append(at, r.Name()) {
		host, _, _ := strings.Cut(full, "/")
		client := secureClient
		if slices.Contains(plain, host) {
			client = plainClient
		}
		repo, err := client().Repository(full, registry.Pull)
		if err != nil {
			return nil, err
		}
		out = append(out, repo)
	}
	return out, nil
}

type fetchParams struct {
	Repository string        `json:"repository"`
	Name       string        `json:"name"` // of the image, for errors
	Blob       v1.Descriptor `json:"blob"`
	Manifest   bool          `json:"manifest,omitempty"`
}

// fetchOp fetches one blob or manifest by its digest.
var fetchOp = &action.Op{Name: "oci/fetch", Version: 1, Network: true, Run: runFetch}

func runFetch(ctx context.Context, env action.Env) error {
	var p fetchParams
	if err := env.Params(&p); err != nil {
		return err
	}
	repos, err := repositories(p.Repository, env.Config)
	if err != nil {
		return err
	}
	var first error
	for _, repo := range repos {
		err := p.fetch(ctx, env, repo)
		if err == nil || ctx.Err() != nil {
			return err
		}
		if first == nil {
			first = err
		}
	}
	return fmt.Errorf("%w\n  hint: %s", first, pullHint)
}

func (p *fetchParams) fetch(ctx context.Context, env action.Env, repo *registry.Repository) error {
	if p.Manifest {
		b, _, err := repo.Manifest(ctx, p.Blob.Digest.String())
		if err != nil {
			return err
		}
		return env.WriteFile("file", b)
	}
	var w action.BlobWriter
	err := repo.Fetch(ctx, p.Blob, func() (download.Sink, error) {
		var err error
		w, err = env.CreateFile("file")
		return w, err
	}, env.Progress)
	if err != nil {
		return err
	}
	_, err = w.Commit()
	return err
}
