// Package source holds the builtins that bring files into a lab and rearrange
// them: `file`, `glob`, `text`, `fetch`, `unpack`, `patch`, `tree` and `pick`.
//
//	src  = unpack(fetch("https://example.org/hello-2.12.tar.gz", sha256 = "cf04…"), strip = 1)
//	src  = patch(src, [file("fix.patch")])
//	site = tree({"www": glob(["**/*.html"], dir = "pages"), "www/version": "2.12\n"})
//
// A file artifact is bytes and nothing else: who owns it, and whether it can be
// run, is said where it becomes part of a tree. There, a file that is a program
// (ELF) or begins with "#!" gets the mode 0755, any other 0644, unless modes says
// otherwise; what comes out of a tree or an archive keeps what it had.
package source

import (
	"errors"
	"fmt"
	"path"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin {
	return []*schema.Builtin{File, Glob, Text, Fetch, Unpack, Patch, NewTree, Pick}
}

// Resolvers returns what fills in the entries of lab.lock that fetch asks for.
func Resolvers() map[string]lock.Resolver {
	return map[string]lock.Resolver{lockKind: fetchResolver{}}
}

type fileArgs struct {
	Path string `star:"path" doc:"path relative to the script that calls, or to the main script's folder if it begins with //"`
}

// File is the builtin `file`.
var File = schema.New("file", `file takes a file of the lab's own folder.

Nothing is read before a build needs it, but its SHA-256, which is the attribute
sha256. A path that leads out of the lab's folder, through a symlink too, is an
error.

	conf = file("nginx.conf")`,
	func(c *schema.Call, a *fileArgs) (starlark.Value, error) {
		src, err := c.Session().Files.File(c, a.Path)
		if err != nil {
			return nil, c.ArgErrorf("path", "%w", err)
		}
		return sourceArtifact(c, src, "file "+path.Base(a.Path)), nil
	}, schema.Returns("a file, with the attributes `sha256` and `size` (bytes)"))

type globArgs struct {
	Include []string `star:"include,optional" doc:"patterns of files to take: * and ? as in a shell, ** crosses folders; by default all"`
	Exclude []string `star:"exclude,optional" doc:"patterns of files to leave out"`
	Dir     string   `star:"dir,keyword" default:"\".\"" doc:"the folder to look in, relative to the script that calls"`
}

// Glob is the builtin `glob`.
var Glob = schema.New("glob", `glob takes a folder of the lab, or the files of it that match patterns, as a tree.

Paths in the tree are relative to dir. Run bits are kept, owners and times are
not. An include pattern that matches nothing is an error.

	pages = glob(["**/*.html", "css/**"], exclude = ["drafts/**"], dir = "www")`,
	func(c *schema.Call, a *globArgs) (starlark.Value, error) {
		src, err := c.Session().Files.Tree(c, a.Dir, a.Include, a.Exclude)
		var wrong *schema.PatternError
		switch {
		case errors.As(err, &wrong) && wrong.Exclude:
			return nil, c.ArgErrorf(fmt.Sprintf("exclude[%d]", wrong.Index), "%w", wrong.Err)
		case wrong != nil:
			return nil, c.ArgErrorf(fmt.Sprintf("include[%d]", wrong.Index), "%w", wrong.Err)
		case err != nil:
			return nil, c.ArgErrorf("dir", "%w", err)
		}
		return sourceArtifact(c, src, "glob "+a.Dir), nil
	}, schema.Returns("a tree"))

// sourceArtifact makes the value of content that is there already.
func sourceArtifact(c *schema.Call, src action.Source, title string) *schema.Artifact {
	art := c.Session().Scope.Source(src, title, c.Site())
	if src.Kind == action.Tree {
		return schema.NewArtifact(art, "tree", nil)
	}
	return schema.NewArtifactWith(art, "file", fileAttrs{art.Action.Source})
}

// fileAttrs are the attributes of a local file.
type fileAttrs struct{ *action.Source }

func (fileAttrs) AttrNames() []string { return []string{"sha256", "size"} }

func (f fileAttrs) Attr(name string) starlark.Value {
	switch name {
	case "sha256":
		return starlark.String(f.Digest.Hex())
	case "size":
		return starlark.MakeInt64(f.Digest.Size)
	}
	return nil
}

// treeOutput is the only output of most actions here.
var treeOutput = []action.Output{{Name: "tree", Kind: action.Tree}}

// fileOutput is the only output of others. The name is the file's in a sandbox
// and under out/.
func fileOutput(name string) []action.Output {
	if name == "" {
		name = "file"
	}
	return []action.Output{{Name: name, Kind: action.File}}
}

// value makes the value of an action's only output.
func value(a *action.Action) *schema.Artifact {
	out := a.Outputs[0]
	return schema.NewArtifact(a.Output(out.Name), out.Kind.String(), nil)
}
