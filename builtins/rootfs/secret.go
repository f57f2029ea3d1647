package rootfs

import (
	"context"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/shadow"
	"github.com/labstar/labstar/starlark/schema"
)

type secretArgs struct {
	Name string `star:"name" doc:"its name: lower-case letters, digits, '-' and '_'"`
}

// NewSecret is the builtin `secret`.
var NewSecret = schema.New("secret", `secret names a value that is not in the script: a password, a key.

The value is given to the command and not to the script, in one of three ways:

- the environment: `+"`LABSTAR_SECRET_ROOT`"+` for secret("root");
- a file that `+"`labstar run --secret root=FILE`"+` names;
- a line `+"`secret.root = FILE`"+` in labstar's settings file.

A line break at the end of a file is not part of it. The script only passes the
name on, to arguments that take a secret. The value is in no key, store or log:
what is derived from it (a password's hash) is made when something is built that
needs it. A secret that is not given is an error only then.

	users = [user("root", password = secret("root"))]`, callSecret, schema.Returns("a secret"))

func callSecret(c *schema.Call, a *secretArgs) (starlark.Value, error) {
	if !schema.ValidSecretName(a.Name) {
		return nil, c.ArgErrorf("name", "got %q, want lower-case letters, digits, '-' and '_', starting with a letter", a.Name)
	}
	return &schema.Secret{Name: a.Name, Site: c.Site()}, nil
}

type passwordParams struct {
	Secret string `json:"secret"`
	User   string `json:"user"`
}

// passwordHash returns the token of the hash of a user's password.
func passwordHash(c *schema.Call, s *schema.Secret, user string) (action.Late, error) {
	act, err := c.Action(action.Spec{
		Op: passwordOp, Title: "password of " + user, Site: s.Site,
		Params:  passwordParams{Secret: s.Name, User: user},
		Secrets: []string{s.Name},
		Outputs: []action.Output{{Name: "hash", Kind: action.File}},
	})
	if err != nil {
		return "", err
	}
	return action.Late(act.Output("hash").Token(action.Text)), nil
}

var passwordOp = &action.Op{Name: "rootfs/password", Version: 1, Check: true, Run: runPassword}

func runPassword(_ context.Context, env action.Env) error {
	var p passwordParams
	if err := env.Params(&p); err != nil {
		return err
	}
	value, err := env.Secret(p.Secret)
	if err != nil {
		return err
	}
	hash, err := shadow.Hash(value, "password of "+p.User)
	if err != nil {
		return err
	}
	return env.WriteFile("hash", []byte(hash))
}
