// Package builtins joins the groups of builtins that come with labstar. An
// embedder who wants only some takes the groups' own packages instead, and links
// nothing of the others.
package builtins

import (
	"maps"
	"slices"

	"github.com/labstar/labstar/builtins/app"
	"github.com/labstar/labstar/builtins/compose"
	"github.com/labstar/labstar/builtins/disk"
	"github.com/labstar/labstar/builtins/k8s"
	"github.com/labstar/labstar/builtins/kernel"
	"github.com/labstar/labstar/builtins/npm"
	"github.com/labstar/labstar/builtins/oci"
	"github.com/labstar/labstar/builtins/rootfs"
	"github.com/labstar/labstar/builtins/run"
	"github.com/labstar/labstar/builtins/source"
	"github.com/labstar/labstar/builtins/toolchain"
	"github.com/labstar/labstar/builtins/userland"
	"github.com/labstar/labstar/builtins/vm"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/schema"
)

// All returns every builtin.
func All() []*schema.Builtin {
	return slices.Concat(
		source.Builtins(),
		toolchain.Builtins(),
		run.Builtins(),
		kernel.Builtins(),
		userland.Builtins(),
		rootfs.Builtins(),
		disk.Builtins(),
		npm.Builtins(),
		oci.Builtins(),
		app.Builtins(),
		compose.Builtins(),
		k8s.Builtins(),
		vm.Builtins(),
	)
}

// Resolvers returns what fills in lab.lock, by the kind of entry.
func Resolvers() map[string]lock.Resolver {
	all := source.Resolvers()
	maps.Copy(all, toolchain.Resolvers())
	maps.Copy(all, oci.Resolvers())
	return all
}
