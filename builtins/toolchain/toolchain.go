// Package toolchain has the builtins that take programs and sources from
// Debian: debian_packages, debian_layer and debian_source.
//
//	tools = debian_packages(["gcc", "libc6-dev", "make"])
//	src   = debian_source("busybox")
//
// While a script is evaluated they only read lab.lock: the closure of a request
// is a walk over its entries. What is not locked becomes a Want, which Resolvers
// turn into entries from the suite's signed index (package internal/debian).
//
// A toolchain is a graph of small actions, so that two of them share all that
// they have in common:
//
//	debian/fetch   one .deb by its SHA-256, from whichever mirror has it
//	debian/unpack  its files as a tree, with /usr merged and documentation dropped
//	debian/merge   all trees in one, plus what maintainer scripts would have made
//
// debian_layer is the same for an image: debian/layer keeps dpkg's records of the
// packages and sets up what they need to run (layer.go, setup.go).
package toolchain

import (
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin { return []*schema.Builtin{Packages, Layer, Source} }

// Resolvers returns what fills in the lock for this group, by kind of entry.
func Resolvers() map[string]lock.Resolver {
	return map[string]lock.Resolver{kindPackage: packageResolver{}, kindSource: sourceResolver{}}
}
