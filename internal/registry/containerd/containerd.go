// Package containerd gives images to containerd over its API, with no blob that it
// has; what was cut goes on where it was.
//
//	c := containerd.Connect("/run/containerd/containerd.sock", "k8s.io")
//	loaded, err := c.Load(ctx, image, "docker.io/lab/web:1.0", progress)
//
// The image is not unpacked: Kubernetes and ctr do that when they run it. The few
// messages of the API that this takes are encoded here, over net/http's own HTTP/2:
// containerd's Go client and gRPC would weigh more than all of labstar.
package containerd

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/http"
	"slices"
	"syscall"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labstar/labstar/internal/registry"
)

// Where containerd listens, and what Kubernetes calls its images' namespace.
const (
	DefaultAddress   = "/run/containerd/containerd.sock"
	DefaultNamespace = "k8s.io"
)

// Client speaks to a containerd.
type Client struct {
	address, namespace string
	http               *http.Client
}

// Connect returns a client for the socket at address. Nothing is asked yet.
func Connect(address, namespace string) *Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return &Client{address: address, namespace: namespace, http: &http.Client{Transport: &http.Transport{
		Protocols: p,
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", address)
		},
	}}}
}

// Loaded is what a load did.
type Loaded struct {
	Sent, There int   // blobs
	Bytes       int64 // of those sent
}

// Check asks containerd for its version.
func (c *Client) Check(ctx context.Context) error {
	_, err := c.unary(ctx, "containerd.services.version.v1.Version/Version", "", nil)
	return err
}

// Load gives containerd the image under a full name, as "docker.io/lab/web:1.0".
// progress, which may be nil, is told the bytes so far and in all of each blob.
func (c *Client) Load(ctx context.Context, img *registry.Image, name string, progress func(d v1.Descriptor, done int64)) (*Loaded, error) {
	// A lease keeps the blobs from the garbage collector until the image names them.
	lease := "labstar-" + img.Root.Digest.Hex[:16]
	if _, err := c.unary(ctx, "containerd.services.leases.v1.Leases/Create", "", leaseRequest(lease)); err != nil && !isCode(err, alreadyExists) {
		return nil, err
	}
	defer func() {
		_, _ = c.unary(context.WithoutCancel(ctx), "containerd.services.leases.v1.Leases/Delete", "", deleteLease(lease)) // it expires by itself
	}()
	l := &load{c: c, img: img, lease: lease, progress: progress}
	for _, m := range slices.Concat(img.Manifests, img.Referrers) {
		for _, d := range m.Blobs() {
			if err := l.blob(ctx, d, nil); err != nil {
				return nil, err
			}
		}
		if err := l.blob(ctx, m.Descriptor, references(m)); err != nil {
			return nil, err
		}
	}
	return &l.out, c.name(ctx, img.Root.Descriptor, name, lease)
}

// references are the labels by which containerd's garbage collector knows what a
// manifest needs.
func references(m *registry.Manifest) map[string]string {
	labels := map[string]string{}
	if m.MediaType.IsIndex() {
		for i, d := range m.Children {
			labels[fmt.Sprintf("containerd.io/gc.ref.content.m.%d", i)] = d.Digest.String()
		}
		return labels
	}
	labels["containerd.io/gc.ref.content.config"] = m.Config.Digest.String()
	for i, d := range m.Layers {
		labels[fmt.Sprintf("containerd.io/gc.ref.content.l.%d", i)] = d.Digest.String()
	}
	return labels
}

// name makes the image, or moves the name to it.
func (c *Client) name(ctx context.Context, d v1.Descriptor, name, lease string) error {
	req := imageRequest(name, d)
	_, err := c.unary(ctx, "containerd.services.images.v1.Images/Create", lease, req)
	if isCode(err, alreadyExists) {
		_, err = c.unary(ctx, "containerd.services.images.v1.Images/Update", lease, req)
	}
	return err
}

// load is one image on its way.
type load struct {
	c        *Client
	img      *registry.Image
	lease    string
	progress func(v1.Descriptor, int64)
	out      Loaded
}

// blob brings one, unless containerd has it.
func (l *load) blob(ctx context.Context, d v1.Descriptor, labels map[string]string) error {
	_, err := l.c.unary(ctx, "containerd.services.content.v1.Content/Info", l.lease, text(nil, 1, d.Digest.String()))
	if err == nil {
		l.out.There++
		return nil
	}
	if !isCode(err, notFound) {
		return err
	}
	b, err := l.img.Open(ctx, d)
	if err != nil {
		return err
	}
	defer b.Close()
	w := &writing{d: d, labels: labels, blob: b, told: func(n int64) {
		if l.progress != nil {
			l.progress(d, n)
		}
	}}
	err = l.c.write(ctx, l.lease, w)
	if isCode(err, alreadyExists) {
		l.out.There++ // another client was faster
		return nil
	}
	if err != nil {
		return fmt.Errorf("sending %s: %w", d.Digest, err)
	}
	l.out.Sent++
	l.out.Bytes += d.Size
	return nil
}

// explain adds what to do.
func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission for containerd at %s: %w; run it as root, or as a user of the socket's group", c.address, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no containerd answers at %s: %w; start it, or say where it is with --address", c.address, err)
	}
	return fmt.Errorf("speaking to containerd at %s: %w", c.address, err)
}
