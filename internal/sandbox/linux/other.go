//go:build !linux || (!amd64 && !arm64)

package linux

import (
	"context"
	"errors"
	"runtime"

	"github.com/labstar/labstar/internal/sandbox"
)

var errElsewhere = &sandbox.SetupError{Err: errors.New(
	"running a command: the sandbox needs Linux on amd64 or arm64, this is " + runtime.GOOS + "/" + runtime.GOARCH +
		"; everything but commands works here, run those on a Linux machine")}

// Runner is a sandbox.Runner that says that commands cannot run here.
type Runner struct{}

// New returns a Runner.
func New() *Runner { return &Runner{} }

// Run implements sandbox.Runner; it always fails.
func (*Runner) Run(context.Context, *sandbox.Spec) (*sandbox.Result, error) {
	return nil, errElsewhere
}

// Close does nothing.
func (*Runner) Close() error { return nil }

// Check says that there is no sandbox here.
func Check(context.Context, string) []sandbox.Finding {
	return []sandbox.Finding{{Name: "sandbox", Detail: errElsewhere.Error(), Remedy: "use a Linux machine for commands"}}
}
