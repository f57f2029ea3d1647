package source

import (
	"bytes"
	"context"
	"io"
	"path"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type textArgs struct {
	Content action.Late `star:"content" doc:"the file's bytes, in UTF-8; may hold late-bound strings"`
	Name    string      `star:"name,keyword" default:"\"text\"" doc:"the file's name in a sandbox and under out/"`
}

// Text is the builtin `text`.
var Text = schema.New("text", `text makes a file of a string.

The string may hold what is known only after a build, such as an image's
reference. It is written as it is: end it with a newline if the file should.

	motd = text("welcome to " + image.ref + "\n")`,
	func(c *schema.Call, a *textArgs) (starlark.Value, error) {
		art, err := textArtifact(c, "content", string(a.Content), a.Name)
		if err != nil {
			return nil, err
		}
		return art, nil
	}, schema.Returns("a file"))

// textOp writes a text that had late-bound strings in it.
var textOp = &action.Op{Name: "source/text", Version: 1, Run: runText}

type textParams struct {
	Name    string      `json:"name"`
	Content action.Late `json:"content"`
}

func runText(_ context.Context, env action.Env) error {
	var p textParams
	if err := env.Params(&p); err != nil {
		return err
	}
	return env.WriteFile(p.Name, []byte(p.Content))
}

// textArtifact makes the file of a string that was given for the argument arg.
// A string without tokens needs no action: its content is known now.
func textArtifact(c *schema.Call, arg, content, title string) (*schema.Artifact, error) {
	refs, err := c.Session().Scope.Refs(content)
	if err != nil {
		return nil, c.ArgErrorf(arg, "%w", err)
	}
	for _, r := range refs {
		if r.Kind == action.Path {
			return nil, c.ArgErrorf(arg, "got the path of %s, which is a path in the sandbox and means nothing in a file", r.Artifact.Describe()).
				WithHint("for its content or its name use one of its attributes; to lay the artifact itself somewhere, use tree()")
		}
	}
	if len(refs) == 0 {
		b := []byte(content)
		open := func(action.Digest) (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }
		return sourceArtifact(c, action.Source{Kind: action.File, Digest: action.Of(b), Open: open, Path: title}, title), nil
	}
	act, err := c.Action(action.Spec{
		Op: textOp, Params: textParams{path.Base(title), action.Late(content)}, Outputs: fileOutput(path.Base(title)), Title: title,
	})
	if err != nil {
		return nil, err
	}
	return value(act), nil
}
