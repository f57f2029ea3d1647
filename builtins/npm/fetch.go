package npm

import (
	"context"
	"fmt"
	"hash"
	"path"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/download"
)

type fetchParams struct {
	Name      string `json:"name"`
	Version   string `json:"version"`
	Integrity string `json:"integrity"`
	// URL is set for a tarball that is not in the registry under its usual address.
	URL string `json:"url,omitempty"`
}

// fetchOp brings one tarball. Where it comes from is no input: its integrity is.
var fetchOp = &action.Op{Name: "npm/fetch", Version: 1, Network: true, Run: runFetch}

// maxTarball is far beyond what the public registry takes, in bytes.
const maxTarball = 2 << 30

func runFetch(ctx context.Context, env action.Env) error {
	var p fetchParams
	if err := env.Params(&p); err != nil {
		return err
	}
	want, err := parseIntegrity(p.Integrity)
	if err != nil {
		return err
	}
	var got *checked
	urls := p.urls(env.Config)
	if len(urls) == 0 {
		return fmt.Errorf("fetching package %s@%s: no npm registry is configured\n  hint: say npm.registry = URL in labstar's settings, LABSTAR_NPM_REGISTRY=URL, or registry=URL in ~/.npmrc", p.Name, p.Version)
	}
	err = download.Fetch(ctx, download.Request{
		URLs: urls, MaxSize: maxTarball, Progress: env.Progress, Client: client(env.Config),
		Create: func() (download.Sink, error) {
			w, err := env.CreateFile("package.tgz")
			got = &checked{w, want.new()}
			return got, err
		},
	})
	if err != nil {
		return fmt.Errorf("fetching package %s@%s: %w\n  hint: check the network, or name another registry in npm.registry (LABSTAR_NPM_REGISTRY)", p.Name, p.Version, err)
	}
	defer got.Abort()
	if sum := want.of(got.Sum(nil)); sum != want.String() {
		return fmt.Errorf("fetching package %s@%s: got content with integrity %s, want %s as in package-lock.json: "+
			"the registry has another tarball than the one that was locked", p.Name, p.Version, sum, want)
	}
	_, err = got.Commit()
	return err
}

// checked hashes what is written.
type checked struct {
	action.BlobWriter
	hash.Hash
}

func (c *checked) Write(b []byte) (int, error) {
	n, err := c.BlobWriter.Write(b)
	c.Hash.Write(b[:n])
	return n, err
}

// urls are where the tarball is to be had, none if no registry is configured.
func (p *fetchParams) urls(setting func(string) string) []string {
	if p.URL != "" {
		return []string{p.URL}
	}
	scope, _, scoped := strings.Cut(p.Name, "/")
	bases := strings.Fields(setting("npm.registry"))
	if own := setting("npmrc." + scope + ":registry"); scoped && own != "" {
		bases = []string{own}
	}
	for i, b := range bases {
		bases[i] = strings.TrimRight(b, "/") + usualPath(p.Name, p.Version)
	}
	return bases
}

// usualPath is where a registry has a package's tarball, below its own address.
func usualPath(name, version string) string {
	return "/" + name + "/-/" + path.Base(name) + "-" + version + ".tgz"
}

// elsewhere is the address of a tarball that the lock found where no registry has it;
// one at the usual path comes from whatever registry the user has.
func (e *entry) elsewhere() string {
	if strings.HasSuffix(e.Resolved, usualPath(e.Name, e.Version)) {
		return ""
	}
	return e.Resolved
}
