package userland

import (
	"context"
	"fmt"
	"path"

	"github.com/labstar/labstar/action"
)

type sysrootParams struct {
	Wrapper string `json:"wrapper"` // the text of the compiler's script
	Specs   string `json:"specs"`   // that of the file that it hands to gcc
	Loader  string `json:"loader"`  // the dynamic linker, absolute
}

// sysrootOp makes of a C library as it was installed (the input "built") and of
// the kernel's headers (the input "headers", if given) the sysroot and, of that,
// what is needed at run time.
var sysrootOp = &action.Op{Name: "userland/sysroot", Version: 2, Run: runSysroot}

func runSysroot(ctx context.Context, env action.Env) error {
	var p sysrootParams
	if err := env.Params(&p); err != nil {
		return err
	}
	built := env.Input("built").Digest
	e := action.NewEdit(env, built)
	if err := e.Runnable(ctx, p.Loader); err != nil {
		return fmt.Errorf("looking for the dynamic linker: %w", err)
	}
	for _, in := range env.Inputs() {
		if in.Name == "headers" {
			if err := mergeHeaders(ctx, env, e, in.Digest); err != nil {
				return err
			}
		}
	}
	for _, f := range []struct {
		name, text string
		mode       uint32
	}{{wrapperName, p.Wrapper, action.ModeExec}, {specsName, p.Specs, action.ModeFile}} {
		d, err := env.PutBlob([]byte(f.text))
		if err != nil {
			return err
		}
		node := action.Node{Kind: action.Regular, Digest: d, Attr: action.Attr{Mode: f.mode}}
		if err := e.Put(ctx, f.name, node, action.Refuse); err != nil {
			return err
		}
	}
	root, err := e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	if err := env.SetTree("sysroot", root); err != nil {
		return err
	}
	return setRuntime(ctx, env, built, p.Loader)
}

// mergeHeaders lays the folder usr/include of the tree headers over e's.
func mergeHeaders(ctx context.Context, env action.Env, e *action.Edit, headers action.Digest) error {
	const dir = "usr/include"
	n, err := action.NewEdit(env, headers).Lookup(ctx, dir)
	if err == nil && n.Kind != action.Dir {
		err = fmt.Errorf("it is a %s", n.Kind)
	}
	if err != nil {
		return fmt.Errorf("kernel_headers: looking for the folder %s: %w; give it the headers of a kernel, as linux.headers", dir, err)
	}
	return e.Merge(ctx, dir, n.Digest, action.Refuse)
}

// setRuntime sets the output "runtime" to the folder of the dynamic linker, where
// a C library has all its shared libraries, and to musl's second name of it.
func setRuntime(ctx context.Context, env action.Env, built action.Digest, loader string) error {
	from, e := action.NewEdit(env, built), action.NewEdit(env, action.Digest{})
	const second = "usr/lib/libc.so"
	for _, name := range []string{path.Dir(loader), second} {
		n, err := from.Lookup(ctx, name)
		if err != nil {
			return err
		}
		if name == second && n.Kind != action.Symlink {
			continue // glibc's is a script of the linker
		}
		if err := e.Put(ctx, name, n, action.Refuse); err != nil {
			return err
		}
	}
	root, err := e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	return env.SetTree("runtime", root)
}
