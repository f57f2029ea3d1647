// Package stdlib holds the recipes that come with labstar, in Starlark. A
// script loads them by name:
//
//	load("@stdlib//k8s.star", "deployment", "service")
//
// Each recipe has its tests beside it, in NAME_test.star.
package stdlib

import "embed"

// FS holds the modules, by the name after "@stdlib//".
//
//go:embed *.star k8s/*.star
var FS embed.FS
