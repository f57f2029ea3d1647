//go:build !race

package host

import "go.starlark.net/starlark"

// stuckStack reads the stack of a thread that has been inside one step for
// seconds. Nothing orders that step's writes before this read but those
// seconds: it is for a message and for nothing else, and the race detector's
// builds do without (see stack_race.go).
func stuckStack(t *starlark.Thread) (stack starlark.CallStack) {
	defer func() {
		if recover() != nil {
			stack = nil
		}
	}()
	return t.CallStack()
}
