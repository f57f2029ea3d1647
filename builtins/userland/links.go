package userland

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// checkLinks reports what can't be an applet's name.
func checkLinks(c *schema.Call, links *[]string) error {
	if links == nil {
		return nil
	}
	var errs []error
	for i, l := range *links {
		if err := action.ValidName(l); err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("links[%d]", i), "got %q, want the name of an applet, as \"httpd\"", l))
		}
	}
	return errors.Join(errs...)
}

type treeParams struct {
	Links *[]string `json:"links"` // names of applets; nil means all
}

// treeOp lays the input "binary" at bin/busybox and makes the links listed in
// the input "links", one absolute path a line.
var treeOp = &action.Op{Name: "userland/busybox-tree", Version: 1, Check: true, Run: runTree}

func runTree(ctx context.Context, env action.Env) error {
	var p treeParams
	if err := env.Params(&p); err != nil {
		return err
	}
	list, err := readInput(ctx, env, "links")
	if err != nil {
		return err
	}
	paths, err := pick(linkPaths(list), p.Links)
	if err != nil {
		return err
	}
	e := action.NewEdit(env, action.Digest{})
	binary := action.Node{Kind: action.Regular, Digest: env.Input("binary").Digest, Attr: action.Attr{Mode: action.ModeExec}}
	if err := e.Put(ctx, "bin/busybox", binary, action.Refuse); err != nil {
		return err
	}
	for _, l := range paths {
		link := action.Node{Kind: action.Symlink, Target: linkTarget(l), Attr: action.Attr{Mode: action.ModeSymlink}}
		if err := e.Put(ctx, l, link, action.Refuse); err != nil {
			return fmt.Errorf("linking applet: %w", err)
		}
	}
	root, err := e.Finish(ctx, env.PutDirectory)
	if err != nil {
		return err
	}
	return env.SetTree("tree", root)
}

// linkPaths reads busybox.links, sorted, each once, without the leading slash.
func linkPaths(list []byte) []string {
	var paths []string
	for s := bufio.NewScanner(bytes.NewReader(list)); s.Scan(); {
		if l := strings.TrimPrefix(strings.TrimSpace(s.Text()), "/"); l != "" {
			paths = append(paths, l)
		}
	}
	slices.Sort(paths)
	return slices.Compact(paths)
}

// pick keeps the applets called names; nil keeps all.
func pick(paths []string, names *[]string) ([]string, error) {
	if names == nil {
		return paths, nil
	}
	var applets, out []string
	for _, p := range paths {
		applets = append(applets, path.Base(p))
	}
	var errs []error
	for _, n := range *names {
		i := slices.Index(applets, n)
		switch s := schema.Suggest(n, applets); {
		case i >= 0:
			out = append(out, paths[i])
		case s != "":
			errs = append(errs, fmt.Errorf("linking applet %q: it is not compiled in (did you mean %q?)", n, s))
		default:
			errs = append(errs, fmt.Errorf("linking applet %q: it is not compiled in; switch it on in options", n))
		}
	}
	slices.Sort(out)
	return slices.Compact(out), errors.Join(errs...)
}

// linkTarget is the way from the folder of a link to bin/busybox.
func linkTarget(link string) string {
	dir := path.Dir(link)
	switch dir {
	case "bin":
		return "busybox"
	case ".":
		return "bin/busybox"
	}
	return strings.Repeat("../", strings.Count(dir, "/")+1) + "bin/busybox"
}
