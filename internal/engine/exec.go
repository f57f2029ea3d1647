package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/compile"
	"github.com/labstar/labstar/internal/rmtree"
	"github.com/labstar/labstar/internal/sandbox"
	"github.com/labstar/labstar/internal/store"
)

// runCommand runs an exec action in the sandbox and takes its outputs.
func (e *Engine) runCommand(ctx context.Context, r *action.Resolved, key action.Digest) (out *action.Result, stats *compile.Stats, err error) {
	scratch, err := e.opts.Store.Scratch(ctx)
	if err != nil {
		return nil, nil, err
	}
	defer e.remove(scratch)
	spec, err := e.spec(ctx, r, scratch)
	if err != nil {
		return nil, nil, err
	}
	plain := *spec // without the compile cache, whose server ends with the command
	cache, err := e.compiling(ctx, r, spec)
	if err != nil {
		return nil, nil, err
	}
	log, err := e.opts.Store.LogFile(key)
	if err != nil {
		return nil, nil, errors.Join(err, cache.close(nil))
	}
	defer log.Close()
	spec.Output = log
	res, err := e.opts.Runner.Run(ctx, spec)
	var told io.Writer // a failed command's own last words are what its log ends with
	if err == nil && res.ExitCode == 0 {
		told = log
	}
	compared := cache.close(told)
	stats = cache.stats()
	if err != nil {
		return nil, stats, err
	}
	if err = commandError(res, r.Command); err != nil {
		err = reason(err, res, r.Command)
	} else {
		err = compared
	}
	if err == nil {
		out, err = e.takeOutputs(ctx, r, spec, res)
	}
	if err == nil || ctx.Err() != nil {
		return out, stats, err
	}
	tail := fileTail(log.Path())
	if at := soughtInput(r.Command, tail); at != "" {
		err = fmt.Errorf("%w\n  hint: the input %q is at %s, and the command starts in %s, where it is not", err, path.Base(at), at, action.BuildDir)
	}
	if e.opts.Debug {
		err = errors.Join(err, e.debugShell(ctx, r, &plain, res))
	}
	return nil, stats, &BuildError{Action: r.Action, Site: r.Action.Site, Err: err, ExitCode: res.ExitCode, LogPath: log.Path(), LogTail: tail}
}

// spec says what the command sees.
func (e *Engine) spec(ctx context.Context, r *action.Resolved, scratch string) (*sandbox.Spec, error) {
	c, st := r.Command, e.opts.Store
	byName := map[string]action.OutputDigest{}
	for _, in := range r.Inputs {
		byName[in.Name] = in
	}
	spec := &sandbox.Spec{
		Scratch: scratch, Argv: c.Argv, Dir: c.WorkDir(), Jobs: e.jobs.Path(),
		Timeout: time.Duration(c.Timeout) * time.Second,
	}
	for _, name := range c.Root {
		p, err := st.TreePath(ctx, byName[name].Digest)
		if err != nil {
			return nil, err
		}
		spec.Root = append(spec.Root, p)
	}
	mounts := slices.Clone(r.Mounted)
	for _, m := range c.Mounts {
		in := byName[m.Input]
		mounts = append(mounts, action.PathInput{Path: m.Path, Kind: in.Kind, Digest: in.Digest})
	}
	for _, m := range mounts {
		in := sandbox.Mount{Target: m.Path}
		var err error
		if m.Kind == action.Tree {
			in, err = e.treeMount(ctx, r, m.Digest, m.Path)
		} else {
			in.Source, err = filePath(ctx, st, m.Digest)
		}
		if err != nil {
			return nil, err
		}
		spec.Inputs = append(spec.Inputs, in)
	}
	if c.Work != "" {
		p, err := st.TreePath(ctx, byName[c.Work].Digest)
		if err != nil {
			return nil, err
		}
		spec.Build = []string{p}
	}
	if c.KVM && canOpen(kvm) {
		spec.Devices = append(spec.Devices, kvm)
	}
	for k, v := range c.Env {
		spec.Env = append(spec.Env, k+"="+v)
	}
	for k, name := range c.Secrets {
		v, err := e.secret(name)
		if err != nil {
			return nil, err
		}
		spec.Env = append(spec.Env, k+"="+v)
	}
	slices.Sort(spec.Env)
	return spec, nil
}

// filePath returns where the store shows a file. It has its
// run bit set, so that a script or program that is an input can be run; but
// a large one that can be neither (an image of a disk) is shown as it is kept,
// since another mode is another copy.
func filePath(ctx context.Context, st store.Store, d action.Digest) (string, error) {
	exec := true
	if d.Size > largeInput {
		var err error
		if exec, err = isProgram(ctx, st, d); err != nil {
			return "", err
		}
	}
	return st.BlobPath(ctx, d, exec)
}

// largeInput is the size in bytes from which on a file is looked into before it is
// shown as a program.
const largeInput = 1 << 20

// isProgram reports whether a file begins as an ELF program or a script.
func isProgram(ctx context.Context, st store.Store, d action.Digest) (bool, error) {
	b, err := st.OpenBlob(ctx, d)
	if err != nil {
		return false, err
	}
	var head [4]byte
	_, err = b.ReadAt(head[:], 0)
	if err := errors.Join(err, b.Close()); err != nil {
		return false, err
	}
	return bytes.HasPrefix(head[:], []byte("#!")) || string(head[:]) == "\x7fELF", nil
}

