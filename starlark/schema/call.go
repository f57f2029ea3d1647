package schema

import (
	"context"
	"errors"
	"runtime/debug"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
)

// Call is one call of a builtin in progress. It is valid until the builtin
// returns.
type Call struct {
	builtin *Builtin
	thread  *starlark.Thread
	session *Session
	args    starlark.Tuple
	kwargs  []starlark.Tuple
}

// Session returns what the evaluation offers.
func (c *Call) Session() *Session { return c.session }

// Context ends when the evaluation is cancelled or out of time. A builtin that
// takes long looks at it.
func (c *Call) Context() context.Context {
	if c.session.Context == nil {
		return context.Background()
	}
	return c.session.Context
}

// Thread is for builtins that call functions of the script.
func (c *Call) Thread() *starlark.Thread { return c.thread }

// Builtin returns the builtin that was called.
func (c *Call) Builtin() *Builtin { return c.builtin }

// maxSite bounds the frames kept of a deep stack.
const maxSite = 32

// Site returns the calls that led here, innermost script frame first.
func (c *Call) Site() []action.Frame {
	n := c.thread.CallStackDepth()
	site := make([]action.Frame, 0, min(n-1, maxSite))
	for i := 1; i < n && len(site) < maxSite; i++ { // 0 is the builtin itself
		fr := c.thread.CallFrame(i)
		if fr.Pos.Line == 0 {
			continue // another builtin, such as sorted(key = …)
		}
		site = append(site, action.Frame{
			File: fr.Pos.Filename(), Line: int(fr.Pos.Line), Col: int(fr.Pos.Col), Func: fr.Name,
		})
	}
	return site
}

// Module returns the canonical path of the calling module: "lab.star",
// "lib/app.star", "@stdlib//web.star".
func (c *Call) Module() string {
	for i := 1; i < c.thread.CallStackDepth(); i++ {
		if pos := c.thread.CallFrame(i).Pos; pos.Line != 0 {
			return pos.Filename()
		}
	}
	return ""
}

// Action makes an action. It fills in the site, and the title if that is
// empty; a damaged token is an error at the argument that holds it.
func (c *Call) Action(spec action.Spec) (*action.Action, error) {
	if spec.Site == nil {
		spec.Site = c.Site()
	}
	if spec.Title == "" {
		spec.Title = c.builtin.name
	}
	a, err := c.session.Scope.Action(spec)
	if err != nil {
		var token *action.TokenError
		if errors.As(err, &token) {
			return nil, c.tokenError(c.holder(token.Got), token)
		}
		return nil, c.Errorf("%w", err)
	}
	return a, nil
}

// holder returns the name of the argument in which piece stands, or "".
func (c *Call) holder(piece string) string {
	for i, v := range c.args {
		if i < len(c.builtin.Params()) && holds(v, piece, 0) {
			return c.builtin.Params()[i].Name
		}
	}
	for _, kv := range c.kwargs {
		if holds(kv[1], piece, 0) {
			name, _ := starlark.AsString(kv[0])
			return name
		}
	}
	return ""
}

func (c *Call) tokenError(arg string, err *action.TokenError) *Error {
	e := c.ArgErrorf(arg, "%w", err)
	if arg == "" {
		e = c.Errorf("%w", err)
	}
	return e
}

// CallInternal implements starlark.Callable.
func (b *Builtin) CallInternal(thread *starlark.Thread, args starlark.Tuple, kwargs []starlark.Tuple) (v starlark.Value, err error) {
	session, _ := thread.Local(sessionKey).(*Session)
	if session == nil {
		return nil, errors.New(b.name + ": called outside of an evaluation")
	}
	c := &Call{builtin: b, thread: thread, session: session, args: args, kwargs: kwargs}
	defer c.recoverPanic(&err)
	return b.invoke(c)
}

// recoverPanic makes an error of a builtin's panic, so that it has the script's
// position and the program goes on.
func (c *Call) recoverPanic(err *error) {
	if r := recover(); r != nil {
		e := c.Errorf("internal error: %v", r)
		e.Hint = "this is a fault of labstar, not of the script: please report it, with this:\n" + string(debug.Stack())
		*err = e
	}
}
