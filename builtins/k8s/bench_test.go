package k8s_test

import (
	"os"
	"testing"
	"testing/fstest"

	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/stdlib"
)

// BenchmarkEvaluate is 200 services: a ConfigMap, a Deployment and a Service each,
// made by the constructors and checked.
func BenchmarkEvaluate(b *testing.B) {
	script, err := os.ReadFile("testdata/services.star")
	if err != nil {
		b.Fatal(err)
	}
	fsys := fstest.MapFS{"lab.star": {Data: script}}
	for b.Loop() {
		if _, err := host.Load(b.Context(), host.Config{FS: fsys, Stdlib: stdlib.FS, Builtins: builtins.All()}, "lab.star"); err != nil {
			b.Fatal(err)
		}
	}
}
