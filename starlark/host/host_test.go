package host_test

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
	"github.com/labstar/labstar/starlark/startest"
)

// The builtins of these tests make real actions; nothing runs them.

type compileArgs struct {
	Source   *schema.Artifact         `star:"source" kind:"file" doc:"the source"`
	Options  schema.Dict[schema.Any]  `star:"options,optional" doc:"what to switch on"`
	Links    bool                     `star:"links,keyword" default:"True" doc:"make links"`
	Mode     string                   `star:"mode,keyword" default:"\"fast\"" enum:"fast,slow" doc:"how"`
	Packages []string                 `star:"packages,keyword,optional" doc:"what else is needed"`
	Env      map[string]action.Late   `star:"env,keyword,optional,paths" doc:"environment"`
	Note     action.Late              `star:"note,keyword" default:"\"\"" doc:"a text that goes into the result"`
	Jobs     *int                     `star:"jobs,keyword,optional" doc:"how many at once"`
	Parts    schema.Dict[action.Late] `star:"parts,keyword,optional" doc:"late strings in order"`
}

var (
	compileOp = &action.Op{Name: "test/compile", Version: 1}
	textOp    = &action.Op{Name: "test/text", Version: 1}
)

var compile = schema.New("compile", "compile makes a tree of a source.", func(c *schema.Call, a *compileArgs) (starlark.Value, error) {
	for i, p := range a.Packages {
		if p == "bad" {
			return nil, errors.Join(
				c.ArgErrorf("packages["+string(rune('0'+i))+"]", "no package %q", p).WithHint("see the list"),
				c.ArgErrorf("mode", "not with that"))
		}
		if p == "panic" {
			panic("a mistake in the builtin")
		}
	}
	act, err := c.Action(action.Spec{
		Op: compileOp, Params: a.Options, Inputs: []action.Input{{Name: "src", Artifact: a.Source.Artifact}},
		Outputs: []action.Output{{Name: "out", Kind: action.Tree}, {Name: "digest", Kind: action.File}},
		Title:   "compile",
	})
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("out"), "image", starlark.StringDict{
		"digest": schema.LateText(act.Output("digest")),
		"log":    schema.NewArtifact(act.Output("digest"), "file", nil),
	}), nil
})

type textArgs struct {
	Text action.Late `star:"text,text" doc:"what is in the file"`
}

var text = schema.New("text", "text makes a file.", func(c *schema.Call, a *textArgs) (starlark.Value, error) {
	act, err := c.Action(action.Spec{Op: textOp, Params: a.Text, Outputs: []action.Output{{Name: "out", Kind: action.File}}})
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("out"), "file", nil), nil
})

type fileArgs struct {
	Path string `star:"path" doc:"a path relative to this module"`
}

var file = schema.New("file", "file is a file beside the script.", func(c *schema.Call, a *fileArgs) (starlark.Value, error) {
	src, err := c.Session().Files.File(c, a.Path)
	if err != nil {
		return nil, c.ArgErrorf("path", "%w", err)
	}
	return schema.NewArtifact(c.Session().Scope.Source(src, src.Path, c.Site()), "file", nil), nil
})

type globArgs struct {
	Path    string   `star:"path" doc:"a folder"`
	Include []string `star:"include,optional" doc:"patterns"`
	Exclude []string `star:"exclude,optional" doc:"patterns"`
}

var glob = schema.New("glob", "glob is a folder beside the script.", func(c *schema.Call, a *globArgs) (starlark.Value, error) {
	src, err := c.Session().Files.Tree(c, a.Path, a.Include, a.Exclude)
	if err != nil {
		return nil, c.ArgErrorf("path", "%w", err)
	}
	return schema.NewArtifact(c.Session().Scope.Source(src, src.Path, c.Site()), "tree", nil), nil
})

type waitArgs struct{}

var wait = schema.New("wait", "wait waits until the evaluation is cancelled.", func(c *schema.Call, _ *waitArgs) (starlark.Value, error) {
	<-c.Context().Done()
	return nil, context.Cause(c.Context())
})

func config(fsys map[string]string) host.Config {
	m := fstest.MapFS{}
	for name, src := range fsys {
		m[name] = &fstest.MapFile{Data: []byte(src)}
	}
	return host.Config{FS: m, Builtins: []*schema.Builtin{compile, text, file, glob, wait}}
}

func load(t *testing.T, src string) (*host.Module, error) {
	t.Helper()
	return host.Load(t.Context(), config(map[string]string{"lab.star": src}), "lab.star")
}

// TestChunks runs testdata/*.star, with their expected failures.
func TestChunks(t *testing.T) {
	cfg := config(nil)
	startest.Run(t, cfg, os.DirFS(filepath.Join("testdata", "chunks")), "*.star")
}

// TestRender compares whole renderings: testdata/render/NAME.star has NAME.txt
// beside it. With LABSTAR_UPDATE=1 the latter are written.
func TestRender(t *testing.T) {
	dir := filepath.Join("testdata", "render")
	files, err := filepath.Glob(filepath.Join(dir, "*.star"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no files in %s: %v", dir, err)
	}
	for _, f := range files {
		name := filepath.Base(f)
		t.Run(name, func(t *testing.T) {
			cfg := config(nil)
			cfg.FS = os.DirFS(dir)
			_, err := host.Load(t.Context(), cfg, name)
			var es host.Errors
			if !errors.As(err, &es) {
				t.Fatalf("got %v, want host.Errors", err)
			}
			golden := f[:len(f)-len(".star")] + ".txt"
			got := err.Error() + "\n"
			if os.Getenv("LABSTAR_UPDATE") != "" {
				if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(golden)
			if err != nil {
				t.Fatal(err)
			}
			if got != string(want) {
				t.Errorf("got:\n%s\nwant:\n%s", got, want)
			}
		})
	}
}
