// Package schema is how a builtin is declared: once, as a Go struct with tags
// and a docstring. Unpacking, defaults, error messages with did-you-mean,
// documentation and editor hints all come from that declaration.
//
//	type greetArgs struct {
//		Name string `star:"name" doc:"who to greet"`
//		Loud bool   `star:"loud,keyword" default:"False" doc:"in capitals"`
//	}
//
//	var Greet = schema.New("greet", "greet says hello.\n\nMore text in Markdown.",
//		func(c *schema.Call, a *greetArgs) (starlark.Value, error) { … })
package schema

import (
	"context"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
)

// Files reads the script's own tree for builtins. Paths are relative to the
// folder of the module that calls; everything read is recorded.
type Files interface {
	// File returns a regular file.
	File(c *Call, path string) (action.Source, error)
	// Tree returns the folder at path as a tree: the files that match one of the
	// include patterns and none of exclude ("**" crosses folders).
	Tree(c *Call, path string, include, exclude []string) (action.Source, error)
	// ReadFile returns a file's bytes, for builtins that need them while evaluating.
	ReadFile(c *Call, path string) ([]byte, error)
}

// PatternError is an error of Files.Tree about one of the patterns that it was given.
type PatternError struct {
	Exclude bool // it is one of exclude, not of include
	Index   int
	Err     error
}

func (e *PatternError) Error() string { return e.Err.Error() }

func (e *PatternError) Unwrap() error { return e.Err }

// Pins is what lab.lock says.
type Pins interface {
	// Get returns the fields locked for name, in the section kind.
	Get(kind, name string) (fields []string, ok bool)
	// Want records that something is not locked yet: request is what the
	// section's resolver understands. The evaluation goes on; nothing is built
	// before the lock has it.
	Want(kind, request string, site []action.Frame)
}

// Session is what one evaluation offers to builtins.
type Session struct {
	Context context.Context
	Scope   *action.Scope
	Files   Files
	Pins    Pins

	origins map[starlark.Value]Origin
	parts   map[partOf]*Error // nil if nobody asks for them
}

const sessionKey = "labstar.session"

// Attach makes s the session of the builtins called on thread.
func (s *Session) Attach(thread *starlark.Thread) { thread.SetLocal(sessionKey, s) }
