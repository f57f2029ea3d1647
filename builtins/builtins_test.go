package builtins_test

import (
	"os"
	"slices"
	"testing"

	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/startest"
	"github.com/labstar/labstar/stdlib"
)

func TestEveryBuiltinOnce(t *testing.T) {
	var names []string
	for _, b := range builtins.All() {
		if slices.Contains(names, b.Name()) {
			t.Errorf("%s is there twice", b.Name())
		}
		names = append(names, b.Name())
	}
	for _, want := range []string{
		"file", "glob", "text", "fetch", "unpack", "patch", "tree", "pick", "debian_packages", "debian_source",
		"run", "busybox", "rootfs", "user", "secret", "service", "dhcp", "static_address", "device", "initramfs", "oci_image", "oci_index", "oci_pull", "debian_layer", "k8s_manifest",
	} {
		if !slices.Contains(names, want) {
			t.Errorf("%s is missing", want)
		}
	}
	if builtins.Resolvers()["fetch"] == nil {
		t.Error("nothing resolves fetch")
	}
}

// TestErrors evaluates the chunks of testdata, each of which must fail at its line.
func TestErrors(t *testing.T) {
	startest.Run(t, host.Config{Builtins: builtins.All(), Stdlib: stdlib.FS}, os.DirFS("testdata"), "*.star")
}
