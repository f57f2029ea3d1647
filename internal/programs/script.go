package programs

import (
	"context"
	"fmt"
	"io"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
)

// folders hold what is run by name, and what init runs.
var folders = []string{
	"bin", "sbin", "usr/bin", "usr/sbin", "usr/local/bin", "usr/local/sbin",
	"etc/init.d", "etc/rc.d", "etc/cron.daily", "etc/network/if-up.d",
}

// searchPath is where `#!/usr/bin/env NAME` looks.
var searchPath = []string{"usr/local/sbin", "usr/local/bin", "usr/sbin", "usr/bin", "sbin", "bin"}

// InFolder reports whether a file is in a folder for programs.
func InFolder(name string) bool { return slices.Contains(folders, path.Dir(name)) }

// IsScript reports whether a file that starts so is a script.
func IsScript(head []byte) bool { return len(head) > 2 && head[0] == '#' && head[1] == '!' }

// Script checks the run bit and the interpreter of a script.
func Script(ctx context.Context, e *action.Edit, name string, n action.Node, head []byte) error {
	if n.Attr.Mode&0o111 == 0 && InFolder(name) {
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
	if !InPath(ctx, e, words[1]) {
		return fmt.Errorf("checking script %q: its interpreter %q is in none of the folders for programs", "/"+name, words[1])
	}
	return nil
}

// InPath reports whether a program is in a folder for programs.
func InPath(ctx context.Context, e *action.Edit, name string) bool {
	return slices.ContainsFunc(searchPath, func(dir string) bool { return e.Runnable(ctx, dir+"/"+name) == nil })
}

// Head returns the first bytes of a file: as far as the kernel reads the line of an
// interpreter (BINPRM_BUF_SIZE).
func Head(ctx context.Context, content action.Content, d action.Digest) ([]byte, error) {
	b, err := content.OpenBlob(ctx, d)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	head := make([]byte, min(d.Size, 256))
	n, err := io.ReadFull(b, head)
	return head[:n], err
}
