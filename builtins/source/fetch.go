package source

import (
	"encoding/hex"
	"errors"
	"fmt"
	"path"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type fetchArgs struct {
	URL     string   `star:"url" doc:"https://…, http://… or file:///… for a file; git::https://…?ref=COMMIT for a tree"`
	SHA256  string   `star:"sha256,keyword" default:"\"\"" doc:"SHA-256 of the file, 64 hexadecimal digits; if it is left out, lab.lock keeps it"`
	Mirrors []string `star:"mirrors,keyword,optional" doc:"further addresses of the same file"`
	Tree    string   `star:"tree,keyword" default:"\"\"" doc:"of git: the SHA-256 of the tree; if it is left out, lab.lock keeps it"`
	Name    string   `star:"name,keyword" default:"\"\"" doc:"the file's name in a sandbox and under out/, and what messages call it; by default the last part of the address"`
}

// Fetch is the builtin `fetch`.
var Fetch = schema.New("fetch", `fetch downloads a file, or a tree out of a git repository.

What is fetched is pinned: a file by its SHA-256, a tree by its commit and the
SHA-256 of what it holds. Without sha256 (or tree) in the call, the first run
takes what is there, over https only, and keeps its hash in lab.lock; from then
on nothing else is accepted. Downloads that break off are resumed and tried again,
then at the mirrors.

Of git, ref is a full commit hash (a tag or a branch can move), a folder of the
repository is named after //, and .git itself is not part of the tree. Submodules
are empty folders.

	src  = fetch("https://example.org/hello-2.12.tar.gz",
	             sha256 = "cf04af86dc085268c5f4470fbae49b18afbc221b78096aab842d934a76bad0ab")
	tree = fetch("git::https://example.org/hello.git//src?ref=5d6e22e0ac3ba1f8e1ce0b8d3f2b4aef59f5d7a1")`,
	callFetch, schema.Returns("a file with the attribute `sha256`, or a tree for git"))

// lockKind is the kind of fetch's entries in lab.lock. Their names are
// addresses; the field is "sha256:HEX" or "tree:HEX".
const lockKind = "fetch"

func callFetch(c *schema.Call, a *fetchArgs) (starlark.Value, error) {
	addr, err := parseAddress(a.URL)
	if err != nil {
		return nil, c.ArgErrorf("url", "%w", err)
	}
	title := a.Name
	if title == "" {
		title = addr.base()
	}
	title = "fetch " + title
	if addr.git {
		return fetchGit(c, a, addr, title)
	}
	if a.Tree != "" {
		return nil, c.ArgErrorf("tree", "got a tree's hash for a file: use sha256")
	}
	name := strings.TrimPrefix(title, "fetch ")
	p := fetchParams{Name: name, URLs: []string{addr.raw}}
	var errs []error
	for i, m := range a.Mirrors {
		mirror, err := parseAddress(m)
		if err == nil && mirror.git {
			err = errors.New("got a git repository as the mirror of a file")
		}
		if err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("mirrors[%d]", i), "%w", err))
		}
		p.URLs = append(p.URLs, m)
	}
	sum, err := pinned(c, "sha256", a.SHA256, addr)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	attrs := starlark.StringDict{"sha256": starlark.String(hex.EncodeToString(sum[:]))} // zeros until it is locked
	if sum != [32]byte{} {
		p.SHA256 = hex.EncodeToString(sum[:])
	}
	spec := action.Spec{Op: fetchOp, Params: p, Outputs: fileOutput(name), Title: title, Fixed: sum,
		Component: &action.Component{Kind: "file", Name: name, URL: addr.public(), SHA256: p.SHA256}}
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output(name), "file", attrs), nil
}

func fetchGit(c *schema.Call, a *fetchArgs, addr *address, title string) (starlark.Value, error) {
	var errs []error
	if a.SHA256 != "" {
		errs = append(errs, c.ArgErrorf("sha256", "got a file's hash for a git repository, which gives a tree: use tree"))
	}
	if len(a.Mirrors) > 0 {
		errs = append(errs, c.ArgErrorf("mirrors", "a git repository has no mirrors here: use one address"))
	}
	sum, err := pinned(c, "tree", a.Tree, addr)
	errs = append(errs, err)
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	act, err := c.Action(action.Spec{
		Op: gitOp, Params: gitParams{URL: addr.raw, Tree: hex.EncodeToString(sum[:])}, Outputs: treeOutput, Title: title,
		Component: &action.Component{Kind: "git", Name: addr.base(), URL: addr.public()},
	})
	if err != nil {
		return nil, err
	}
	return value(act), nil
}

// pinned returns the hash given as the argument arg, else the one in the lock.
// If there is none it asks for it, and returns zero.
func pinned(c *schema.Call, arg, given string, addr *address) (sum [32]byte, err error) {
	if given != "" {
		if sum, err = action.ParseHash(given); err == nil && sum == [32]byte{} {
			err = errors.New("got zeros, want the hash of the content, or leave it out and lab.lock will keep it")
		}
		if err != nil {
			return sum, c.ArgErrorf(arg, "%w", err)
		}
		return sum, nil
	}
	fields, ok := c.Session().Pins.Get(lockKind, addr.raw)
	if ok {
		hash, isKind := strings.CutPrefix(fields[0], arg+":")
		if sum, err = action.ParseHash(hash); err != nil || !isKind {
			return sum, c.Errorf("the entry of %s in lab.lock is damaged: got %q, want %s:HEX", addr.raw, fields[0], arg).
				WithHint("remove the line and run `labstar lock`")
		}
		return sum, nil
	}
	if err := addr.unpinned(); err != nil {
		return sum, c.ArgErrorf(arg, "%w", err)
	}
	c.Session().Pins.Want(lockKind, addr.raw, c.Site())
	return sum, nil
}

// base is the last part of the path, for titles.
func (a *address) base() string {
	b := path.Base(a.url.Path)
	if b == "." || b == "/" {
		return a.url.Host
	}
	return b
}

// public is the address without what a bill of materials is not to tell.
func (a *address) public() string {
	u := *a.url
	u.User = nil
	return u.String()
}
