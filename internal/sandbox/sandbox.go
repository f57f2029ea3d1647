// Package sandbox runs one command isolated from the machine it runs on: the
// Runner interface and its types. sandbox/linux does it with namespaces;
// sandbox/fake runs nothing and is for tests of the engine.
package sandbox

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// Runner runs commands. It is safe for use by several goroutines.
type Runner interface {
	// Run runs spec to its end. A command that fails is a Result with its exit
	// code and no error; an error means that the sandbox could not be made (it
	// says why and what to do) or that ctx ended, in which case nothing of the
	// command is left running when Run returns.
	Run(ctx context.Context, spec *Spec) (*Result, error)
	// Close ends the runner's helper process, if it has one.
	Close() error
}

// Spec is everything that a command can see.
type Spec struct {
	// Root are host folders that make up the root, lowest first; read-only.
	Root []string
	// Inputs are laid over it, read-only. Mount points need not exist in Root.
	Inputs []Mount
	// Build is the host folder whose content the working folder (action.BuildDir)
	// starts with, read through an overlay; "" means it starts empty.
	Build []string
	// Scratch is an empty host folder, on the store's file system, that the
	// runner may use as it likes while the command runs. What the command wrote
	// below action.BuildDir is in Result.Upper afterwards; the caller removes
	// Scratch. If Prepared is set its folders BuildScratch and TmpScratch are
	// there already and take what is written below action.BuildDir and /tmp.
	Scratch  string
	Prepared bool
	// Dev are files laid below /dev, where the command can execute them and
	// connect to those that are sockets.
	Dev []Mount
	// Argv, Env and Dir are the command. Env is complete: nothing is added.
	Argv []string
	Env  []string
	Dir  string
	// Output takes what the command prints, both streams in order.
	Output io.Writer
	// Stdin, Stdout, Stderr, if Terminal is set, are the user's (run --debug).
	Terminal bool
	// Jobs, if not "", is the host path of the jobserver's FIFO, laid at JobsPath.
	Jobs string
	// Devices are more nodes of the host's /dev, laid at the same paths.
	Devices []string
	// Timeout ends the command; 0 means none.
	Timeout time.Duration
}

// JobsPath is where the jobserver's FIFO is seen inside.
const JobsPath = "/dev/labstar-jobs"

// The folders of Spec.Scratch that a command writes to.
const (
	BuildScratch = "build"
	TmpScratch   = "tmp"
)

// Prepare makes the folders of Spec.Scratch, for a caller that wants to open
// them before the command runs.
func Prepare(spec *Spec) error {
	for name, mode := range map[string]os.FileMode{TmpScratch: 0o777 | os.ModeSticky, BuildScratch: 0o755} {
		dir := filepath.Join(spec.Scratch, name)
		if err := os.Mkdir(dir, 0o700); err != nil {
			return fmt.Errorf("making the sandbox's folders: %w", err)
		}
		if err := os.Chmod(dir, mode); err != nil {
			return fmt.Errorf("making the sandbox's folders: %w", err)
		}
	}
	spec.Prepared = true
	return nil
}

// Mount lays the host file or folder Source at the absolute path Target.
type Mount struct {
	Source, Target string
	// Over are host folders laid over the folder Source, lowest first; read-only. It
	// is for Spec.Inputs alone.
	Over []string
	// Write lets the command write to it. No action has that: what it left there
	// would be in no key. It is for what a user runs by hand.
	Write bool
}

// Result is how a command ended.
type Result struct {
	ExitCode int    // 128+n when signal n ended it
	Signal   string // its name, "" if none
	TimedOut bool
	// Upper is the host folder (inside Scratch) that holds what the command wrote
	// below action.BuildDir. With Spec.Build it is an overlay's upper folder;
	// without, it is all there is. Collect reads it.
	Upper string
	// Lower is Spec.Build if Upper is to be read through an overlay of it.
	Lower   []string
	User    time.Duration // CPU time
	System  time.Duration
	MaxRSS  int64 // bytes
	Elapsed time.Duration
}

// SetupError says that a sandbox could not be made on this machine: nothing of
// the command ran. The text ends with what to do.
type SetupError struct{ Err error }

func (e *SetupError) Error() string { return e.Err.Error() }

func (e *SetupError) Unwrap() error { return e.Err }

// Finding is one thing that a machine can or cannot do for the sandbox.
type Finding struct {
	Name   string // short: "overlay"
	OK     bool
	Detail string // what was found
	Remedy string // what to do if not OK
}
