package host

import (
	"context"
	"fmt"
	"os"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type bbArgs struct {
	Source  string                  `star:"source" doc:"the source"`
	Options schema.Dict[schema.Any] `star:"options,optional" doc:"options"`
	Links   bool                    `star:"links,keyword" default:"True" doc:"links"`
	Mode    string                  `star:"mode,keyword" default:"\"fast\"" enum:"fast,slow" doc:"mode"`
	Pkgs    []string                `star:"packages,keyword,optional" doc:"packages"`
}

var op = &action.Op{Name: "test/bb", Version: 1}
var bb = schema.New("busybox", "busybox compiles busybox.", func(c *schema.Call, a *bbArgs) (starlark.Value, error) {
	act, err := c.Action(action.Spec{Op: op, Params: a, Outputs: []action.Output{{Name: "out", Kind: action.Tree}}})
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("out"), "tree", starlark.StringDict{"image": starlark.String("x")}), nil
})

func TestScratch(t *testing.T) {
	for _, f := range os.Args[1:] {
		_ = f
	}
	entries, _ := os.ReadDir("/tmp/host/x")
	for _, e := range entries {
		if e.IsDir() {
			continue
		}
		mod, err := Load(context.Background(), Config{FS: os.DirFS("/tmp/host/x"), Builtins: []*schema.Builtin{bb}, Print: func(s string) { fmt.Println("print:", s) }}, e.Name())
		fmt.Println("=====", e.Name())
		if err != nil {
			fmt.Println(err)
			continue
		}
		for _, g := range mod.Globals {
			fmt.Println(g.Name, g.Value, g.Site)
		}
	}
}
