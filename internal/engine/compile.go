package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/compile"
	"github.com/labstar/labstar/internal/sandbox"
	"github.com/labstar/labstar/internal/store"
)

// compilers is what the commands of one engine share of the compile cache.
type compilers struct {
	mu    sync.Mutex
	cache *compile.Cache
	shims map[string]string // host path of the shim, by the roots that it was made with
}

// compiling lays the compile cache into the sandbox of a command that asks for it:
// a socket, the real tools beside it, and the shim in front of each. It returns
// nil where there is nothing to lay it in front of.
func (e *Engine) compiling(ctx context.Context, r *action.Resolved, spec *sandbox.Spec) (*compiling, error) {
	c := r.Command
	if !c.Compile || c.Work != "" || e.opts.Config("compile.cache") == "off" {
		return nil, nil
	}
	for _, in := range spec.Inputs {
		if in.Target == "/usr" || strings.HasPrefix(in.Target, "/usr/") {
			return nil, nil
		}
	}
	tools := toolsOf(spec.Root)
	if len(tools) == 0 {
		return nil, nil
	}
	verify := 0.0
	if v := e.opts.Config("compile.verify"); v != "" {
		var err error
		if verify, err = strconv.ParseFloat(v, 64); err != nil || verify < 0 || verify > 1 {
			return nil, fmt.Errorf("reading the setting compile.verify (LABSTAR_COMPILE_VERIFY): got %q, want a share from 0 to 1", v)
		}
	}
	shim, err := e.shim(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("preparing the compile cache: %w; LABSTAR_COMPILE_CACHE=off builds without it", err)
	}
	return e.serveCompilers(ctx, r, spec, tools, shim, verify)
}

// serveCompilers starts the server.
func (e *Engine) serveCompilers(ctx context.Context, r *action.Resolved, spec *sandbox.Spec, tools []sandbox.Mount, shim string, verify float64) (*compiling, error) {
	dir, err := e.opts.Store.Scratch(ctx)
	if err != nil {
		return nil, err
	}
	if err := sandbox.Prepare(spec); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	o := compile.Options{
		Cache: e.compileCache(), Store: e.opts.Store, Dir: dir, Verify: verify,
		Build: filepath.Join(spec.Scratch, sandbox.BuildScratch), Tmp: filepath.Join(spec.Scratch, sandbox.TmpScratch),
		Mounts: slices.Clone(r.Mounted),
	}
	byName := map[string]action.OutputDigest{}
	for _, in := range r.Inputs {
		byName[in.Name] = in
	}
	for _, name := range r.Command.Root {
		o.Root = append(o.Root, byName[name].Digest)
	}
	for _, m := range r.Command.Mounts {
		o.Mounts = append(o.Mounts, action.PathInput{Path: m.Path, Kind: byName[m.Input].Kind, Digest: byName[m.Input].Digest})
	}
	server, err := compile.New(ctx, o)
	if err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	spec.Dev = append(spec.Dev, sandbox.Mount{Source: server.Socket(), Target: compile.ShimDir + "/socket"})
	for _, t := range tools {
		spec.Dev = append(spec.Dev, sandbox.Mount{Source: t.Source, Target: compile.ShimDir + "/" + filepath.Base(t.Target)})
		spec.Inputs = append(spec.Inputs, sandbox.Mount{Source: shim, Target: t.Target})
	}
	return &compiling{server: server, dir: dir}, nil
}

func (e *Engine) compileCache() *compile.Cache {
	e.compiler.mu.Lock()
	defer e.compiler.mu.Unlock()
	if e.compiler.cache == nil {
		e.compiler.cache = compile.NewCache(e.opts.Store)
	}
	return e.compiler.cache
}

// toolsOf finds the programs that the shim can stand in front of: where they are
// on the host, and in the sandbox. Of a program with several names there is one file.
func toolsOf(roots []string) []sandbox.Mount {
	var tools []sandbox.Mount
	seen := map[string]bool{}
	for _, root := range slices.Backward(roots) {
		list, err := os.ReadDir(filepath.Join(root, "usr/bin"))
		if err != nil {
			continue
		}
		for _, de := range list {
			at := filepath.Join(root, "usr/bin", de.Name())
			if seen[de.Name()] || compile.KindOf(de.Name()) == compile.None {
				continue
			}
			seen[de.Name()] = true
			if de.Type().IsRegular() && isELF(at) {
				tools = append(tools, sandbox.Mount{Source: at, Target: "/usr/bin/" + de.Name()})
			}
		}
	}
	return tools
}

