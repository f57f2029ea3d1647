// Package builtins joins the groups of builtins that come with labstar. An
// embedder who wants only some takes the groups' own packages instead, and links
// nothing of the others.
package builtins

import (
	"slices"

	"github.com/labstar/labstar/builtins/k8s"
	"github.com/labstar/labstar/builtins/oci"
	"github.com/labstar/labstar/builtins/rootfs"
	"github.com/labstar/labstar/builtins/run"
	"github.com/labstar/labstar/builtins/userland"
	"github.com/labstar/labstar/starlark/schema"
)

// All returns every builtin.
func All() []*schema.Builtin {
	return slices.Concat(
		run.Builtins(),
		userland.Builtins(),
		rootfs.Builtins(),
		oci.Builtins(),
		k8s.Builtins(),
	)
}
