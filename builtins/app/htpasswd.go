package app

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/go-crypt/x/bcrypt"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

type htpasswdArgs struct {
	Users schema.Dict[*schema.Secret] `star:"users" doc:"dict of user names to their passwords, as secret(\"alice\")"`
	Cost  int                         `star:"cost,keyword" default:"10" doc:"of bcrypt, 5 to 16: each step doubles the time of a guess, of a login, and of a build that has to know whether the password is the same"`
}

// Htpasswd is the builtin `htpasswd`.
var Htpasswd = schema.New("htpasswd", `htpasswd makes a file of users and the bcrypt hashes of their passwords, for nginx, Apache and oauth2-proxy.

The same password gives the same hash, and two users with one password have different
ones. As with every secret, only the hash is ever stored.

	users = htpasswd({"alice": secret("alice"), "bob": secret("bob")})`,
	callHtpasswd, schema.Returns("a file"))

func callHtpasswd(c *schema.Call, a *htpasswdArgs) (starlark.Value, error) {
	var errs []error
	if a.Cost < 5 || a.Cost > 16 {
		errs = append(errs, c.ArgErrorf("cost", "got %d, want 5 to 16", a.Cost))
	}
	if len(a.Users) == 0 {
		errs = append(errs, c.ArgErrorf("users", "got none, want at least one: nobody could log in"))
	}
	spec := action.Spec{Op: htpasswdOp, Title: "htpasswd", Outputs: []action.Output{{Name: "htpasswd", Kind: action.File}}, Parts: map[string][]action.Frame{}}
	p := htpasswdParams{Cost: a.Cost}
	for _, u := range a.Users {
		if u.Key == "" || strings.ContainsAny(u.Key, ":\n\r#") || len(u.Key) > 255 {
			errs = append(errs, c.ArgErrorf("users", "got the user name %q, want one without ':', '#' and line breaks", u.Key))
		}
		p.Users = append(p.Users, htpasswdUser{u.Key, u.Value.Name})
		if !slices.Contains(spec.Secrets, u.Value.Name) {
			spec.Secrets = append(spec.Secrets, u.Value.Name)
		}
		spec.Parts[u.Key] = u.Value.Site
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	spec.Params = p
	act, err := c.Action(spec)
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output("htpasswd"), "file", nil), nil
}

type htpasswdParams struct {
	Users []htpasswdUser `json:"users"`
	Cost  int            `json:"cost"`
}

type htpasswdUser struct {
	Name   string `json:"name"`
	Secret string `json:"secret"`
}

var htpasswdOp = &action.Op{Name: "app/htpasswd", Version: 1, Check: true, Run: runHtpasswd}

func runHtpasswd(_ context.Context, env action.Env) error {
	var p htpasswdParams
	if err := env.Params(&p); err != nil {
		return err
	}
	var out strings.Builder
	for _, u := range p.Users {
		value, err := env.Secret(u.Secret)
		if err != nil {
			return &action.PartError{Part: u.Name, Err: err}
		}
		hash, err := bcryptHash(value, "htpasswd of "+u.Name, p.Cost)
		if err != nil {
			return &action.PartError{Part: u.Name, Err: fmt.Errorf("hashing the password of %s: %w", u.Name, err)}
		}
		fmt.Fprintf(&out, "%s:%s\n", u.Name, hash)
	}
	return env.WriteFile("htpasswd", []byte(out.String()))
}

// saltLen is the length of bcrypt's salt, in bytes.
const saltLen = 16

// bcryptHash hashes a password as crypt(5) describes under "$2y$", the prefix
// that htpasswd(1) writes. The salt comes from
// the password and its use, by bcrypt too: from a fast function it would be easier to
// guess from than the hash.
func bcryptHash(password, use string, cost int) (string, error) {
	switch {
	case password == "":
		return "", errors.New("got an empty password")
	case len(password) > 72:
		return "", fmt.Errorf("got a password of %d bytes, of which bcrypt counts the first 72: take a shorter one", len(password))
	}
	first := sha256.Sum256([]byte("labstar " + use))
	slow, err := bcrypt.GenerateFromPasswordSalt([]byte(password), first[:saltLen], cost)
	if err != nil {
		return "", err
	}
	salt := sha256.Sum256(slow)
	hash, err := bcrypt.GenerateFromPasswordSalt([]byte(password), salt[:saltLen], cost)
	if err != nil {
		return "", err
	}
	// The library writes "$2a$", which is the same where nothing is wrong with it.
	return strings.Replace(string(hash), "$2a$", "$2y$", 1), nil
}
