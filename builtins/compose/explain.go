package compose

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/pattern"
	"github.com/labstar/labstar/starlark/schema"
)

// composePath is how compose-go names a value: services[web].ports[0] or
// services.web.ports.0.
var composePath = pattern.New(`services(?:\.[A-Za-z0-9_-]+|\[[^\]\s]+\])+`)

var notAllowed = pattern.New(`Additional property (\S+) is not allowed`)

// explain turns the library's notes to itself into errors of a line each, told at the
// values of the services that they name.
func explain(err error, services schema.Dict[any]) error {
	text := err.Error()
	text = strings.TrimPrefix(text, "validating compose.yaml: ")
	text = strings.TrimPrefix(text, "decoding failed due to the following error(s):\n\n")
	text = strings.TrimSuffix(text, ": invalid compose project")
	var errs []error
	for line := range strings.Lines(text) {
		line = strings.Join(strings.Fields(line), " ")
		if line == "" {
			continue
		}
		e := fmt.Errorf("docker compose would refuse the file: %s", line)
		if path := composePath().FindString(line); path != "" {
			if m := notAllowed().FindStringSubmatch(line); m != nil {
				path += "." + m[1]
			}
			e = &action.PartError{Part: elemOf(path, services), Err: e}
		}
		errs = append(errs, e)
	}
	return errors.Join(errs...)
}

// elemOf is the element of the argument services that a path of compose-go's leads to,
// as far as that is there: what the library has made of a short form is not.
func elemOf(path string, services schema.Dict[any]) string {
	steps := strings.FieldsFunc(strings.TrimPrefix(path, "services"), func(r rune) bool { return r == '.' || r == '[' || r == ']' })
	at, v := "services", any(services)
	for _, step := range steps {
		switch x := v.(type) {
		case schema.Dict[any]:
			next, ok := x.Get(step)
			if !ok {
				return at
			}
			at, v = key(at, step), next
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i < 0 || i >= len(x) {
				return at
			}
			at, v = index(at, i), x[i]
		default:
			return at
		}
	}
	return at
}

// noteParts notes where the script has what compose-go's errors are about.
func noteParts(c *schema.Call, act *action.Action, services schema.Dict[any]) {
	if c.KeepsParts() {
		notePart(c, act, "services", services)
	}
}

func notePart(c *schema.Call, act *action.Action, at string, v any) {
	c.Part(act, at, c.ArgErrorf(at, "what is checked"))
	switch v := v.(type) {
	case schema.Dict[any]:
		for _, e := range v {
			notePart(c, act, key(at, e.Key), e.Value)
		}
	case []any:
		for i, e := range v {
			notePart(c, act, index(at, i), e)
		}
	}
}
