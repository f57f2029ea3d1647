package main

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/builtins/oci"
	"github.com/labstar/labstar/internal/registry"
	"github.com/labstar/labstar/internal/term"
)

func pushCommand() command {
	return command{
		name: "push", args: "[FILE] [TARGET…]",
		short: "push images to their registries",
		long: `
Builds the targets that are images, all if none are named, and pushes each to the
repository and tag that its name says: "registry.lan:5000/web:1.0", or Docker Hub for
"lab/web:1.0". --to names another place for one image, --registry another registry for
all of them.

What the registry has is not sent; what another repository of it has is mounted from
there. Layers go in chunks, several side by side. What fails on the way is tried again,
and a push that was interrupted goes on where it was when it is run again. SBOMs and
provenance that belong to an image go with it.

Credentials are those of "docker login" and "podman login", credential helpers too.
Plain HTTP is spoken only with --plain-http, and to registries on this machine.`,
		examples: `
labstar push
labstar push examples/tiny/lab.star image --to localhost:5000/tiny:1.0
labstar push --registry registry.lan:5000/mirror
labstar push --json | jq 'select(.event == "pushed")'`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &pushOptions{imageOptions: newImageOptions(a)}
			fs.StringVar(&o.to, "to", "", "push the image, which must be one, to `[REGISTRY/]NAME[:TAG]`")
			fs.StringVar(&o.registry, "registry", "", "push to `REGISTRY[/PATH]` instead of the registries in the images' names")
			fs.IntVar(&o.parallel, "parallel", 4, "how many blobs are sent side by side")
			o.transport.flags(fs)
			a.jsonFlag(fs)
			o.buildFlags(fs)
			return o.run
		},
	}
}

// pushOptions are the flags of push.
type pushOptions struct {
	imageOptions
	transport
	to, registry string
	parallel     int
	pusher       *registry.Pusher
}

// place is where an image goes.
type place struct {
	builtImage
	repo *registry.Repository
	tag  string
}

func (o *pushOptions) run(ctx context.Context, args []string) (err error) {
	file, names := splitFile(args)
	if err := o.check(); err != nil {
		return err
	}
	c := o.client(o.app)
	o.app.opened = func(ls *labstar.Labstar) { o.prepare(ctx, ls, c) }
	o.building = func(targets []labstar.Target) { o.expect(ctx, c, targets) }
	defer func() { err = o.close(err) }()
	defer func() {
		if o.pusher != nil {
			o.pusher.Close()
		}
	}()
	return o.use(ctx, file, names, func(images []builtImage) error {
		places, err := o.places(c, images)
		if err != nil {
			return err
		}
		return o.push(ctx, places)
	})
}

// prepare makes the pusher. Where --to says so, the registry is asked while the
// script is evaluated.
func (o *pushOptions) prepare(ctx context.Context, ls *labstar.Labstar, c *registry.Client) {
	store, err := ls.Store()
	if err != nil {
		return // the build tells
	}
	o.pusher = registry.NewPusher(store, o.parallel)
	if t, err := name.NewTag(o.to); err == nil {
		o.ask(ctx, c, t)
	}
}

// expect is told what is going to be built.
func (o *pushOptions) expect(ctx context.Context, c *registry.Client, targets []labstar.Target) {
	if o.to == "" {
		for _, t := range targets {
			for _, item := range t.Items {
				if named, err := o.named(item.Artifact); err == nil {
					o.ask(ctx, c, named)
				}
			}
		}
	}
	o.sink = sinks{o.sink, &firstStart{call: func() { o.pusher.Changing(ctx) }}}
}

// named is where an image that is to be built goes.
func (o *pushOptions) named(image *action.Artifact) (name.Tag, error) {
	t, err := name.NewTag(oci.NameOf(image))
	if err == nil && o.registry != "" {
		return o.elsewhere(t)
	}
	return t, err
}

// elsewhere is the place at --registry.
func (o *pushOptions) elsewhere(t name.Tag) (name.Tag, error) {
	return name.NewTag(strings.TrimSuffix(o.registry, "/") + "/" + t.RepositoryStr() + ":" + t.TagStr())
}

func (o *pushOptions) ask(ctx context.Context, c *registry.Client, t name.Tag) {
	if repo, err := c.Repository(t.Repository.Name(), registry.Push); err == nil {
		o.pusher.Prepare(ctx, repo, t.TagStr())
	}
}

// firstStart calls a function when the first action runs.
type firstStart struct{ call func() }

func (f *firstStart) event(ev labstar.Event) {
	if ev.Kind == labstar.EventStart && f.call != nil {
		f.call()
		f.call = nil
	}
}

func (f *firstStart) close() {}

func (o *pushOptions) check() error {
	if o.to != "" && o.registry != "" {
		return usagef("push", "got --to and --registry, want one of them")
	}
	if o.to != "" {
		if _, err := name.NewTag(o.to); err != nil {
			return usagef("push", "--to: got %q, want [REGISTRY/]NAME[:TAG] of lower-case letters, digits and '.', '_', '-'", o.to)
		}
	}
	if o.registry != "" {
		if _, err := name.NewRepository(strings.TrimSuffix(o.registry, "/") + "/x"); err != nil || strings.Contains(o.registry, "://") {
			return usagef("push", "--registry: got %q, want HOST[:PORT][/PATH]", o.registry)
		}
	}
	if o.parallel < 1 {
		return usagef("push", "--parallel: got %d, want at least 1", o.parallel)
	}
	return nil
}

