package main

import (
	"context"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/pflag"

	"github.com/labstar/labstar/internal/registry/docker"
	"github.com/labstar/labstar/internal/term"
)

func loadCommand() command {
	return command{
		name: "load", args: "[FILE] [TARGET…]",
		short: "give images to the Docker engine of this machine",
		long: `
Builds the targets that are images, all if none are named, and gives each to the Docker
engine under its name; of one for several platforms, the engine's. Layers that the
engine has are not sent.

The engine is the one of DOCKER_HOST, by default that of /var/run/docker.sock.`,
		examples: `
labstar load
labstar load examples/tiny/lab.star image
DOCKER_HOST=unix:///run/user/1000/docker.sock labstar load`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &loadOptions{imageOptions: newImageOptions(a)}
			a.jsonFlag(fs)
			o.buildFlags(fs)
			return o.run
		},
	}
}

// loadOptions are the flags of load.
type loadOptions struct {
	imageOptions
}

// loadedEvent is an image that the engine has.
type loadedEvent struct {
	Event   string  `json:"event"` // "loaded"
	Target  string  `json:"target"`
	Ref     string  `json:"ref"`
	ID      string  `json:"id"`
	Sent    int     `json:"sent"` // layers
	There   int     `json:"there"`
	Bytes   int64   `json:"bytes"` // of the layers sent
	Seconds float64 `json:"seconds"`
}

func (o *loadOptions) run(ctx context.Context, args []string) (err error) {
	file, names := splitFile(args)
	engine, err := docker.Connect(os.Getenv)
	if err != nil {
		return err
	}
	// Whether there is an engine is told before anything is built.
	goos, arch, err := engine.Platform(ctx)
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
			return fmt.Errorf("%s has no name, by which the engine could know it", img.target)
		}
		m, err := img.Platform(goos, arch)
		if err != nil {
			return fmt.Errorf("loading %s: %w", img.target, err)
		}
		began, ref := time.Now(), engineName(img.Name)
		got, err := engine.Load(ctx, img.Image, m, ref, func(done, total int64) {
			shown.tell(img.target, "load "+img.target, m.Digest.String(), done, total, "")
		})
		if err != nil {
			shown.close()
			return fmt.Errorf("loading %s: %w", img.target, err)
		}
		shown.tell(img.target, "", m.Digest.String(), got.Bytes, got.Bytes, "sent")
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

// engineName is a name as Docker's users write it.
func engineName(t name.Tag) string {
	if t.RegistryStr() == name.DefaultRegistry {
		return strings.TrimPrefix(t.RepositoryStr(), "library/") + ":" + t.TagStr()
	}
	return t.Name()
}

func (o *loadOptions) tell(target, ref string, got *docker.Loaded, took time.Duration) error {
	a := o.app
	switch {
	case a.json:
		return a.events.write(loadedEvent{"loaded", target, ref, got.ID, got.Sent, got.There, got.Bytes, took.Seconds()})
	case a.quiet:
		return nil
	}
	what := "nothing sent"
	if got.Sent > 0 {
		what = fmt.Sprintf("%s sent (%s)", plural(got.Sent, "layer", "layers"), term.Bytes(got.Bytes))
	}
	if got.There > 0 {
		what += fmt.Sprintf(", %d there", got.There)
	}
	a.printf("%s  %s  %s  %s in %s\n", target, ref, got.ID, what, term.Duration(took))
	return nil
}