func isELF(name string) bool {
	f, err := os.Open(name)
	if err != nil {
		return false
	}
	defer f.Close()
	var magic [4]byte
	_, err = io.ReadFull(f, magic[:])
	return err == nil && string(magic[:]) == "\x7fELF"
}

// shim returns the host path of the shim, compiled by the command's own toolchain
// as an action like any other.
func (e *Engine) shim(ctx context.Context, r *action.Resolved) (string, error) {
	const source, cc = "/in/shim.c", "gcc"
	shim := &action.Resolved{
		Action: &action.Action{Op: action.Exec, Special: &action.Special{}, Title: "compile cache's shim", Outputs: []action.Output{{Name: "shim", Kind: action.File}}},
		Command: &action.Command{
			Argv: append(append([]string{cc}, compile.ShimFlags...), "-o", "shim", source), Env: maps.Clone(fixedEnv),
			Root: r.Command.Root, Mounts: []action.Mount{{Path: source, Input: "shim.c"}}, Outputs: []string{"shim"},
		},
	}
	roots := ""
	for _, in := range r.Inputs {
		if slices.Contains(r.Command.Root, in.Name) {
			shim.Inputs = append(shim.Inputs, in)
			roots += in.Digest.Hex()
		}
	}
	e.compiler.mu.Lock()
	defer e.compiler.mu.Unlock()
	if at := e.compiler.shims[roots]; at != "" {
		return at, nil
	}
	d, err := e.opts.Store.PutBlob(ctx, []byte(compile.ShimSource))
	if err != nil {
		return "", err
	}
	shim.Inputs = append(shim.Inputs, action.OutputDigest{Name: "shim.c", Kind: action.File, Digest: d})
	res, err := e.shimResult(ctx, shim)
	if err != nil {
		return "", err
	}
	at, err := e.opts.Store.BlobPath(ctx, res.Outputs[0].Digest, true)
	if err == nil {
		if e.compiler.shims == nil {
			e.compiler.shims = map[string]string{}
		}
		e.compiler.shims[roots] = at
	}
	return at, err
}

// shimResult finds or makes the result of the shim's action.
func (e *Engine) shimResult(ctx context.Context, shim *action.Resolved) (*action.Result, error) {
	st := e.opts.Store
	var preimage [][]byte
	key, err := e.key(ctx, shim, func(b []byte) { preimage = append(preimage, b) })
	if err != nil {
		return nil, err
	}
	if res, err := st.Result(ctx, key); !errors.Is(err, store.ErrNotFound) {
		return res, err
	}
	unlock, err := st.Lock(ctx, key)
	if err != nil {
		return nil, err
	}
	defer unlock()
	if res, err := st.Result(ctx, key); !errors.Is(err, store.ErrNotFound) {
		return res, err
	}
	for _, b := range preimage {
		if _, err := st.PutBlob(ctx, b); err != nil {
			return nil, err
		}
	}
	res, _, err := e.runCommand(ctx, shim, key)
	if err != nil {
		return nil, err
	}
	return res, st.PutResult(ctx, res, key)
}

// compiling is the compile cache of one command that runs. A nil one does nothing.
type compiling struct {
	server *compile.Server
	dir    string
	did    compile.Stats
}

// close ends the server, and tells in the command's log what it did.
func (c *compiling) close(log io.Writer) error {
	if c == nil {
		return nil
	}
	var err error
	c.did, err = c.server.Close()
	if log != nil {
		_, logErr := io.WriteString(log, c.did.String())
		err = errors.Join(err, logErr)
	}
	return errors.Join(err, os.RemoveAll(c.dir))
}

func (c *compiling) stats() *compile.Stats {
	if c == nil {
		return nil
	}
	return &c.did
}