// places decides where the images go, before anything is sent.
func (o *pushOptions) places(c *registry.Client, images []builtImage) ([]place, error) {
	if o.to != "" && len(images) != 1 {
		return nil, fmt.Errorf("--to is for one image, and there are %d: name the target", len(images))
	}
	var list []place
	taken := map[string]builtImage{}
	for _, img := range images {
		to := img.Name
		switch {
		case o.to != "":
			t, err := name.NewTag(o.to)
			if err != nil {
				return nil, err
			}
			to = t
		case to == name.Tag{}:
			return nil, fmt.Errorf("%s has no name: say --to where it is to go", img.target)
		case o.registry != "":
			t, err := o.elsewhere(to)
			if err != nil {
				return nil, fmt.Errorf("--registry: %w", err)
			}
			to = t
		}
		repo, err := c.Repository(to.Repository.Name(), registry.Push)
		if err != nil {
			return nil, err
		}
		key := repo.String() + ":" + to.TagStr()
		// An image and itself with what is attested of it may go to one place.
		if other, ok := taken[key]; ok && other.Root.Digest != img.Root.Digest {
			return nil, fmt.Errorf("%s and %s both go to %s: give one another name", other.target, img.target, key)
		}
		taken[key] = img
		list = append(list, place{img, repo, to.TagStr()})
	}
	return list, nil
}

// pushedEvent is an image that arrived.
type pushedEvent struct {
	Event     string  `json:"event"` // "pushed"
	Target    string  `json:"target"`
	Ref       string  `json:"ref"`
	Digest    string  `json:"digest"`
	Sent      int     `json:"sent"` // blobs
	Mounted   int     `json:"mounted"`
	There     int     `json:"there"`
	Bytes     int64   `json:"bytes"`  // that were sent of blobs
	Before    int64   `json:"before"` // that an earlier run had sent of them
	Referrers int     `json:"referrers"`
	Seconds   float64 `json:"seconds"`
}

// pushSummary is the last event.
type pushSummary struct {
	Event   string  `json:"event"` // "summary"
	Command string  `json:"command"`
	Images  int     `json:"images"`
	Bytes   int64   `json:"bytes"`
	Seconds float64 `json:"seconds"`
	Exit    int     `json:"exit"`
}

func (o *pushOptions) push(ctx context.Context, places []place) error {
	a := o.app
	shown := newBlobProgress(a)
	defer shown.close()
	sum := pushSummary{Event: "summary", Command: "push"}
	for _, p := range places {
		began := time.Now()
		title := "push " + p.target
		got, err := o.pusher.Push(ctx, p.Image, p.repo, p.tag, func(b registry.Blob) {
			shown.tell(p.target, title+" "+short(b.Desc.Digest.Hex), b.Desc.Digest.String(), b.Done, b.Desc.Size, b.How)
		})
		if err != nil {
			shown.close()
			return o.failed(ctx, p, err)
		}
		sum.Images++
		sum.Bytes += got.Bytes
		if err := o.tell(p, got, time.Since(began)); err != nil {
			return err
		}
	}
	shown.close()
	if a.json {
		sum.Seconds = a.seconds()
		return a.events.write(sum)
	}
	return nil
}

// failed says what the next run will do.
func (o *pushOptions) failed(ctx context.Context, p place, err error) error {
	if ctx.Err() != nil && !o.app.quiet && !o.app.json {
		o.app.say("the push of %s was interrupted: the same command goes on from here", p.target)
	}
	return fmt.Errorf("pushing %s: %w", p.target, err)
}

func (o *pushOptions) tell(p place, got *registry.Pushed, took time.Duration) error {
	a := o.app
	if a.json {
		return a.events.write(pushedEvent{
			Event: "pushed", Target: p.target, Ref: got.Ref, Digest: got.Digest.String(), Sent: got.Sent, Mounted: got.Mounted,
			There: got.There, Bytes: got.Bytes, Before: got.Before, Referrers: got.Referrers, Seconds: took.Seconds(),
		})
	}
	if a.quiet {
		return nil
	}
	parts := []string{fmt.Sprintf("%d sent (%s)", got.Sent, term.Bytes(got.Bytes))}
	if got.Before > 0 {
		parts[0] = fmt.Sprintf("%d sent (%s, after %s that were there)", got.Sent, term.Bytes(got.Bytes), term.Bytes(got.Before))
	}
	if got.Sent == 0 {
		parts[0] = "nothing sent"
	}
	if got.Mounted > 0 {
		parts = append(parts, fmt.Sprintf("%d mounted", got.Mounted))
	}
	if got.There > 0 {
		parts = append(parts, fmt.Sprintf("%d there", got.There))
	}
	if got.Referrers > 0 {
		parts = append(parts, plural(got.Referrers, "referrer", "referrers"))
	}
	a.printf("%s  %s@%s  %s in %s\n", p.target, got.Ref, got.Digest, strings.Join(parts, ", "), term.Duration(took))
	return nil
}
