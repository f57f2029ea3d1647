package kernel

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/format/kconfig"
	"github.com/labstar/labstar/starlark/schema"
)

// request is one option that somebody asks for.
type request struct {
	Name  string `json:"name"`
	Value string `json:"value"` // as a .config has it
	From  string `json:"from"`  // who asks: `options`, `fragments[0] line 3`, `profile vm`
	// Maybe is set where a kernel that has no such option is fine.
	Maybe bool `json:"maybe,omitempty"`
}

// readOptions reads the argument options: values as a .config has them, by name.
func readOptions(c *schema.Call, v starlark.Value) (map[string]string, error) {
	options := map[string]string{}
	if v == nil || v == starlark.None {
		return options, nil
	}
	dict, ok := v.(starlark.IterableMapping)
	if !ok {
		return nil, c.ArgErrorf("options", "got %s, want a dict of option names to values", v.Type())
	}
	var errs []error
	for _, item := range dict.Items() {
		name, value, err := readOption(item[0], item[1])
		if _, twice := options[name]; twice && err == nil {
			err = fmt.Errorf("got the option %s twice, with and without %s", name, kconfig.Prefix)
		}
		if err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("options[%s]", item[0]), "%w", err))
			continue
		}
		options[name] = value
	}
	return options, errors.Join(errs...)
}

func readOption(key, value starlark.Value) (name, text string, err error) {
	name, ok := starlark.AsString(key)
	if !ok {
		return "", "", fmt.Errorf("got %s as a name, want a string", key.Type())
	}
	name = strings.TrimPrefix(name, kconfig.Prefix)
	if !kconfig.ValidName(name) {
		return "", "", fmt.Errorf("got the option name %q, want letters, digits and '_'", name)
	}
	switch v := value.(type) {
	case starlark.Bool:
		if v {
			return name, "y", nil
		}
		return name, "n", nil
	case starlark.Int:
		return name, v.String(), nil
	case starlark.String:
		text, err = readText(string(v))
		return name, text, err
	}
	return "", "", fmt.Errorf("got %s, want True, False, \"m\", a number or a string", value.Type())
}

// readText reads the value of an option that is given as a string.
func readText(s string) (string, error) {
	switch {
	case s == "m":
		return s, nil
	case s == "y":
		return "", errors.New(`got the string "y", want True`)
	case s == "n":
		return "", errors.New(`got the string "n", want False`)
	case strings.ContainsAny(s, "\n\r\x00"):
		return "", errors.New("got a string with a line break, which a .config can't hold")
	case strings.HasPrefix(s, "0x"):
		if _, err := strconv.ParseUint(s, 0, 64); err == nil {
			return s, nil
		}
	}
	return kconfig.Quote(s), nil
}

// script writes a value of a .config as a script has it.
func script(value string) string {
	switch {
	case value == "y":
		return "True"
	case value == "n":
		return "False"
	case value == "m" || strings.HasPrefix(value, "0x"):
		return strconv.Quote(value)
	}
	return value // a number, or a string in its quotes
}
