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
	t := tree{}
	if err := e.Walk(ctx, func(p string, n action.Node) error { t[p] = n; return nil }); err != nil {
		return err
	}
	var errs []error
	if p.Init != "" {
		init, _ := action.CleanPath(p.Init)
		errs = append(errs, t.runnable(init, "init"))
	}
	explicit := map[string]bool{}
	for _, f := range p.Files {
		explicit[f.Path] = true
	}
	for _, f := range p.Texts {
		explicit[f.Path] = true
	}
	for _, name := range sortedKeys(t) {
		n := t[name]
		if n.Kind != action.Regular || n.Digest.Size < 3 || !explicit[name] && !inProgramFolder(name) {
			continue
		}
		head, err := readHead(ctx, env, n.Digest)
		if err != nil {
			return err
		}
		errs = append(errs, t.script(name, n, head))
	}
	return errors.Join(errs...)
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

// tree is every node by its path.
type tree map[string]action.Node

// script checks the run bit and the interpreter of a script.
func (t tree) script(name string, n action.Node, head []byte) error {
	if !isScript(head) {
		return nil
	}
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
	interpreter := strings.TrimPrefix(path.Clean(words[0]), "/")
	if err := t.runnable(interpreter, "interpreter of /"+name); err != nil {
		return err
	}
	if path.Base(interpreter) == "env" && len(words) > 1 && !strings.HasPrefix(words[1], "-") {
		for _, dir := range searchPath {
			if t.runnable(dir+"/"+words[1], "") == nil {
				return nil
			}
		}
		return fmt.Errorf("checking script %q: its interpreter %q is in none of the folders for programs", "/"+name, words[1])
	}
	return nil
}

// runnable reports why the program at p can't be run.
func (t tree) runnable(p, what string) error {
	n, at := t.resolve(p)
	switch {
	case n.Kind == 0 && at != p:
		return fmt.Errorf("checking %s: %q leads to %q, which is not there", what, "/"+p, "/"+at)
	case n.Kind == 0:
		return fmt.Errorf("checking %s: %q is not there", what, "/"+p)
	case n.Kind != action.Regular:
		return fmt.Errorf("checking %s: %q is a %s, want a program", what, "/"+p, n.Kind)
	case n.Attr.Mode&0o111 == 0:
		return fmt.Errorf("checking %s: %q has no run bit (mode 0o%o); say modes = {%q: 0o755}", what, "/"+at, n.Attr.Mode, "/"+at)
	}
	return nil
}

// maxLinks is how many links the kernel follows.
const maxLinks = 40

// resolve follows the symlinks of p inside the tree and returns the node (of
// kind 0 if there is none) and the path at which it is, or is missing.
func (t tree) resolve(p string) (action.Node, string) {
	left := strings.Split(p, "/")
	at := ""
	for links := 0; len(left) > 0; {
		part := left[0]
		left = left[1:]
		switch part {
		case "", ".":
			continue
		case "..":
			at = parentOf(at)
			continue
		}
		next := part
		if at != "" {
			next = at + "/" + part
		}
		n, ok := t[next]
		if !ok {
			return action.Node{}, next
		}
		if n.Kind != action.Symlink {
			at = next
			continue
		}
		if links++; links > maxLinks {
			return action.Node{}, next
		}
		if strings.HasPrefix(n.Target, "/") {
			at = ""
		}
		left = append(strings.Split(n.Target, "/"), left...)
	}
	return t[at], at
}

func parentOf(p string) string {
	if i := strings.LastIndexByte(p, '/'); i >= 0 {
		return p[:i]
	}
	return ""
}
