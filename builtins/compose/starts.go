package compose

import (
	"fmt"
	"strings"

	"github.com/labstar/labstar/internal/programs"
	"github.com/labstar/labstar/starlark/schema"
)

// starts are the commands that services run in images which the script makes: they
// are looked up in those before anything is started (internal/programs).
func (k *checker) starts(c *schema.Call) []programs.Start {
	var out []programs.Start
	for _, e := range k.a.Services {
		s := e.Value.(schema.Dict[any])
		image, _ := s.Get("image")
		im := programs.ImageOf(k.scope, asString(image))
		if im == nil {
			continue
		}
		at := key("services", e.Key)
		part := func(elem string) *schema.Error { return c.ArgErrorf(at+elem, "what runs") }
		base := programs.Start{What: at, At: part(`["image"]`), Image: im, Mounts: mounts(s)}
		if path, ok := k.variable(s, "PATH"); ok {
			if k.late(path) {
				continue
			}
			base.Path = path
		}
		dir, _ := s.Get("working_dir")
		base.Workdir = asString(dir)
		out = append(out, k.command(base, part, s)...)
		if program, elem, ok := k.healthProgram(s); ok {
			h := base
			h.What, h.At, h.Program = key(at, "healthcheck"), part(elem), program
			out = append(out, h)
		}
	}
	return out
}

// command is what a service starts as, none if that is not known before the build.
func (k *checker) command(base programs.Start, part func(elem string) *schema.Error, s schema.Dict[any]) []programs.Start {
	entrypoint, _ := s.Get("entrypoint")
	command, _ := s.Get("command")
	args, known := k.firstWord(command)
	if !known {
		return nil
	}
	if len(args) > 0 {
		base.At = part(first("command", command))
	}
	if entrypoint == nil {
		base.Args = args
		return []programs.Start{base}
	}
	words, known := k.firstWord(entrypoint)
	if len(words) > 0 {
		base.At = part(first("entrypoint", entrypoint))
	} else { // the image's is switched off
		words = args
	}
	if !known || len(words) == 0 {
		return nil
	}
	base.Program = words[0]
	return []programs.Start{base}
}

// first is the element that has the first word of a command.
func first(key string, command any) string {
	if _, ok := command.([]any); ok {
		return fmt.Sprintf("[%q][0]", key)
	}
	return fmt.Sprintf("[%q]", key)
}

// firstWord is the program of a command, as a list of one, in both of its forms;
// known is false if it takes a shell's reading, or the build, to tell.
func (k *checker) firstWord(v any) (word []string, known bool) {
	switch v := v.(type) {
	case string:
		if f := strings.Fields(v); len(f) > 0 {
			word = f[:1]
		}
		known = len(word) == 0 || !strings.ContainsAny(word[0], "'\"\\$`")
	case []any:
		if len(v) > 0 {
			s, ok := v[0].(string)
			return []string{s}, ok && s != "" && !k.late(s)
		}
		return nil, true
	case nil:
		return nil, true
	}
	return word, known && (len(word) == 0 || !k.late(word[0]))
}

// healthProgram is what a health check runs, and the element of the service that says it.
func (k *checker) healthProgram(s schema.Dict[any]) (program, elem string, ok bool) {
	h, _ := s.Get("healthcheck")
	d, _ := h.(schema.Dict[any])
	if off, _ := d.Get("disable"); off == true {
		return "", "", false
	}
	const at = `["healthcheck"]["test"]`
	test, _ := d.Get("test")
	switch test := test.(type) {
	case string:
		return "/bin/sh", at, test != ""
	case []any:
		if len(test) < 2 {
			return "", "", false
		}
		switch test[0] {
		case "CMD-SHELL":
			return "/bin/sh", at + "[0]", true
		case "CMD":
			word, known := k.firstWord(test[1:])
			return word[0], at + "[1]", known
		}
	}
	return "", "", false
}

// variable is a variable of a service's environment.
func (k *checker) variable(s schema.Dict[any], name string) (string, bool) {
	env, _ := s.Get("environment")
	switch env := env.(type) {
	case schema.Dict[any]:
		v, ok := env.Get(name)
		return asString(v), ok && v != nil
	case []any:
		for _, e := range env {
			if v, ok := strings.CutPrefix(asString(e), name+"="); ok {
				return v, true
			}
		}
	}
	return "", false
}

// mounts are where a service sees something else than its image.
func mounts(s schema.Dict[any]) []string {
	var out []string
	for _, what := range []string{"volumes", "secrets", "configs", "tmpfs"} {
		v, _ := s.Get(what)
		list, _ := v.([]any)
		if one, ok := v.(string); ok {
			list = []any{one}
		}
		for _, e := range list {
			switch e := e.(type) {
			case schema.Dict[any]:
				target, _ := e.Get("target")
				name, _ := e.Get("source")
				out = append(out, mountedAt(what, asString(name), asString(target)))
			case string:
				source, rest, mapped := strings.Cut(e, ":")
				target, _, _ := strings.Cut(rest, ":")
				switch {
				case what == "volumes" && mapped:
					out = append(out, target)
				case what == "volumes" || what == "tmpfs":
					out = append(out, source)
				default:
					out = append(out, mountedAt(what, e, ""))
				}
			}
		}
	}
	return out
}

// mountedAt is where a secret or a config is shown if a target is not given, or is a
// bare name.
func mountedAt(what, name, target string) string {
	switch {
	case strings.HasPrefix(target, "/"):
		return target
	case what == "secrets" && target != "":
		return "/run/secrets/" + target
	case what == "secrets":
		return "/run/secrets/" + name
	}
	return "/" + name
}
