// Package registry moves images between a store and registries, by the OCI
// distribution protocol, over networks that fail.
//
// A Client knows registries and the user's credentials for them; a Repository is
// a name at one of them. What it can do is small: resolve a tag, read a manifest,
// fetch a blob, and put blobs and manifests there.
//
//	c := registry.New(registry.Options{})
//	repo, err := c.Repository("registry.lan:5000/web", registry.Pull)
//	desc, err := repo.Resolve(ctx, "1.0")              // what the tag names now
//	raw, _, err := repo.Manifest(ctx, desc.Digest.String())
//	err = repo.Fetch(ctx, layer, env.CreateFile…, nil) // resumed, checked
//
// A try that was cut, stalled, throttled or answered with 5xx is made again with
// growing pauses; a blob goes on where it stopped, in both directions. What
// is wrong for good (no such image, no permission) fails at once. Errors end with
// what to do.
//
// Package serve is the other side: a registry that can only be read.
package registry

import (
	"context"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
)

// Options say how to reach registries. The zero value is right for most.
type Options struct {
	// PlainHTTP speaks HTTP without TLS. For a registry on this machine (localhost)
	// HTTP is tried by itself.
	PlainHTTP bool
	// Insecure does not check certificates, and falls back to plain HTTP.
	Insecure bool
	// Keychain finds credentials; by default those of Docker and Podman.
	Keychain authn.Keychain
	// Policy is DefaultPolicy if zero.
	Policy Policy
	// Transport replaces the network, in tests.
	Transport *http.Transport
	// Waiting, if set, is told of every pause before another try.
	Waiting func(what string, err error, pause time.Duration)
}

// Policy says how patient a Client is.
type Policy struct {
	Tries    int           // at most, without a byte of progress in between
	Pause    time.Duration // before the second try; doubles each time
	MaxPause time.Duration // also the longest Retry-After that is obeyed
	Stall    time.Duration // the longest silence while bytes should move
	Answer   time.Duration // the longest wait for an answer when all bytes are there
	Grace    time.Duration // how long a chunk under way may take to end when ctx is done
}

// DefaultPolicy gives up on a dead server after about half a minute of pauses.
var DefaultPolicy = Policy{
	Tries: 6, Pause: 500 * time.Millisecond, MaxPause: time.Minute,
	Stall: 30 * time.Second, Answer: 3 * time.Minute, Grace: 600 * time.Millisecond,
}

// Client speaks to registries. It is safe for use by several goroutines.
type Client struct {
	opts  Options
	mu    sync.Mutex
	hosts map[string]*host
}

// New returns a Client. Nothing is read or asked before it is needed.
func New(o Options) *Client {
	if o.Policy == (Policy{}) {
		o.Policy = DefaultPolicy
	}
	if o.Keychain == nil {
		o.Keychain = authn.DefaultKeychain
	}
	if o.Waiting == nil {
		o.Waiting = func(string, error, time.Duration) {}
	}
	return &Client{opts: o, hosts: map[string]*host{}}
}

// Access is what a Repository is for; registries give tokens for no more.
type Access string

// The kinds of access.
const (
	Pull Access = "pull"
	Push Access = "pull,push"
)

// Repository is one name at a registry.
type Repository struct {
	host   *host
	name   name.Repository
	access Access
}

// Repository returns the repository called ref, as "lab/web" (which is at Docker
// Hub) or "registry.lan:5000/web".
func (c *Client) Repository(ref string, access Access) (*Repository, error) {
	r, err := name.NewRepository(ref)
	if err != nil {
		return nil, fmt.Errorf("got the repository %q, want [REGISTRY/]NAME of lower-case letters, digits and '.', '_', '-': %w", ref, err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	h := c.hosts[r.RegistryStr()]
	if h == nil {
		h = newHost(c, r.Registry)
		c.hosts[r.RegistryStr()] = h
	}
	return &Repository{host: h, name: r, access: access}, nil
}

// String is the name as users write it.
func (r *Repository) String() string { return Familiar(r.name) }

// Registry is the registry's host, with its port if it has one.
func (r *Repository) Registry() string { return r.name.RegistryStr() }

// Path is the name at the registry.
func (r *Repository) Path() string { return r.name.RepositoryStr() }

// scope is what a token has to allow.
func (r *Repository) scope() string { return "repository:" + r.Path() + ":" + string(r.access) }

// Familiar writes docker.io where the protocol says index.docker.io.
func Familiar(r name.Repository) string {
	if r.RegistryStr() == name.DefaultRegistry {
		return "docker.io/" + r.RepositoryStr()
	}
	return r.Name()
}

// sleep waits for d or the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-t.C:
		return nil
	}
}
