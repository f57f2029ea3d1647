// Package docs keeps the reference of the language, written from the builtins'
// declarations by `go generate ./docs` and checked to be fresh by its test.
package docs

//go:generate go test . -run TestReference -update
