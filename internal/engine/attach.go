package engine

import (
	"context"
	"fmt"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/sandbox"
)

// Attachment is a command that a user runs by hand: that of an action, changed.
type Attachment struct {
	// Command, if not nil, changes the command.
	Command func(*action.Command)
	// Folders are laid in the sandbox, writable if they say so.
	Folders []sandbox.Mount
	// Started is called when everything is built, before the command starts.
	Started func()
}

// Attach builds what an exec action needs and runs its command with the user's
// terminal as its own, in the sandbox that the action would have. Nothing of it is
// kept. The result is nil if something that the action needs failed; then the
// report tells what.
func (e *Engine) Attach(ctx context.Context, a *action.Action, with Attachment) (*Report, *sandbox.Result, error) {
	if a.Op != action.Exec {
		return nil, nil, fmt.Errorf("%s is no command", a.Title)
	}
	var needs []*action.Artifact
	a.Deps(func(in *action.Artifact) { needs = append(needs, in) })
	rep, err := e.Build(ctx, needs)
	if err != nil || rep.Failed > 0 {
		return rep, nil, err
	}
	r, err := e.resolve(ctx, a, func(in *action.Artifact) (action.OutputDigest, error) {
		out, ok := rep.Output(in)
		if !ok {
			return out, fmt.Errorf("%s was not built", in.Describe())
		}
		return out, nil
	})
	if err != nil {
		return rep, nil, err
	}
	if err := e.ingestInputs(ctx, a); err != nil {
		return rep, nil, err
	}
	if with.Command != nil {
		with.Command(r.Command)
	}
	if _, err := e.jobserver(ctx); err != nil {
		return rep, nil, err
	}
	scratch, err := e.opts.Store.Scratch(ctx)
	if err != nil {
		return rep, nil, err
	}
	defer e.remove(scratch)
	spec, err := e.spec(ctx, r, scratch)
	if err != nil {
		return rep, nil, err
	}
	spec.Terminal, spec.Timeout = true, 0
	spec.Inputs = append(spec.Inputs, with.Folders...)
	if with.Started != nil {
		with.Started()
	}
	res, err := e.opts.Runner.Run(ctx, spec)
	return rep, res, err
}