// commandError says why a command that ran is no success.
func commandError(res *sandbox.Result, c *action.Command) error {
	switch {
	case res.TimedOut:
		return fmt.Errorf("the command took longer than its timeout of %d s; raise timeout or find out what it waits for", c.Timeout)
	case res.Signal != "":
		return fmt.Errorf("the command was ended by signal %s", res.Signal)
	case res.ExitCode == 127:
		return fmt.Errorf("the command failed with exit code 127: %q, or a program that it called, was not found in the toolchain", c.Argv[0])
	case res.ExitCode != 0:
		return fmt.Errorf("the command failed with exit code %d", res.ExitCode)
	}
	return nil
}

// soughtInput is the place of an input that a command looked for by its bare name,
// as its last lines say; "" if there is none.
func soughtInput(c *action.Command, tail []string) string {
	for _, line := range tail {
		before, _, missing := strings.Cut(line, ": No such file or directory")
		if !missing {
			before, _, missing = strings.Cut(line, ": not found")
		}
		words := strings.Fields(strings.NewReplacer(":", " ", "'", " ", "`", " ", "\"", " ", "‘", " ", "’", " ").Replace(before))
		if !missing || len(words) == 0 {
			continue
		}
		name := strings.TrimPrefix(words[len(words)-1], "./")
		for _, m := range c.Mounts {
			if m.Path == action.InputDir+"/"+name {
				return m.Path
			}
		}
	}
	return ""
}

// kvm is the device that runs virtual machines on the processor itself.
const kvm = "/dev/kvm"

func canOpen(device string) bool {
	f, err := os.OpenFile(device, os.O_RDWR, 0)
	return err == nil && f.Close() == nil
}

// reason returns the error that a failed command gave itself, if it did.
func reason(err error, res *sandbox.Result, c *action.Command) error {
	const most = 8 << 10
	if c.Reason == "" || res.TimedOut {
		return err
	}
	name := filepath.Join(res.Upper, c.Reason)
	if fi, e := os.Lstat(name); e != nil || !fi.Mode().IsRegular() || fi.Size() > most {
		return err
	}
	text, e := os.ReadFile(name)
	if s := strings.TrimSpace(string(text)); e == nil && s != "" {
		return errors.New(s)
	}
	return err
}

// takeOutputs moves what the command left into the store.
func (e *Engine) takeOutputs(ctx context.Context, r *action.Resolved, spec *sandbox.Spec, res *sandbox.Result) (*action.Result, error) {
	paths, err := sandbox.CollectAll(spec, res, r.Command.Outputs)
	if err != nil {
		return nil, err
	}
	out := &action.Result{}
	for i, o := range r.Action.Outputs {
		rel, p := r.Command.Outputs[i], paths[i]
		fi, err := os.Lstat(p)
		if err != nil {
			return nil, err
		}
		var d action.Digest
		switch {
		case o.Kind == action.File && fi.Mode().IsRegular():
			d, err = e.opts.Store.AdoptFile(ctx, p)
		case o.Kind == action.Tree && fi.IsDir():
			d, err = e.opts.Store.Adopt(ctx, p)
		case fi.IsDir():
			err = fmt.Errorf("output %q is a folder, want a file; write it with a slash at its end (%q) to get a tree", rel, rel+"/")
		case o.Kind == action.Tree:
			err = fmt.Errorf("output %q is a file, want a folder; write it without the slash at its end", rel)
		default:
			err = fmt.Errorf("output %q is a %s, want a regular file", rel, fi.Mode().Type())
		}
		if err != nil {
			return nil, err
		}
		out.Outputs = append(out.Outputs, action.OutputDigest{Name: o.Name, Kind: o.Kind, Digest: d})
	}
	return out, nil
}

// debugShell opens a shell where a command failed: the same root, inputs,
// environment, and the build folder as the command left it.
func (e *Engine) debugShell(ctx context.Context, r *action.Resolved, failed *sandbox.Spec, res *sandbox.Result) error {
	scratch, err := e.opts.Store.Scratch(ctx)
	if err != nil {
		return err
	}
	defer e.remove(scratch)
	spec := *failed
	spec.Scratch, spec.Terminal, spec.Timeout, spec.Output = scratch, true, 0, nil
	spec.Build = append(slices.Clone(failed.Build), res.Upper)
	spec.Argv = []string{"/bin/sh"}
	fmt.Fprintf(os.Stderr, "\n%s failed. This is a shell in its sandbox; the command was:\n  %s\nLeave with exit.\n",
		r.Action.Title, strings.Join(r.Command.Argv, " "))
	e.emit(Event{Kind: EventShell, Action: r.Action, Count: 1})
	defer e.emit(Event{Kind: EventShell, Action: r.Action})
	_, err = e.opts.Runner.Run(ctx, &spec)
	return err
}

// fileTail returns the last lines of a log file.
func fileTail(name string) []string {
	const most = 16 << 10
	f, err := os.Open(name)
	if err != nil {
		return nil
	}
	defer f.Close()
	if fi, err := f.Stat(); err == nil && fi.Size() > most {
		if _, err := f.Seek(-most, io.SeekEnd); err != nil {
			return nil
		}
	}
	b, err := io.ReadAll(f)
	if err != nil {
		return nil
	}
	return lastLines(b, tailLines)
}

// remove removes a scratch folder in the background: a build leaves thousands of
// files there, and what comes next need not wait for them to go. What is left if
// labstar is killed goes when the store is next opened.
func (e *Engine) remove(dir string) {
	e.removals.Go(func() { _ = rmtree.Remove(dir) })
}
