package source

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-git/go-git/v5"
	"github.com/go-git/go-git/v5/config"
	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
	"github.com/go-git/go-git/v5/plumbing/transport"
	"github.com/hashicorp/go-getter/v2"

	"github.com/labstar/labstar/action"
)

// gitOp fetches the tree of a commit.
var gitOp = &action.Op{Name: "source/git", Version: 1, Network: true, Run: runGit}

type gitParams struct {
	URL  string `json:"url"`
	Tree string `json:"tree"` // SHA-256 of the root Directory
}

func runGit(ctx context.Context, env action.Env) error {
	var p gitParams
	if err := env.Params(&p); err != nil {
		return err
	}
	sum, err := action.ParseHash(p.Tree)
	if err != nil || sum == [32]byte{} {
		return errors.New("not pinned: run `labstar lock`, or give tree")
	}
	dir, err := env.TempDir()
	if err != nil {
		return err
	}
	w, err := env.CreateTree("tree")
	if err != nil {
		return err
	}
	defer w.Abort()
	check := newHashTree()
	if err := getGit(ctx, p.URL, dir, both{w, check}); err != nil {
		return err
	}
	// The hash is known before anything is visible.
	if got, err := check.Commit(); err != nil || got.Hash != sum {
		if err != nil {
			return err
		}
		return fmt.Errorf("%s has other content than what was pinned: got the tree sha256 %s, want %s; if that is meant, change tree in this call "+
			"(or in lab.lock, by `labstar lock --update`)", p.URL, got.Hex(), hex.EncodeToString(sum[:]))
	}
	_, err = w.Commit()
	return err
}

// getGit fetches a commit into w, by way of go-getter and a bare repository in dir.
func getGit(ctx context.Context, address, dir string, w action.TreeWriter) error {
	client := &getter.Client{
		Getters:         []getter.Getter{&gitGetter{address: address, w: w}},
		Decompressors:   map[string]getter.Decompressor{},
		DisableSymlinks: true,
	}
	// The folder after // is ours to take out of the commit, not go-getter's to copy.
	src, _ := getter.SourceDirSubdir(address)
	_, err := client.Get(ctx, &getter.Request{Src: src, Dst: filepath.Join(dir, "git"), GetMode: getter.ModeDir, DisableSymlinks: true})
	return err
}

// gitGetter is go-getter's seam for git. Its own getter runs a git program; this
// one is go-git, which is none.
type gitGetter struct {
	address string
	w       action.TreeWriter
}

// Detect takes what git:: is before.
func (g *gitGetter) Detect(req *getter.Request) (bool, error) { return req.Forced == "git", nil }

// Mode is always that of a folder.
func (g *gitGetter) Mode(context.Context, *url.URL) (getter.Mode, error) { return getter.ModeDir, nil }

// GetFile is for files, which a commit is none of.
func (g *gitGetter) GetFile(context.Context, *getter.Request) error {
	return errors.New("got a file of a repository, want a folder: take the file out of it by pick")
}

// Get fetches the commit into a bare repository at Dst, and its tree into w.
func (g *gitGetter) Get(ctx context.Context, req *getter.Request) error {
	a, err := parseAddress(g.address)
	if err != nil {
		return err
	}
	if err := os.Mkdir(req.Dst, 0o700); err != nil {
		return err
	}
	repo, err := git.PlainInit(req.Dst, true)
	if err != nil {
		return err
	}
	commit, err := fetchCommit(ctx, repo, a)
	if err != nil {
		return fmt.Errorf("fetching commit %s of %s: %w", a.commit, a.url, err)
	}
	tree, err := commit.Tree()
	if err == nil && a.subdir != "" {
		tree, err = tree.Tree(a.subdir)
	}
	if errors.Is(err, object.ErrDirectoryNotFound) {
		return fmt.Errorf("no folder %q in commit %s of %s", a.subdir, a.commit, a.url)
	}
	if err != nil {
		return err
	}
	return (&gitTree{ctx: ctx, repo: repo, w: g.w}).write("", tree)
}

// gitTries is how often a fetch is tried that fails for no lasting reason.
const gitTries = 4

