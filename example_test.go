package labstar_test

import (
	"context"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"testing/fstest"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// An op is a pure function of its parameters and inputs; its version is part of
// the key.
var greetOp = &action.Op{Name: "example/greet", Version: 1, Run: func(_ context.Context, env action.Env) error {
	var who greetArgs
	if err := env.Params(&who); err != nil {
		return err
	}
	return env.WriteFile("greeting.txt", []byte("hello, "+string(who.Name)+"\n"))
}}

type greetArgs struct {
	Name action.Late `star:"name" json:"name" doc:"Who to greet."`
}

// greet is a builtin of the embedding program's own.
var greet = schema.New("greet", "greet makes a file that greets somebody.",
	func(c *schema.Call, args *greetArgs) (starlark.Value, error) {
		a, err := c.Action(action.Spec{
			Op: greetOp, Params: args, Title: "greeting",
			Outputs: []action.Output{{Name: "greeting.txt", Kind: action.File}},
		})
		if err != nil {
			return nil, err
		}
		return schema.NewArtifact(a.Output("greeting.txt"), "file", nil), nil
	})

func Example() {
	ctx := context.Background()
	ls, err := labstar.New(
		labstar.WithBuiltins(greet),
		labstar.WithFS(fstest.MapFS{"lab.star": {Data: []byte(`hi = greet("world")`)}}),
		labstar.WithStore(labstar.NewMemoryStore()),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer ls.Close()

	lab, err := ls.Load(ctx, "lab.star")
	if err != nil {
		log.Fatal(err)
	}
	for range 2 {
		report, err := ls.Build(ctx, lab)
		if err != nil {
			log.Fatal(err)
		}
		out, _ := report.Output(lab.Targets[0].Items[0].Artifact)
		fmt.Printf("%s: ran %d, cached %d, %s\n", lab.Targets[0].Name, report.Ran, report.Cached, out.Digest)
	}
	// Output:
	// hi: ran 1, cached 0, sha256:853ff93762a06ddbf722c4ebe9ddd66d8f63ddaea97f521c3ecc20da7c976020
	// hi: ran 0, cached 1, sha256:853ff93762a06ddbf722c4ebe9ddd66d8f63ddaea97f521c3ecc20da7c976020
}

// Events tell a program what a build does.
func ExampleWithEvents() {
	ctx := context.Background()
	store, err := os.MkdirTemp("", "labstar-example")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(store)
	ls, err := labstar.New(
		labstar.WithBuiltins(greet),
		labstar.WithFS(fstest.MapFS{"lab.star": {Data: []byte(`hi = greet("events")`)}}),
		labstar.WithStoreDir(filepath.Join(store, "cache")),
		labstar.WithEvents(func(e labstar.Event) {
			if e.Kind == labstar.EventStart || e.Kind == labstar.EventFinish {
				fmt.Println(e.Kind, e.Action.Title)
			}
		}),
	)
	if err != nil {
		log.Fatal(err)
	}
	defer ls.Close()
	lab, err := ls.Load(ctx, "lab.star")
	if err != nil {
		log.Fatal(err)
	}
	if _, err := ls.Build(ctx, lab); err != nil {
		log.Fatal(err)
	}
	// Output:
	// start greeting
	// finish greeting
}

// Errors of a script know their place.
func ExampleLabstar_Load() {
	ls, err := labstar.New(
		labstar.WithBuiltins(greet),
		labstar.WithFS(fstest.MapFS{"lab.star": {Data: []byte("hi = greet(\n    nmae = \"world\",\n)\n")}}),
		labstar.WithStoreDir(filepath.Join(os.TempDir(), "never-made")),
	)
	if err != nil {
		log.Fatal(err)
	}
	_, err = ls.Load(context.Background(), "lab.star")
	fmt.Println(err)
	// Output:
	// lab.star:2:5: greet: unknown argument "nmae" (did you mean "name"?)
	//      2 |     nmae = "world",
	//        |     ^^^^
}
