package labstar_test

import (
	"context"
	"io/fs"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/starlark/host"
)

// An embedding program says what a script can load, and how much it may use.
func TestEmbedderOptions(t *testing.T) {
	library := fstest.MapFS{"names.star": {Data: []byte(`who = "world"`)}}
	script := func(text string) labstar.Option {
		return labstar.WithFS(fstest.MapFS{"lab.star": {Data: []byte(text)}})
	}
	base := []labstar.Option{labstar.WithBuiltins(greet), labstar.WithStore(labstar.NewMemoryStore())}
	load := func(opts ...labstar.Option) (*labstar.Lab, error) {
		ls, err := labstar.New(append(base, opts...)...)
		if err != nil {
			t.Fatal(err)
		}
		defer ls.Close()
		return ls.Load(t.Context(), "lab.star")
	}
	remote := func(_ context.Context, spec string) (fs.FS, string, error) {
		return library, spec[strings.LastIndex(spec, "/")+1:], nil
	}
	for name, opts := range map[string][]labstar.Option{
		"a standard library": {labstar.WithStdlib(library), script(`load("@stdlib//names.star", "who"); hi = greet(who)`)},
		"other repositories": {labstar.WithRemote(remote), script(`load("@example.com/lab//names.star", "who"); hi = greet(who)`)},
	} {
		lab, err := load(opts...)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if len(lab.Targets) != 1 || lab.Targets[0].Name != "hi" {
			t.Errorf("%s: got the targets %v, want hi", name, lab.Targets)
		}
	}
	_, err := load(labstar.WithLimits(host.Limits{Steps: 1000}), script(`x = [greet(str(i)) for i in range(1000)]`))
	if err == nil || !strings.Contains(err.Error(), "steps") {
		t.Errorf("got %v, want the limit of steps", err)
	}
}

// What is nil is told by New, before a store is made in the working directory, say.
func TestNilOptions(t *testing.T) {
	for want, opt := range map[string]labstar.Option{
		"WithStore got nil":                 labstar.WithStore(nil),
		"WithBuiltins got nil as builtin 0": labstar.WithBuiltins(nil),
	} {
		if _, err := labstar.New(opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s", err, want)
		}
	}
}
