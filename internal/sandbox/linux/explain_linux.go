//go:build amd64 || arm64

package linux

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/labstar/labstar/internal/sandbox"
)

// commandError tells whether a failed step is the command's own fault: then it
// returns the exit code and the line that a shell would give. Code 0 means that
// the sandbox itself failed.
func (p *plan) commandError(step string, errno syscall.Errno) (int, string) {
	name := p.spec.Argv[0]
	if at, ok := strings.CutPrefix(step, interpreterStep); ok {
		return 127, fmt.Sprintf("labstar: %s is there, but what runs it is not: the program in its #! line, or its dynamic loader, is missing in the toolchain", at)
	}
	if at, ok := strings.CutPrefix(step, execStep); ok {
		if errno == syscall.ENOEXEC {
			return 126, fmt.Sprintf("labstar: %s is no program that this machine can run: %v; a script needs a first line such as #!/bin/sh", at, errno)
		}
		return 126, fmt.Sprintf("labstar: executing %s: %v", at, errno)
	}
	if step != notFoundStep {
		return 0, ""
	}
	code := 127
	if errno != syscall.ENOENT {
		code = 126
	}
	if strings.Contains(name, "/") {
		return code, fmt.Sprintf("labstar: executing %s: %v", name, errno)
	}
	return code, fmt.Sprintf("labstar: looking for %s in PATH (%s): %v", name, searchPath(p.spec.Env), errno)
}

// explain says why the sandbox could not be made and what to do.
func explain(step string, errno syscall.Errno) error {
	err := fmt.Errorf("making the sandbox: %s: %w", step, errno)
	switch errno {
	case syscall.EPERM, syscall.EACCES, syscall.ENOSPC, syscall.EUSERS, syscall.EINVAL, syscall.ENOSYS, syscall.ENODEV:
		for _, f := range thisMachine().causes(errno) {
			err = fmt.Errorf("%w\n%s: %s", err, f.Detail, f.Remedy)
		}
	}
	return &sandbox.SetupError{Err: err}
}
