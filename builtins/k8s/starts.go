package k8s

import (
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/programs"
	"github.com/labstar/labstar/starlark/schema"
)

// starts are the commands of containers whose image the script makes: they are looked
// up in those before anything reaches a cluster (internal/programs).
func starts(scope *action.Scope, objects []*object) []programs.Start {
	c := &checker{scope: scope}
	var out []programs.Start
	for _, o := range objects {
		pod, template, ok := o.podTemplate(c)
		if !ok {
			continue
		}
		spec := pod.key("spec")
		for _, field := range []string{"initContainers", "containers"} {
			spec.each(sub(template, "spec"), field, func(at at, d dict) { out = append(out, at.starts(d)...) })
		}
	}
	return out
}

// starts are what a container runs.
func (a at) starts(d dict) []programs.Start {
	image := programs.ImageOf(a.c.scope, str(d, "image"))
	if image == nil {
		return nil
	}
	base := programs.Start{What: a.what(), At: a.key("image").part(), Image: image, Workdir: str(d, "workingDir")}
	a.each(d, "volumeMounts", func(_ at, m dict) { base.Mounts = append(base.Mounts, str(m, "mountPath")) })
	known := true
	a.each(d, "env", func(_ at, v dict) {
		if str(v, "name") == "PATH" {
			base.Path = str(v, "value")
			known = base.Path != "" && !a.c.late(base.Path) && !strings.Contains(base.Path, "$(")
		}
	})
	if !known {
		return nil
	}
	var out []programs.Start
	command, known := a.c.program(d, "command")
	args, knownArgs := a.c.program(d, "args")
	switch {
	case command != "":
		s := base
		s.What, s.At, s.Program = a.key("command").what(), a.key("command").index(0).part(), command
		out = append(out, s)
	case known && knownArgs:
		s := base
		if args != "" {
			s.At, s.Args = a.key("args").index(0).part(), []string{args}
		}
		out = append(out, s)
	}
	for _, steps := range [][]string{{"livenessProbe"}, {"readinessProbe"}, {"startupProbe"}, {"lifecycle", "postStart"}, {"lifecycle", "preStop"}} {
		if command, _ := a.c.program(sub(d, append(steps, "exec")...), "command"); command != "" {
			s := base
			at := a.keys(append(steps, "exec", "command")...)
			s.What, s.At, s.Program = at.what(), at.index(0).part(), command
			out = append(out, s)
		}
	}
	return out
}

// program is the first word of a command, "" if there is none; known is false if it
// is filled in later.
func (c *checker) program(d dict, field string) (word string, known bool) {
	l := list(d, field)
	if len(l) == 0 {
		return "", true
	}
	s, _ := l[0].(string)
	if s == "" || c.late(s) || strings.Contains(s, "$(") {
		return "", false
	}
	return s, true
}

// part is the place as that of an error of the build.
func (a at) part() *schema.Error {
	if a.o.source != nil {
		return &schema.Error{Place: a.o.source.place(a.p, false)}
	}
	return &schema.Error{Root: a.o.root, RootElem: a.o.elemOf(a.p)}
}

// what names a place for a message of the build.
func (a at) what() string { return a.o.String() + ": " + a.p.String() }
