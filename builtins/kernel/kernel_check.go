package kernel

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/kconfig"
)

// signingKeyPath is where the compiler sees the argument signing_key.
const signingKeyPath = action.InputDir + "/signing-key"

type checkParams struct {
	Key bool `json:"key"` // a signing key is given
}

// checkOp passes its input "config" on if two builds of it are the same.
var checkOp = &action.Op{Name: "kernel/check", Version: 1, Check: true, Run: runCheck}

func runCheck(ctx context.Context, env action.Env) error {
	var p checkParams
	if err := env.Params(&p); err != nil {
		return err
	}
	in := env.Input("config")
	r, err := env.OpenBlob(ctx, in.Digest)
	if err != nil {
		return err
	}
	defer r.Close()
	text, err := io.ReadAll(r)
	if err != nil {
		return err
	}
	if problems := chance(kconfig.ParseConfig(text), p.Key); len(problems) > 0 {
		return fmt.Errorf("checking kernel: two builds would differ\n  %s", strings.Join(problems, "\n  "))
	}
	return env.SetFile("config", in.Digest)
}

// random are the options that put random numbers into a kernel, and what to ask
// for instead.
var random = []struct{ name, remedy string }{
	{"RANDSTRUCT", `"RANDSTRUCT_NONE": True`},
	{"GCC_PLUGIN_LATENT_ENTROPY", `"GCC_PLUGIN_LATENT_ENTROPY": False`},
}

// chance returns what in a configuration would make two builds differ, each with
// its remedy. key says whether a signing key is given.
func chance(got kconfig.Config, key bool) []string {
	var problems []string
	for _, o := range random {
		if got.Get(o.name) == "y" {
			problems = append(problems, fmt.Sprintf("CONFIG_%s is on, and it takes random numbers at build time; add options = {%s} to kernel_config", o.name, o.remedy))
		}
	}
	const ours = `options = {"MODULE_SIG_KEY": "` + signingKeyPath + `"} to kernel_config`
	switch file := got["MODULE_SIG_KEY"]; {
	case file == "":
		if key {
			problems = append(problems, `signing_key is given, and the configuration signs nothing; add options = {"MODULE_SIG": True} to kernel_config, or drop signing_key`)
		}
	case file == kconfig.Quote("certs/signing_key.pem"):
		problems = append(problems, "CONFIG_MODULE_SIG_KEY is \"certs/signing_key.pem\", for which the build makes a new key each time; "+
			`switch MODULE_SIG off, or add `+ours+` and signing_key = file("key.pem") to kernel`)
	case file == kconfig.Quote(signingKeyPath) && !key:
		problems = append(problems, `CONFIG_MODULE_SIG_KEY is "`+signingKeyPath+`", and no key is given; add signing_key = file("key.pem") to kernel`)
	case file == kconfig.Quote(signingKeyPath) || file == `""` && !key:
	default:
		problems = append(problems, fmt.Sprintf("CONFIG_MODULE_SIG_KEY is %s, which the build can't see; add %s and signing_key = file(\"key.pem\") to kernel", file, ours))
	}
	if key && got.Get("MODULE_SIG_KEY_TYPE_ECDSA") == "y" {
		problems = append(problems, `CONFIG_MODULE_SIG_KEY_TYPE_ECDSA is on, and such signatures have chance in them; add options = {"MODULE_SIG_KEY_TYPE_RSA": True} to kernel_config`)
	}
	return problems
}
