package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/registry"
	"github.com/labstar/labstar/internal/term"
)

// imageType is the type of artifacts that are images, as oci_image makes them.
const imageType = "image"

// imageOptions are the flags of the commands that move images: push, load and
// registry.
type imageOptions struct {
	runOptions
	ls       *labstar.Labstar
	building func([]labstar.Target) // if set, called before they are built
}

func newImageOptions(a *app) imageOptions {
	return imageOptions{runOptions: runOptions{app: a, jobs: runtime.NumCPU()}}
}

// buildFlags are those of the build that goes before.
func (o *imageOptions) buildFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.locked, "locked", false, "fail if lab.lock lacks something, instead of adding it")
	o.app.quietFlag(fs)
	o.app.cacheFlag(fs)
	o.app.secretFlag(fs)
}

// builtImage is an image of a target, in the store.
type builtImage struct {
	target string // and the item, if the target has several
	*registry.Image
}

// images builds the targets that are images, all if none are named, and reads
// them. The Labstar stays open: what was returned reads from its store.
func (o *imageOptions) images(ctx context.Context, file string, names []string) (list []builtImage, err error) {
	err = o.use(ctx, file, names, func(images []builtImage) error {
		list = images
		return nil
	})
	return list, err
}

// use is images, and has them used while the store makes them last.
func (o *imageOptions) use(ctx context.Context, file string, names []string, use func([]builtImage) error) error {
	ls, lab, err := o.open(ctx, file)
	o.ls = ls
	if err != nil {
		return err
	}
	if len(lab.Wants) > 0 {
		if lab, err = o.fillLock(ctx, ls, lab); err != nil {
			return err
		}
	}
	targets, err := imageTargets(lab, names)
	if err != nil {
		return err
	}
	o.app.targets = lab.Targets
	if o.building != nil {
		o.building(targets)
	}
	report, err := ls.BuildAndUse(ctx, lab, targets, func(report *labstar.Report) error {
		o.sink.close()
		images, err := o.read(ctx, report, targets)
		if err != nil {
			return err
		}
		return use(images)
	})
	o.sink.close()
	if err == nil && report.Failed > 0 {
		err = errReported
	}
	return err
}

// imageTargets picks them; one that was named has to be an image.
func imageTargets(lab *labstar.Lab, names []string) ([]labstar.Target, error) {
	all, err := lab.Pick(names...)
	if err != nil {
		return nil, err
	}
	var picked []labstar.Target
	for _, t := range all {
		var items []labstar.Item
		for _, item := range t.Items {
			if item.Type == imageType {
				items = append(items, item)
			}
		}
		if len(items) == 0 && len(names) > 0 {
			return nil, fmt.Errorf("%s is a %s, want an image, as oci_image makes them", t.Name, t.Type)
		}
		if len(items) > 0 {
			t.Items = items
			picked = append(picked, t)
		}
	}
	if len(picked) == 0 {
		return nil, fmt.Errorf("%s has no images: a target of oci_image", filepath.ToSlash(lab.File))
	}
	return picked, nil
}

func (o *imageOptions) read(ctx context.Context, report *labstar.Report, targets []labstar.Target) ([]builtImage, error) {
	store, err := o.ls.Store()
	if err != nil {
		return nil, err
	}
	var list []builtImage
	for _, t := range targets {
		for _, item := range t.Items {
			name := t.Name
			if item.Path != "" {
				name += "/" + item.Path
			}
			out, ok := report.Output(item.Artifact)
			if !ok {
				return nil, fmt.Errorf("%s was not built", name)
			}
			images, err := registry.ReadLayout(ctx, store, out.Digest)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", name, err)
			}
			for _, img := range images {
				list = append(list, builtImage{name, img})
			}
		}
	}
	return list, nil
}

// close closes the store, if it was opened.
func (o *imageOptions) close(err error) error {
	if o.ls == nil {
		return err
	}
	return errors.Join(err, o.ls.Close())
}

// transport are the flags that say how registries are reached.
type transport struct {
	plainHTTP, insecure bool
}

func (t *transport) flags(fs *pflag.FlagSet) {
	fs.BoolVar(&t.plainHTTP, "plain-http", false, "speak HTTP without TLS (a registry on this machine may do so unsaid)")
	fs.BoolVar(&t.insecure, "insecure", false, "don't check the registry's certificate, and take plain HTTP if it has none")
}

// client returns what speaks to registries; every pause before another try is told.
func (t *transport) client(a *app) *registry.Client {
	return registry.New(registry.Options{PlainHTTP: t.plainHTTP, Insecure: t.insecure, Waiting: func(doing string, err error, pause time.Duration) {
		if !a.quiet && !a.json && pause >= time.Second {
			a.say("%s: %s; trying again in %s", term.Clean(doing), term.Clean(err.Error()), term.Duration(pause))
		}
	}})
}

// blobProgress shows blobs that move on a terminal, and tells programs of them.
type blobProgress struct {
	app  *app
	p    *term.Progress
	on   map[string]bool
	last map[string]time.Time
}

func newBlobProgress(a *app) *blobProgress {
	b := &blobProgress{app: a, on: map[string]bool{}, last: map[string]time.Time{}}
	if !a.quiet && !a.json && a.term.Live {
		b.p = term.NewProgress(a.term, a.err)
		a.showProgress(b.p)
	}
	return b
}

// blobEvent is a blob on its way.
type blobEvent struct {
	Event  string `json:"event"` // "blob"
	Target string `json:"target,omitempty"`
	Digest string `json:"digest"`
	Done   int64  `json:"done"`
	Size   int64  `json:"size"`
	How    string `json:"how,omitempty"` // at its end
}

func (b *blobProgress) tell(target, title, digest string, done, size int64, how string) {
	if b.app.json {
		now := time.Now()
		if how == "" && now.Sub(b.last[digest]) < 100*time.Millisecond {
			return
		}
		b.last[digest] = now
		_ = b.app.events.write(blobEvent{"blob", target, digest, done, size, how}) // the summary reports it
		return
	}
	if b.p == nil {
		return
	}
	switch {
	case how != "":
		if b.on[digest] {
			b.p.Drop(digest)
			delete(b.on, digest)
		}
	case !b.on[digest]:
		b.on[digest] = true
		b.p.Start(digest, title)
		b.p.Bytes(digest, done, size)
	default:
		b.p.Bytes(digest, done, size)
	}
}

func (b *blobProgress) close() { b.app.restore() }

// short is a digest for people.
func short(hex string) string {
	if len(hex) > 12 {
		return hex[:12]
	}
	return hex
}
