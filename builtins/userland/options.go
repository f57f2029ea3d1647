package userland

import (
	"context"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/starlark/schema"
)

// option is one option that was asked for, with the value as .config has it.
type option struct {
	Name, Value string
	// Recipe is set where labstar asks for it, not the script.
	Recipe bool
}

// wantedOptions reads options and adds what the recipe wants, sorted by name.
func wantedOptions(c *schema.Call, a *busyboxArgs) ([]option, error) {
	var wanted []option
	var errs []error
	if a.Options != nil && a.Options != starlark.None {
		dict, ok := a.Options.(starlark.IterableMapping)
		if !ok {
			return nil, c.ArgErrorf("options", "got %s, want a dict of option names to values", a.Options.Type())
		}
		for _, item := range dict.Items() {
			o, err := newOption(item[0], item[1])
			if err == nil && slices.ContainsFunc(wanted, func(p option) bool { return p.Name == o.Name }) {
				err = fmt.Errorf("got the option %s twice, with and without %s", o.Name, kconfig.Prefix)
			}
			if err != nil {
				errs = append(errs, c.ArgErrorf(fmt.Sprintf("options[%s]", item[0]), "%w", err))
				continue
			}
			wanted = append(wanted, o)
		}
	}
	for _, o := range recipeOptions(a) {
		i := slices.IndexFunc(wanted, func(p option) bool { return p.Name == o.Name })
		switch {
		case i < 0:
			wanted = append(wanted, o)
		case o.Name == "STATIC" && wanted[i].Value != o.Value:
			errs = append(errs, c.ArgErrorf("options", "got STATIC, which contradicts static = %s: set static alone",
				starlark.Bool(a.Static)))
		}
	}
	slices.SortFunc(wanted, func(x, y option) int { return strings.Compare(x.Name, y.Name) })
	return wanted, errors.Join(errs...)
}

// recipeOptions is what the recipe asks for unless the script does otherwise.
// TC uses the class-based queues, which Linux 6.8 took out of its headers. The
// SHA instructions are those of x86; busybox 1.37 does not compile with them
// elsewhere.
func recipeOptions(a *busyboxArgs) []option {
	list := []option{
		{Name: "STATIC", Value: boolValue(a.Static), Recipe: true},
		{Name: "TC", Value: "n", Recipe: true},
	}
	if a.machine() != "x86_64" {
		for _, name := range []string{"SHA1_HWACCEL", "SHA256_HWACCEL"} {
			list = append(list, option{Name: name, Value: "n", Recipe: true})
		}
	}
	return list
}

func boolValue(b bool) string {
	if b {
		return "y"
	}
	return "n"
}

func newOption(key, value starlark.Value) (option, error) {
	name, ok := starlark.AsString(key)
	if !ok {
		return option{}, fmt.Errorf("got %s as a name, want a string", key.Type())
	}
	name = strings.TrimPrefix(name, kconfig.Prefix)
	if !kconfig.ValidName(name) {
		return option{}, fmt.Errorf("got the option name %q, want letters, digits and '_'", name)
	}
	switch v := value.(type) {
	case starlark.Bool:
		return option{Name: name, Value: boolValue(bool(v))}, nil
	case starlark.Int:
		return option{Name: name, Value: v.String()}, nil
	case starlark.String:
		s := string(v)
		if s == "y" || s == "n" || s == "m" {
			return option{}, fmt.Errorf("got the string %q, want True or False", s)
		}
		if strings.ContainsAny(s, "\n\x00") || len(s) > 900 {
			return option{}, errors.New("got a string with a line break or of more than 900 bytes, which a .config can't hold")
		}
		if strings.HasPrefix(s, "0x") {
			if _, err := strconv.ParseUint(s, 0, 64); err == nil {
				return option{Name: name, Value: s}, nil // a hex option
			}
		}
		return option{Name: name, Value: kconfig.Quote(s)}, nil
	}
	return option{}, fmt.Errorf("got %s, want True, False, a number or a string", value.Type())
}

// fragment writes the options as lines of a .config.
func fragment(wanted []option) string {
	var b strings.Builder
	for _, o := range wanted {
		b.WriteString(kconfig.Line(o.Name, o.Value))
	}
	return b.String()
}

// checkParams is a dict and not a list so that `labstar plan` names the option
// that was changed.
type checkParams struct {
	Options map[string]string `json:"options"`
	Recipe  []string          `json:"recipe"` // those that the recipe asks for
}

func newCheckParams(wanted []option) checkParams {
	p := checkParams{Options: map[string]string{}}
	for _, o := range wanted {
		p.Options[o.Name] = o.Value
		if o.Recipe {
			p.Recipe = append(p.Recipe, o.Name)
		}
	}
	return p
}

// checkOp passes its input "config" on as its output if every wanted option has
// its value there. "kconfig" is the text of the options' declarations.
var checkOp = &action.Op{Name: "userland/busybox-check", Version: 1, Check: true, Run: runCheck}

func runCheck(ctx context.Context, env action.Env) error {
	var p checkParams
	if err := env.Params(&p); err != nil {
		return err
	}
	config, err := readInput(ctx, env, "config")
	if err != nil {
		return err
	}
	decl, err := readInput(ctx, env, "kconfig")
	if err != nil {
		return err
	}
	got := kconfig.ParseConfig(config)
	tree, err := kconfig.ReadText(decl)
	if err != nil {
		return err
	}
	var problems []string
	for _, name := range slices.Sorted(maps.Keys(p.Options)) {
		o := option{name, p.Options[name], slices.Contains(p.Recipe, name)}
		if problem := compare(o, got, tree, p.Options); problem != "" {
			problems = append(problems, problem)
		}
	}
	if len(problems) > 0 {
		return fmt.Errorf("checking busybox options: %d of %d did not take effect\n  %s\nchange or remove them in options",
			len(problems), len(p.Options), strings.Join(problems, "\n  "))
	}
	return env.SetFile("config", env.Input("config").Digest)
}

// compare returns what is wrong with one option, "" if nothing.
func compare(o option, got kconfig.Config, tree *kconfig.Tree, asked kconfig.Config) string {
	value, known := got[o.Name]
	if !known && tree.Lookup(o.Name) == nil {
		if o.Recipe && o.Value == "n" {
			return "" // an older or newer busybox without that applet
		}
		names := got.Names()
		if s := schema.Suggest(o.Name, names); s != "" {
			return fmt.Sprintf("%s: this busybox has no such option (did you mean %q?)", o.Name, s)
		}
		return o.Name + ": this busybox has no such option"
	}
	if !known {
		value = "n"
	}
	if value == o.Value {
		return ""
	}
	text := fmt.Sprintf("%s: got %s, want %s", o.Name, value, o.Value)
	if tree.Lookup(o.Name) != nil {
		if why := kconfig.NewModel(tree, got).Why(o.Name, o.Value, got, asked); why != "" {
			text += ": " + why
		}
	}
	return text
}

func readInput(ctx context.Context, env action.Env, name string) ([]byte, error) {
	b, err := env.OpenBlob(ctx, env.Input(name).Digest)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	return io.ReadAll(b)
}
