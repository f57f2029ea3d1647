package source

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"unicode/utf8"

	"github.com/hashicorp/go-getter/v2"

	"github.com/labstar/labstar/starlark/schema"
)

// address is what fetch fetches, in go-getter's notation.
type address struct {
	raw string
	url *url.URL // of git: of the repository, without ref and folder

	git    bool
	commit string // 40 hexadecimal digits
	subdir string // the folder of the repository, clean; "" is all
}

// maxAddress is the longest address, in bytes.
const maxAddress = 4096

// parseAddress reads an address; the error says what is allowed.
func parseAddress(s string) (*address, error) {
	a := &address{raw: s}
	rest, isGit := strings.CutPrefix(s, "git::")
	a.git = isGit
	if len(s) > maxAddress || strings.ContainsFunc(s, func(r rune) bool { return r <= ' ' || r == 0x7f || r == utf8.RuneError }) {
		return nil, fmt.Errorf("got an address with blanks or damaged characters, or of more than %d bytes: write a blank as %%20", maxAddress)
	}
	if force, _, ok := strings.Cut(rest, "::"); ok && !strings.ContainsAny(force, ":/") {
		return nil, fmt.Errorf("got %q, want git:: or nothing before an address", force+"::")
	}
	if a.git {
		rest, a.subdir = getter.SourceDirSubdir(rest)
	}
	var err error
	if a.url, err = url.Parse(rest); err != nil {
		return nil, fmt.Errorf("malformed address: %w", err)
	}
	if err := a.checkScheme(); err != nil {
		return nil, err
	}
	if a.url.User != nil {
		return nil, errors.New("got a user name or password in the address: it would end up in lab.lock and in logs")
	}
	if a.url.Fragment != "" {
		return nil, fmt.Errorf("got an address with #%s, which no server sees: leave it out", a.url.Fragment)
	}
	if a.git {
		return a, a.parseGit()
	}
	return a, nil
}

func (a *address) checkScheme() error {
	u := a.url
	switch u.Scheme {
	case "https", "http":
		if u.Host == "" {
			return fmt.Errorf("got an address without a host: %q", a.raw)
		}
		return nil
	case "file":
		switch {
		case a.git:
			return errors.New("got a git repository on this machine, want one at https: for the lab's own files use glob")
		case u.Host != "" || !strings.HasPrefix(u.Path, "/"):
			return errors.New("got a file: address that is not absolute, want file:///…; for the lab's own files use file")
		}
		return nil
	case "":
		return fmt.Errorf("got %q, want an address with a scheme (https://…); for the lab's own files use file", a.raw)
	}
	schemes := []string{"https", "http", "file"}
	hint := ""
	if s := schema.Suggest(u.Scheme, schemes); s != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", s)
	}
	return fmt.Errorf("got the scheme %q, want https, http, file, or git::https%s", u.Scheme, hint)
}

// parseGit takes the commit out of the query.
func (a *address) parseGit() error {
	q := a.url.Query()
	a.commit = q.Get("ref")
	for k := range q {
		if k != "ref" {
			return fmt.Errorf("got the parameter %q in a git address, want ref alone", k)
		}
	}
	if len(a.commit) != 40 || strings.Trim(a.commit, "0123456789abcdef") != "" {
		return fmt.Errorf("got ref %q, want a full commit hash of 40 hexadecimal digits in small letters: a branch or a tag can move "+
			"(`git ls-remote %s` tells what it is now)", a.commit, strings.TrimSuffix(a.url.Redacted(), "?"+a.url.RawQuery))
	}
	a.url.RawQuery = ""
	var parts []string
	for part := range strings.SplitSeq(a.subdir, "/") {
		switch part {
		case "", ".":
		case "..":
			return fmt.Errorf("got the folder %q, want one inside the repository", a.subdir)
		default:
			parts = append(parts, part)
		}
	}
	a.subdir = strings.Join(parts, "/")
	return nil
}

// unpinned reports why the address can't be used without a hash in the script.
func (a *address) unpinned() error {
	switch {
	case a.url.Scheme == "http":
		return errors.New("missing: what comes over http may have been changed on its way, so lab.lock can't start from it; " +
			"give the hash, or use https")
	case a.url.Scheme == "file":
		return errors.New("missing: a file outside of the lab's folder has to be pinned here (`sha256sum FILE` tells it)")
	}
	return nil
}