// fetchCommit asks for the one commit, and where a server does not give that,
// for all branches and tags.
func fetchCommit(ctx context.Context, repo *git.Repository, a *address) (*object.Commit, error) {
	one := []config.RefSpec{config.RefSpec(a.commit + ":refs/heads/pinned")}
	all := []config.RefSpec{"+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"}
	remote, err := repo.CreateRemote(&config.RemoteConfig{Name: "origin", URLs: []string{a.url.String()}})
	if err != nil {
		return nil, err
	}
	pause := time.Second
	for try := 1; ; try++ {
		err = remote.FetchContext(ctx, &git.FetchOptions{RefSpecs: one, Depth: 1, Tags: git.NoTags})
		if err != nil && ctx.Err() == nil && !lasting(err) {
			err = remote.FetchContext(ctx, &git.FetchOptions{RefSpecs: all, Tags: git.NoTags})
		}
		if err == nil || errors.Is(err, git.NoErrAlreadyUpToDate) {
			break
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if try == gitTries || lasting(err) {
			return nil, fmt.Errorf("%w (tried %d times): check the address and the network", err, try)
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(pause):
		}
		pause *= 2
	}
	commit, err := repo.CommitObject(plumbing.NewHash(a.commit))
	if errors.Is(err, plumbing.ErrObjectNotFound) {
		return nil, errors.New("the repository has no such commit on any branch or tag")
	}
	return commit, err
}

// lasting reports whether trying again is of no use.
func lasting(err error) bool {
	return errors.Is(err, transport.ErrRepositoryNotFound) || errors.Is(err, transport.ErrAuthenticationRequired) ||
		errors.Is(err, transport.ErrAuthorizationFailed) || errors.Is(err, transport.ErrEmptyRemoteRepository)
}

// gitTree writes the tree of a commit.
type gitTree struct {
	ctx   context.Context
	repo  *git.Repository
	w     action.TreeWriter
	files int
}

const (
	maxGitFiles = 4 << 20
	maxGitDepth = 500
)

func (g *gitTree) write(at string, t *object.Tree) error {
	if err := g.ctx.Err(); err != nil {
		return err
	}
	if strings.Count(at, "/") > maxGitDepth {
		return fmt.Errorf("folders more than %d deep", maxGitDepth)
	}
	if err := g.w.Mkdir(at, action.Attr{Mode: action.ModeDir}); err != nil {
		return err
	}
	for _, e := range t.Entries {
		if err := action.ValidName(e.Name); err != nil {
			return err
		}
		p := e.Name
		if at != "" {
			p = at + "/" + e.Name
		}
		if g.files++; g.files > maxGitFiles {
			return fmt.Errorf("more than %d files", maxGitFiles)
		}
		if err := g.entry(p, e); err != nil {
			return fmt.Errorf("path %q: %w", p, err)
		}
	}
	return nil
}

func (g *gitTree) entry(p string, e object.TreeEntry) error {
	switch e.Mode {
	case filemode.Dir:
		sub, err := g.repo.TreeObject(e.Hash)
		if err != nil {
			return err
		}
		return g.write(p, sub)
	case filemode.Submodule:
		return g.w.Mkdir(p, action.Attr{Mode: action.ModeDir})
	}
	blob, err := g.repo.BlobObject(e.Hash)
	if err != nil {
		return err
	}
	r, err := blob.Reader()
	if err != nil {
		return err
	}
	defer r.Close()
	switch e.Mode {
	case filemode.Symlink:
		target, err := io.ReadAll(io.LimitReader(r, 4097))
		if err != nil || len(target) == 0 || len(target) > 4096 || strings.ContainsRune(string(target), 0) {
			return errors.Join(errors.New("invalid symlink"), err)
		}
		return g.w.Symlink(p, string(target), action.Attr{Mode: action.ModeSymlink})
	case filemode.Executable:
		_, err = g.w.File(p, action.Attr{Mode: action.ModeExec}, r)
	default:
		_, err = g.w.File(p, action.Attr{Mode: action.ModeFile}, r)
	}
	return err
}
