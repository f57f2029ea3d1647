// Package fake is a sandbox.Runner that runs no program: a Go function plays the
// command, in this process, with the folders of a real one. It is for tests of
// what uses a Runner, on every system.
//
//	r := &fake.Runner{Func: func(c *fake.Command) int {
//		fmt.Fprintln(c.Output, "compiling")
//		b, err := c.ReadFile("/in/main.c")
//		...
//		return c.Exit(c.WriteFile("out/main.o", b))
//	}}
package fake

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/sandbox"
)

// Runner implements sandbox.Runner. Set Func before the first Run.
type Runner struct {
	// Func plays the command and returns its exit code. It may be called by
	// several goroutines at once.
	Func func(c *Command) int

	runs   atomic.Int64
	closed atomic.Bool
}

// Command is one run, as the function sees it. Paths are those inside the
// sandbox; relative ones start at the working folder.
type Command struct {
	context.Context
	Spec   *sandbox.Spec
	Output io.Writer
	build  string
}

// Runs is how many commands have been run.
func (r *Runner) Runs() int { return int(r.runs.Load()) }

// Close makes further runs fail.
func (r *Runner) Close() error {
	r.closed.Store(true)
	return nil
}

// Run implements sandbox.Runner. The build folder is a copy of Spec.Build.
func (r *Runner) Run(ctx context.Context, spec *sandbox.Spec) (*sandbox.Result, error) {
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case r.closed.Load():
		return nil, errors.New("running a command: the sandbox is closed")
	case len(spec.Argv) == 0:
		return nil, errors.New("sandbox: got no command")
	}
	r.runs.Add(1)
	c := &Command{Context: ctx, Spec: spec, Output: spec.Output, build: filepath.Join(spec.Scratch, "build")}
	if c.Output == nil {
		c.Output = io.Discard
	}
	if err := os.Mkdir(c.build, 0o755); err != nil {
		return nil, fmt.Errorf("making the sandbox's folders: %w", err)
	}
	for _, lower := range spec.Build {
		if err := copyTree(lower, c.build); err != nil {
			return nil, fmt.Errorf("laying the build folder: %w", err)
		}
	}
	if spec.Timeout > 0 {
		var cancel context.CancelFunc
		c.Context, cancel = context.WithTimeout(ctx, spec.Timeout)
		defer cancel()
	}
	start := time.Now()
	res := &sandbox.Result{ExitCode: r.Func(c), Upper: c.build, Elapsed: time.Since(start)}
	if ctx.Err() != nil {
		return nil, ctx.Err()
	}
	if c.Err() != nil {
		res.TimedOut, res.ExitCode, res.Signal = true, 137, "SIGKILL"
	}
	return res, nil
}

// copyTree copies a tree over another.
func copyTree(from, to string) error {
	return filepath.WalkDir(from, func(name string, d os.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, name)
		if err != nil {
			return err
		}
		at := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(at, 0o755)
		case d.Type()&os.ModeSymlink != 0:
			target, err := os.Readlink(name)
			if err != nil {
				return err
			}
			_ = os.Remove(at)
			return os.Symlink(target, at)
		}
		fi, err := d.Info()
		if err != nil {
			return err
		}
		b, err := os.ReadFile(name)
		if err != nil {
			return err
		}
		_ = os.Remove(at)
		return os.WriteFile(at, b, fi.Mode().Perm()|0o200)
	})
}

// Arg returns the i-th argument, 0 being the command's name, "" if there is none.
func (c *Command) Arg(i int) string {
	if i < len(c.Spec.Argv) {
		return c.Spec.Argv[i]
	}
	return ""
}

// Getenv returns a variable of the command's environment.
func (c *Command) Getenv(name string) string {
	for _, e := range c.Spec.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v
		}
	}
	return ""
}

// Path returns where a path inside is on the host: below the build folder, an
// input, or the highest layer of the root that has it.
func (c *Command) Path(name string) (string, error) {
	dir := c.Spec.Dir
	if dir == "" {
		dir = action.BuildDir
	}
	if !path.IsAbs(name) {
		name = path.Join(dir, name)
	}
	name = path.Clean(name)
	for i := len(c.Spec.Inputs) - 1; i >= 0; i-- {
		in := c.Spec.Inputs[i]
		if name == in.Target {
			return in.Source, nil
		}
		if rest, ok := strings.CutPrefix(name, in.Target+"/"); ok {
			for _, over := range slices.Backward(in.Over) {
				if _, err := os.Lstat(filepath.Join(over, rest)); err == nil {
					return filepath.Join(over, rest), nil
				}
			}
			return filepath.Join(in.Source, rest), nil
		}
	}
	if rest, ok := strings.CutPrefix(name+"/", action.BuildDir+"/"); ok {
		return filepath.Join(c.build, rest), nil
	}
	for i := len(c.Spec.Root) - 1; i >= 0; i-- {
		at := filepath.Join(c.Spec.Root[i], name)
		if _, err := os.Lstat(at); err == nil {
			return at, nil
		}
	}
	return "", fmt.Errorf("%s: %w", name, os.ErrNotExist)
}

// ReadFile reads a file inside.
func (c *Command) ReadFile(name string) ([]byte, error) {
	at, err := c.Path(name)
	if err != nil {
		return nil, err
	}
	return os.ReadFile(at)
}

// WriteFile writes a file below the build folder, making its parents.
func (c *Command) WriteFile(name string, b []byte) error {
	at, err := c.Path(name)
	if err != nil {
		return err
	}
	if !strings.HasPrefix(at, c.build) {
		return fmt.Errorf("writing %s: read-only file system", name)
	}
	if err := os.MkdirAll(filepath.Dir(at), 0o755); err != nil {
		return err
	}
	return os.WriteFile(at, b, 0o644)
}

// Exit prints err, as a program does, and returns the exit code for it.
func (c *Command) Exit(err error) int {
	if err == nil {
		return 0
	}
	_, _ = fmt.Fprintln(c.Output, err)
	return 1
}
