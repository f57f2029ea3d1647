package k8s

import (
	"context"
	"crypto/pbkdf2"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"fmt"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// HashedLabel is the label of objects that have a hash in their names: its value is
// the name without the hash. `labstar apply` keeps old ones while something in the
// cluster still uses them.
const HashedLabel = "labstar/hashed"

type hashedArgs struct {
	Object starlark.Value `star:"object" doc:"a ConfigMap or a Secret, as a dict"`
}

// Hashed is the builtin `k8s_hashed`.
var Hashed = schema.New("k8s_hashed", `k8s_hashed gives a ConfigMap or Secret a name that changes with its content.

The name gets "-" and ten digits of a hash over all that the object holds, so pods that
refer to it by that name (object["metadata"]["name"]) are replaced when the content
changes, and pods of before keep theirs. The object is made immutable and gets the
label labstar/hashed, by which `+"`labstar apply`"+` knows the old ones: it
removes them when nothing uses them any more.

A value may be a file, which stands for what it holds, or a string that is known only
after the build; in the stringData of a Secret it may be a secret, or a list of strings
and secrets that are joined. A secret's value is in no key,
store, plan or log: the manifest has a token in its place, which `+"`labstar apply`"+`
fills in, and the hash is derived from it by a slow function.

config_map_from and secret_from of @stdlib//k8s.star are made with it.`, callHashed, schema.Returns("the object with its new name, a dict"))

func callHashed(c *schema.Call, a *hashedArgs) (starlark.Value, error) {
	d, ok := a.Object.(*starlark.Dict)
	if !ok {
		return nil, c.ArgErrorf("object", "got %s, want a dict", a.Object.Type())
	}
	x, err := plainObject(c, "object", "", d)
	if err != nil {
		return nil, err
	}
	o := newObject(x)
	if o.kind != "ConfigMap" && o.kind != "Secret" || o.name == "" {
		return nil, c.ArgErrorf("object", "got %s, want a ConfigMap or a Secret with a name", o)
	}
	hash, err := contentHash(c, o)
	if err != nil {
		return nil, err
	}
	meta := sub(o.value, "metadata")
	meta = mergeDict(meta, dict{
		{Key: "name", Value: o.name + "-" + hash},
		{Key: "labels", Value: dict{{Key: HashedLabel, Value: o.name}}},
	}, nil)
	o.value = mergeDict(o.value, dict{{Key: "metadata", Value: meta}, {Key: "immutable", Value: true}}, nil)
	o.root = d
	return o.starlark(c.Session()), nil
}

type hashParams struct {
	Object  dict          `json:"object"`
	Secrets []action.Late `json:"secrets,omitempty"` // what is derived from each
}

// contentHash returns the token of the hash.
func contentHash(c *schema.Call, o *object) (string, error) {
	p := hashParams{Object: o.value}
	var names []string
	for _, field := range []string{"stringData", "data"} {
		for _, e := range sub(o.value, field) {
			s, _ := e.Value.(string)
			names = append(names, action.SecretTokens(s)...)
		}
	}
	for _, name := range names {
		act, err := c.Action(action.Spec{
			Op: secretHashOp, Title: "hash of the secret " + name,
			Params:  secretHashParams{Secret: name, Use: o.namespace + "/" + o.name},
			Secrets: []string{name},
			Outputs: []action.Output{{Name: "hash", Kind: action.File}},
		})
		if err != nil {
			return "", err
		}
		p.Secrets = append(p.Secrets, action.Late(act.Output("hash").Token(action.Text)))
	}
	act, err := c.Action(action.Spec{
		Op: hashOp, Title: fmt.Sprintf("hash of %s %s", o.kind, o.name), Params: p,
		Outputs: []action.Output{{Name: "hash", Kind: action.File}},
	})
	if err != nil {
		return "", err
	}
	return act.Output("hash").Token(action.Text), nil
}

// hashOp hashes an object, with what is late in it filled in.
var hashOp = &action.Op{Name: "k8s/hash", Version: 1, Check: true, Run: runHash}

func runHash(_ context.Context, env action.Env) error {
	var p hashParams
	if err := env.Params(&p); err != nil {
		return err
	}
	b, err := action.Canonical(p)
	if err != nil {
		return err
	}
	sum := sha256.Sum256(b)
	return env.WriteFile("hash", []byte(hex.EncodeToString(sum[:5])))
}

type secretHashParams struct {
	Secret string `json:"secret"`
	Use    string `json:"use"`
}

// secretHashOp derives from a secret what may be seen: it goes into the hash of a
// name, so that a secret that changed has a new one.
var secretHashOp = &action.Op{Name: "k8s/secret-hash", Version: 1, Check: true, Run: runSecretHash}

// secretRounds makes guessing slow: as slow as a password's hash.
const secretRounds = 10_000

func runSecretHash(_ context.Context, env action.Env) error {
	var p secretHashParams
	if err := env.Params(&p); err != nil {
		return err
	}
	value, err := env.Secret(p.Secret)
	if err != nil {
		return err
	}
	key, err := pbkdf2.Key(sha512.New, value, []byte("labstar kubernetes "+p.Use), secretRounds, 16)
	if err != nil {
		return fmt.Errorf("deriving the hash of the secret %s: %w", p.Secret, err)
	}
	return env.WriteFile("hash", []byte(hex.EncodeToString(key)))
}
