package vm

import (
	"context"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/shadow"
	"github.com/labstar/labstar/starlark/schema"
)

// A password that is a secret reaches the driver in its environment, which is in no
// key. What the test's result depends on is its hash, an input that is as slow to
// guess from as /etc/shadow.

func secretVariable(s *schema.Secret) string {
	return "LABSTAR_SECRET_" + strings.ToUpper(strings.ReplaceAll(s.Name, "-", "_"))
}

// secrets returns the variables of the steps' secrets, and adds their hashes to the
// inputs.
func (m *machine) secrets(c *schema.Call, inputs *[]action.Input) (map[string]string, error) {
	var out map[string]string
	for _, s := range m.args.Steps {
		if s.secret == nil || out[secretVariable(s.secret)] == s.secret.Name {
			continue
		}
		if out == nil {
			out = map[string]string{}
		}
		if other := out[secretVariable(s.secret)]; other != "" {
			return nil, c.ArgErrorf("steps", "got the secrets %q and %q, whose names are too alike", other, s.secret.Name)
		}
		out[secretVariable(s.secret)] = s.secret.Name
		act, err := c.Action(action.Spec{
			Op: secretOp, Title: "secret " + s.secret.Name, Site: s.secret.Site, Params: secretParams{s.secret.Name},
			Secrets: []string{s.secret.Name}, Outputs: []action.Output{{Name: "hash", Kind: action.File}},
		})
		if err != nil {
			return nil, err
		}
		*inputs = append(*inputs, action.Input{Name: "secret-" + s.secret.Name, Artifact: act.Output("hash")})
	}
	return out, nil
}

type secretParams struct {
	Secret string `json:"secret"`
}

var secretOp = &action.Op{Name: "vm/secret", Version: 1, Check: true, Run: runSecret}

func runSecret(_ context.Context, env action.Env) error {
	var p secretParams
	if err := env.Params(&p); err != nil {
		return err
	}
	value, err := env.Secret(p.Secret)
	if err != nil {
		return err
	}
	hash, err := shadow.Hash(value, "vm_test "+p.Secret)
	if err != nil {
		return err
	}
	return env.WriteFile("hash", []byte(hash))
}
