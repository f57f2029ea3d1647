package rootfs

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha512"
	"fmt"

	"github.com/go-crypt/x/crypt"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
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
	hash, err := sha512Crypt(value, "password of "+p.User)
	if err != nil {
		return err
	}
	return env.WriteFile("hash", []byte(hash))
}

// The work of sha512-crypt, the default of crypt(5), and of the salt's derivation.
const (
	cryptRounds = 5000
	saltRounds  = 10000
	saltLen     = 16 // characters, the most that sha512-crypt takes
)

// sha512Crypt hashes a password as crypt(5) describes under "$6$". The salt comes
// from the password and its use, so that the same one gives the same bytes and two
// users with one password have different hashes. It is derived as slowly as the
// hash: a salt from a fast function would let a thief of the file guess at the
// salt instead.
func sha512Crypt(password, use string) (string, error) {
	raw, err := pbkdf2.Key(sha512.New, password, []byte("labstar "+use), saltRounds, saltLen)
	if err != nil {
		return "", fmt.Errorf("deriving salt: %w", err)
	}
	const alphabet = "./0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
	salt := make([]byte, saltLen)
	for i, b := range raw {
		salt[i] = alphabet[b&63]
	}
	return "$6$" + string(salt) + "$" + string(crypt.KeySHACrypt(sha512.New, []byte(password), salt, cryptRounds)), nil
}
