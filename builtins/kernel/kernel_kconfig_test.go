package kernel

import (
	"slices"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

// What is made of a configuration outlives a patch of the code, and nothing else.
func TestKconfigFiles(t *testing.T) {
	lab := buildtest.New(t)
	of := func(change, text string) action.Digest {
		files := map[string]string{
			"Kconfig": "source", "Makefile": "make", "fs/open.c": "code", "fs/Kconfig": "fs", "fs/ext4/Kconfig.debug": "debug", "lib/sort.c": "code",
			"scripts/cc-version.sh": "script", "scripts/basic/fixdep.c": "code",
		}
		files[change] = text
		nodes := map[string]buildtest.Node{}
		for name, text := range files {
			nodes[name] = buildtest.Node{Text: text}
		}
		a, err := lab.Scope().Action(action.Spec{
			Op: kconfigOp, Inputs: []action.Input{{Name: "source", Artifact: lab.Tree(nodes).Artifact}},
			Outputs: []action.Output{{Name: "source", Kind: action.Tree}},
		})
		if err != nil {
			t.Fatal(err)
		}
		d, err := lab.TryBuild(schema.NewArtifact(a.Output("source"), "tree", nil))
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	plain := of("Makefile", "make")
	same := []string{"fs/open.c", "lib/sort.c", "lib/new.c", "Makefile"}
	for _, name := range slices.Concat(same, []string{"Kconfig", "fs/Kconfig", "fs/ext4/Kconfig.debug", "lib/Kconfig", "scripts/cc-version.sh"}) {
		if got := of(name, "changed") == plain; got != slices.Contains(same, name) {
			t.Errorf("%s is changed: got the same tree: %v", name, got)
		}
	}
}
