package rootfs

import (
	"context"
	"errors"
	"fmt"
	"path"
	"strings"

	"github.com/labstar/labstar/action"
)

// program folders hold what is run by name, and what init runs.
var programFolders = []string{
	"bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin",
	"etc/init.d", "etc/rc.d", "etc/cron.daily", "etc/network/if-up.d",
}

// searchPath is where `#!/usr/bin/env NAME` looks.
var searchPath = []string{"usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"}

// check looks for what would fail at run time without a word.
func check(ctx context.Context, env action.Env, e *action.Edit, p composeParams) error {
	var errs []error
	if p.Init != "" {
		if err := e.Runnable(ctx, p.Init); err != nil {
			errs = append(errs, fmt.Errorf("checking init: %w", err))
		}
	}
	for _, s := range p.Shells {
		if err := e.Runnable(ctx, s.Shell); err != nil {
			errs = append(errs, fmt.Errorf("checking shell of user %q: %w", s.User, err))
		}
	}
	explicit := map[string]bool{}
	for _, f := range p.Files {
		explicit[f.Path] = true
	}
	for _, f := range p.Texts {
		explicit[f.Path] = true
	}
	err := e.Walk(ctx, func(name string, n action.Node) error {
		if n.Kind != action.Regular || n.Digest.Size < 3 || !explicit[name] && !inProgramFolder(name) {
			return nil
		}
		head, err := readHead(ctx, env, n.Digest)
		if err == nil && isScript(head) {
			errs = append(errs, script(ctx, e, name, n, head))
		}
		return err
	})
	return errors.Join(append(errs, err)...)
}

func inProgramFolder(name string) bool {
	dir := path.Dir(name)
	for _, f := range programFolders {
		if dir == f {
			return true
		}
	}
	return false
}

func isScript(head []byte) bool { return len(head) > 2 && head[0] == '#' && head[1] == '!' }

// script checks the run bit and the interpreter of a script.
func script(ctx context.Context, e *action.Edit, name string, n action.Node, head []byte) error {
	if n.Attr.Mode&0o111 == 0 && inProgramFolder(name) {
		return fmt.Errorf("checking script %q: it has no run bit (mode 0o%o); say modes = {%q: 0o755}", "/"+name, n.Attr.Mode, "/"+name)
	}
	line, _, _ := strings.Cut(string(head[2:]), "\n")
	if strings.HasSuffix(line, "\r") {
		return fmt.Errorf("checking script %q: its first line ends in a carriage return, so its interpreter is not found; save it with Unix line ends", "/"+name)
	}
	words := strings.Fields(line)
	if len(words) == 0 || !strings.HasPrefix(words[0], "/") {
		return fmt.Errorf("checking script %q: got the interpreter %q, want an absolute path", "/"+name, strings.TrimSpace(line))
	}
	if err := e.Runnable(ctx, words[0]); err != nil {
		return fmt.Errorf("checking interpreter of script %q: %w", "/"+name, err)
	}
	if path.Base(words[0]) != "env" || len(words) < 2 || strings.HasPrefix(words[1], "-") {
		return nil
	}
	for _, dir := range searchPath {
		if e.Runnable(ctx, dir+"/"+words[1]) == nil {
			return nil
		}
	}
	return fmt.Errorf("checking script %q: its interpreter %q is in none of the folders for programs", "/"+name, words[1])
}
