package stdlib_test

import (
	"io/fs"
	"strings"
	"testing"

	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/startest"
	"github.com/labstar/labstar/stdlib"
)

func TestRecipes(t *testing.T) {
	startest.Run(t, host.Config{Builtins: builtins.All(), Stdlib: stdlib.FS}, stdlib.FS, "*_test.star")
}

// TestEveryRecipeHasTests: a recipe without tests is none.
func TestEveryRecipeHasTests(t *testing.T) {
	files, err := fs.Glob(stdlib.FS, "*.star")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if strings.HasSuffix(f, "_test.star") {
			continue
		}
		test := strings.TrimSuffix(f, ".star") + "_test.star"
		if _, err := fs.Stat(stdlib.FS, test); err != nil {
			t.Errorf("%s has no %s", f, test)
		}
	}
}
