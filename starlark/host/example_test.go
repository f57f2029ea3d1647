package host_test

import (
	"context"
	"fmt"
	"testing/fstest"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
)

type greetArgs struct {
	Name string `star:"name" doc:"who to greet"`
	Loud bool   `star:"loud,keyword" default:"False" doc:"in capitals"`
}

var greet = schema.New("greet", "greet says hello.",
	func(_ *schema.Call, a *greetArgs) (starlark.Value, error) {
		if a.Loud {
			return starlark.String("HELLO " + a.Name), nil
		}
		return starlark.String("hello " + a.Name), nil
	})

func ExampleLoad() {
	files := fstest.MapFS{
		"lab.star":     {Data: []byte("load(\"lib/who.star\", \"who\")\nx = [greet(w) for w in who]\n")},
		"lib/who.star": {Data: []byte("who = [\"you\", \"all\"]\n")},
	}
	cfg := host.Config{FS: files, Builtins: []*schema.Builtin{greet}}
	mod, err := host.Load(context.Background(), cfg, "lab.star")
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, g := range mod.Globals {
		fmt.Println(g.Name, "=", g.Value)
	}
	// Output: x = ["hello you", "hello all"]
}

func ExampleErrors() {
	files := fstest.MapFS{"lab.star": {Data: []byte("x = greet(3, lod = True)\n")}}
	_, err := host.Load(context.Background(), host.Config{FS: files, Builtins: []*schema.Builtin{greet}}, "lab.star")
	fmt.Println(err)
	// Output:
	// lab.star:1:11: greet: name: got int, want string
	//      1 | x = greet(3, lod = True)
	//        |           ^
	//
	// lab.star:1:14: greet: unknown argument "lod" (did you mean "loud"?)
	//      1 | x = greet(3, lod = True)
	//        |              ^^^
}
