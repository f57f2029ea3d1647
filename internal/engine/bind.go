package engine

import (
	"context"
	"errors"

	"github.com/labstar/labstar/action"
)

// An action with Secrets is never looked up and never published: no key may
// cover a secret's value, which a fast hash would give away to whoever guesses.
// It runs first in every build, and what depends on it is found under a name that
// covers its definition and what that action left. So a password that changed
// makes a new file system, and the store holds nothing that is easier to guess
// from than the file system itself.

// Bind runs an action with Secrets, whose inputs are local or in the store.
func (e *Engine) Bind(ctx context.Context, a *action.Action) (*action.Result, error) {
	r, err := e.resolve(ctx, a, func(in *action.Artifact) (action.OutputDigest, error) {
		if src := in.Action.Source; src != nil {
			return action.OutputDigest{Name: in.Output().Name, Kind: src.Kind, Digest: src.Digest}, nil
		}
		return action.OutputDigest{}, errors.New("internal error: an action with secrets takes only local files")
	})
	if err != nil {
		return nil, err
	}
	if err := e.ingestInputs(ctx, a); err != nil {
		return nil, err
	}
	return e.runNative(ctx, r, action.Digest{}, -1)
}

// storeName is the name under which the result of a is found before its inputs
// are known: its definition, with the results of the secrets it depends on. It
// is not known if one of them failed.
func storeName(a *action.Action, result func(definition action.Digest) *action.Result) (action.Digest, bool) {
	if len(a.Bound()) == 0 {
		return a.Definition(), true
	}
	name := []byte("bound " + a.Definition().Hex())
	for _, b := range a.Bound() {
		res := result(b.Definition())
		if res == nil {
			return action.Digest{}, false
		}
		name = append(name, " "+b.Definition().Hex()...)
		for _, o := range res.Outputs {
			name = append(name, " "+o.Digest.Hex()...)
		}
	}
	return action.Of(name), true
}
