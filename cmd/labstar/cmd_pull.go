package main

import (
	"context"
	"fmt"
	"path"
	"runtime"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/spf13/pflag"

	"github.com/labstar/labstar/internal/registry"
	"github.com/labstar/labstar/internal/term"
)

func pullCommand() command {
	return command{
		name: "pull", args: "IMAGE",
		short: "fetch an image into a folder",
		long: `
Fetches IMAGE, a tag or a digest at a registry, into a folder in the OCI image layout,
which skopeo, umoci, podman and containerd read. Every byte is checked against the
digests; a pull that was cut goes on where it was when it is run again. A folder
can hold several images.

Of an image for several platforms one is taken: this machine's architecture on Linux,
or that of --platform; "all" takes them all. Credentials are those of "docker login" and
"podman login". Scripts take images with oci_pull.`,
		examples: `
labstar pull debian:12
labstar pull registry.lan:5000/web:1.0 -o web --platform linux/arm64
labstar pull localhost:5000/web@sha256:…`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &pullOptions{app: a}
			fs.StringVarP(&o.out, "out", "o", "", "`folder` of the layout (default: the image's name)")
			fs.StringVar(&o.platform, "platform", "linux/"+runtime.GOARCH, "`OS/ARCH[/VARIANT]` to take, or all")
			fs.IntVar(&o.parallel, "parallel", 4, "how many blobs are fetched side by side")
			o.transport.flags(fs)
			a.jsonFlag(fs)
			a.quietFlag(fs)
			return o.run
		},
	}
}

// pullOptions are the flags of pull.
type pullOptions struct {
	app *app
	transport
	out, platform string
	parallel      int
}

// pulledEvent is the image that came.
type pulledEvent struct {
	Event  string `json:"event"` // "pulled"
	Ref    string `json:"ref"`
	Digest string `json:"digest"`
	Path   string `json:"path"`
	Blobs  int    `json:"blobs"`
	There  int    `json:"there"`
	Bytes  int64  `json:"bytes"` // that were fetched
}

func (o *pullOptions) run(ctx context.Context, args []string) error {
	a := o.app
	if len(args) != 1 {
		return usagef("pull", "got %s, want an image", plural(len(args), "argument", "arguments"))
	}
	ref, err := name.ParseReference(args[0])
	if err != nil {
		return usagef("pull", "got the image %q, want [REGISTRY/]NAME[:TAG|@DIGEST]", args[0])
	}
	if o.parallel < 1 {
		return usagef("pull", "--parallel: got %d, want at least 1", o.parallel)
	}
	opts := registry.PullOptions{Jobs: o.parallel, Name: registry.Familiar(ref.Context()) + ":" + ref.Identifier()}
	if _, digest := ref.(name.Digest); digest {
		opts.Name = registry.Familiar(ref.Context()) + "@" + ref.Identifier()
	}
	if o.platform != "all" {
		if opts.Platform, err = v1.ParsePlatform(o.platform); err != nil || opts.Platform.Architecture == "" {
			return usagef("pull", "--platform: got %q, want OS/ARCH[/VARIANT] or all", o.platform)
		}
	}
	if o.out == "" {
		o.out = path.Base(ref.Context().RepositoryStr())
	}
	repo, err := o.client(a).Repository(ref.Context().Name(), registry.Pull)
	if err != nil {
		return err
	}
	began := time.Now()
	shown := newBlobProgress(a)
	opts.Blob = func(b registry.Blob) {
		shown.tell("", "pull "+short(b.Desc.Digest.Hex), b.Desc.Digest.String(), b.Done, b.Desc.Size, b.How)
	}
	got, err := repo.PullTo(ctx, ref.Identifier(), o.out, opts)
	shown.close()
	if err != nil {
		if ctx.Err() != nil && !a.quiet && !a.json {
			a.say("the pull of %s was interrupted: the same command goes on from here", args[0])
		}
		return fmt.Errorf("pulling %s: %w", args[0], err)
	}
	if a.json {
		ev := pulledEvent{"pulled", opts.Name, got.Root.Digest.String(), o.out, got.Blobs, got.There, got.Bytes}
		if err := a.events.write(ev); err != nil {
			return err
		}
		return a.events.write(pushSummary{Event: "summary", Command: "pull", Images: 1, Bytes: got.Bytes, Seconds: a.seconds()})
	}
	if !a.quiet {
		a.printf("%s  %s  %s, %s fetched in %s\n", o.out, got.Root.Digest, plural(got.Blobs, "blob", "blobs"), term.Bytes(got.Bytes), term.Duration(time.Since(began)))
	}
	return nil
}
