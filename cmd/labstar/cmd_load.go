package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/labstar/labstar/internal/registry"
	"github.com/labstar/labstar/internal/registry/containerd"
	"github.com/labstar/labstar/internal/registry/docker"
	"github.com/labstar/labstar/internal/term"
)

func loadCommand() command {
	return command{
		name: "load", args: "[FILE] [TARGET…]",
		short: "give images to Docker or containerd on this machine",
		long: `
Builds the targets that are images, all if none are named, and gives each to the Docker
engine under its name, and under the one by content that compose() calls it; of one for
several platforms, the engine's. With --containerd they go to containerd, which
Kubernetes' nodes run, whole. What is there is not sent.

The engine is the one that the docker command speaks to: that of DOCKER_HOST, else of the
context DOCKER_CONTEXT or of "docker context use", else that of /var/run/docker.sock;
ssh://USER@HOST is one on another machine, through ssh and its docker command. containerd
is that of CONTAINERD_ADDRESS, in the namespace CONTAINERD_NAMESPACE or k8s.io, where
Kubernetes looks.`,
		examples: `
labstar load
labstar load examples/tiny/lab.star image
DOCKER_HOST=unix:///run/user/1000/docker.sock labstar load
DOCKER_CONTEXT=rootless labstar load
DOCKER_HOST=ssh://mia@build labstar load
labstar load --containerd --namespace default`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &loadOptions{imageOptions: newImageOptions(a)}
			fs.BoolVar(&o.containerd, "containerd", false, "give them to containerd instead of Docker")
			fs.StringVar(&o.address, "address", fromEnv("CONTAINERD_ADDRESS", containerd.DefaultAddress), "containerd's `socket`")
			fs.StringVar(&o.namespace, "namespace", fromEnv("CONTAINERD_NAMESPACE", containerd.DefaultNamespace), "the `namespace` in containerd")
			a.jsonFlag(fs)
			o.buildFlags(fs)
			return o.run
		},
	}
}

// loadOptions are the flags of load.
type loadOptions struct {
	imageOptions
	containerd         bool
	address, namespace string
}

// fromEnv is what the environment says, or a default.
func fromEnv(name, otherwise string) string {
	if s := os.Getenv(name); s != "" {
		return s
	}
	return otherwise
}

// loader is what takes images.
type loader interface {
	// load gives it one and returns the name that it has there.
	load(ctx context.Context, img builtImage, shown *blobProgress) (ref string, got docker.Loaded, err error)
}

// loadedEvent is an image that the engine has.
type loadedEvent struct {
	Event   string  `json:"event"` // "loaded"
	Target  string  `json:"target"`
	Ref     string  `json:"ref"`
	ID      string  `json:"id"`
	Sent    int     `json:"sent"` // layers; into containerd, all blobs
	There   int     `json:"there"`
	Bytes   int64   `json:"bytes"` // of those sent
	Seconds float64 `json:"seconds"`
}

func (o *loadOptions) run(ctx context.Context, args []string) (err error) {
	file, names := splitFile(args)
	// Whether there is somebody to load into is told before anything is built.
	to, err := o.connect(ctx)
	if err != nil {
		return err
	}
	images, err := o.images(ctx, file, names)
	defer func() { err = o.close(err) }()
	if err != nil {
		return err
	}
	shown := newBlobProgress(o.app)
	defer shown.close()
	sum := pushSummary{Event: "summary", Command: "load"}
	for _, img := range images {
		if img.Name == (name.Tag{}) {
			return fmt.Errorf("%s has no name, by which it could be known there", img.target)
		}
		began := time.Now()
		ref, got, err := to.load(ctx, img, shown)
		if err != nil {
			shown.close()
			return fmt.Errorf("loading %s: %w", img.target, err)
		}
		sum.Images++
		sum.Bytes += got.Bytes
		if err := o.tell(img.target, ref, got, time.Since(began)); err != nil {
			return err
		}
	}
	shown.close()
	if o.app.json {
		sum.Seconds = o.app.seconds()
		return o.app.events.write(sum)
	}
	return nil
}

func (o *loadOptions) connect(ctx context.Context) (loader, error) {
	if o.containerd {
		c := containerd.Connect(o.address, o.namespace)
		return intoContainerd{c}, c.Check(ctx)
	}
	engine, err := docker.Connect(os.Getenv)
	if err != nil {
		return nil, err
	}
	goos, arch, err := engine.Platform(ctx)
	return intoDocker{engine, goos, arch}, err
}

type intoDocker struct {
	engine     *docker.Engine
	goos, arch string
}

func (d intoDocker) load(ctx context.Context, img builtImage, shown *blobProgress) (string, docker.Loaded, error) {
	ref := engineName(img.Name)
	m, err := img.Platform(d.goos, d.arch)
	if err != nil {
		return ref, docker.Loaded{}, err
	}
	got, err := d.engine.Load(ctx, img.Image, m, ref, func(done, total int64) {
		shown.tell(img.target, "load "+img.target, m.Digest.String(), done, total, "")
	})
	if err != nil {
		return ref, docker.Loaded{}, err
	}
	shown.tell(img.target, "", m.Digest.String(), got.Bytes, got.Bytes, "sent")
	return ref, *got, nil
}

type intoContainerd struct{ c *containerd.Client }

func (c intoContainerd) load(ctx context.Context, img builtImage, shown *blobProgress) (string, docker.Loaded, error) {
	ref := registry.Familiar(img.Name.Repository) + ":" + img.Name.TagStr()
	got, err := c.c.Load(ctx, img.Image, ref, func(d v1.Descriptor, done int64) {
		how := ""
		if done == d.Size {
			how = "sent"
		}
		shown.tell(img.target, "load "+img.target+" "+short(d.Digest.Hex), d.Digest.String(), done, d.Size, how)
	})
	if err != nil {
		return ref, docker.Loaded{}, err
	}
	return ref, docker.Loaded{ID: img.Root.Digest.String(), Sent: got.Sent, There: got.There, Bytes: got.Bytes}, nil
}

// engineName is a name as Docker's users write it.
func engineName(t name.Tag) string {
	if t.RegistryStr() == name.DefaultRegistry {
		return strings.TrimPrefix(t.RepositoryStr(), "library/") + ":" + t.TagStr()
	}
	return t.Name()
}

func (o *loadOptions) tell(target, ref string, got docker.Loaded, took time.Duration) error {
	a := o.app
	switch {
	case a.json:
		return a.events.write(loadedEvent{"loaded", target, ref, got.ID, got.Sent, got.There, got.Bytes, took.Seconds()})
	case a.quiet:
		return nil
	}
	what := "nothing sent"
	if got.Sent > 0 {
		what = fmt.Sprintf("%s sent (%s)", plural(got.Sent, "blob", "blobs"), term.Bytes(got.Bytes))
	}
	if got.There > 0 {
		what += fmt.Sprintf(", %d there", got.There)
	}
	a.printf("%s  %s  %s  %s in %s\n", target, ref, got.ID, what, term.Duration(took))
	return nil
}
