package rootfs

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Service is what runs at boot, as a value of the language.
type Service struct {
	name         string
	command      action.Late      // "" if file is set
	file         *schema.Artifact // a program or script
	after, needs []string
	respawn      bool
	site         []action.Frame
}

// The methods of starlark.Value.
func (s *Service) String() string        { return fmt.Sprintf("service(%q)", s.name) }
func (s *Service) Type() string          { return "service" }
func (s *Service) Freeze()               {}
func (s *Service) Truth() starlark.Bool  { return true }
func (s *Service) Hash() (uint32, error) { return starlark.String(s.name).Hash() }

type serviceArgs struct {
	Name    string         `star:"name" doc:"its name, for after and needs: lower-case letters, digits, '-' and '_'"`
	Command starlark.Value `star:"command" doc:"lines for the shell, or a file that is run"`
	After   []string       `star:"after,keyword,optional" doc:"services that start before it"`
	Needs   []string       `star:"needs,keyword,optional" doc:"the same, and it does not start if one of them failed"`
	Respawn bool           `star:"respawn,keyword" default:"False" doc:"it stays in the foreground and is started again whenever it ends; otherwise it runs once, and what comes after it waits for its end"`
}

// NewService is the builtin `service`.
var NewService = schema.New("service", `service describes what rootfs starts at boot.

A service that runs once (the default) is run from /etc/init.d/rcS, in order, and
those after it wait for its end; a daemon that puts itself into the background is
one. A service with respawn is started when all of those are through, by init,
which starts it again whenever it ends. Each has a script in /etc/init.d.

These are there by themselves, before all others, and can be named in needs:
mounts, clock, hostname, keymap, network.

	services = [
	    service("web", "httpd -f -h /srv/www", respawn = True, needs = ["network"]),
	    service("greeting", "cat /etc/motd"),
	]`, callService, schema.Returns("a service"))

// reserved are the services that rootfs makes itself, in the order of boot.
var reserved = []string{"mounts", "clock", "hostname", "keymap", "network"}

func callService(c *schema.Call, a *serviceArgs) (starlark.Value, error) {
	s := &Service{name: a.Name, after: a.After, needs: a.Needs, respawn: a.Respawn, site: c.Site()}
	var errs []error
	switch {
	case a.Name == "" || strings.Trim(a.Name, "abcdefghijklmnopqrstuvwxyz0123456789-_") != "" || len(a.Name) > 64:
		errs = append(errs, c.ArgErrorf("name", "got %q, want lower-case letters, digits, '-' and '_'", a.Name))
	case slices.Contains(reserved, a.Name):
		errs = append(errs, c.ArgErrorf("name", "got %q, which rootfs makes itself: give it another name", a.Name))
	}
	switch v := a.Command.(type) {
	case starlark.String:
		s.command = action.Late(strings.TrimSpace(string(v)))
		if s.command == "" {
			errs = append(errs, c.ArgErrorf("command", "got an empty string, want a command"))
		}
		if err := noPaths(c, "command", string(v)); err != nil {
			errs = append(errs, err)
		}
	case *schema.Artifact:
		s.file = v
		if v.Kind() != action.File {
			errs = append(errs, c.ArgErrorf("command", "got %s, want a file or a string", v.Type()))
		}
	default:
		errs = append(errs, c.ArgErrorf("command", "got %s, want a file or a string", a.Command.Type()))
	}
	return s, errors.Join(errs...)
}

// order sorts services so that each comes after what it names, otherwise as they
// are listed.
func order(c *schema.Call, list []*Service) ([]*Service, error) {
	byName := map[string]int{}
	names := slices.Clone(reserved)
	for i, s := range list {
		if _, twice := byName[s.name]; twice {
			return nil, c.ArgErrorf(fmt.Sprintf("services[%d]", i), "got the service %q twice", s.name)
		}
		byName[s.name] = i
		names = append(names, s.name)
	}
	var errs []error
	for i, s := range list {
		for _, n := range slices.Concat(s.after, s.needs) {
			j, ok := byName[n]
			switch {
			case slices.Contains(reserved, n):
			case !ok:
				errs = append(errs, c.ArgErrorf(fmt.Sprintf("services[%d]", i), "%s is after %q, which is not there%s", s.name, n, suggestion(n, names)))
			case list[j].respawn && !s.respawn:
				errs = append(errs, c.ArgErrorf(fmt.Sprintf("services[%d]", i),
					"%s runs once and is after %s, which init starts when all that run once are through: give %s respawn = True, or start %s in the background",
					s.name, n, s.name, n))
			}
		}
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	o := ordering{list: list, byName: byName, state: make([]uint8, len(list))}
	for i := range list {
		if cycle := o.visit(i, nil); cycle != nil {
			return nil, c.ArgErrorf(fmt.Sprintf("services[%d]", byName[cycle[0]]), "got services that wait for each other: %s", strings.Join(cycle, " -> "))
		}
	}
	return o.sorted, nil
}

type ordering struct {
	list   []*Service
	byName map[string]int
	state  []uint8 // 1: being visited, 2: done
	sorted []*Service
}

// visit returns a cycle, if there is one.
func (o *ordering) visit(i int, way []string) []string {
	s := o.list[i]
	way = append(way, s.name)
	switch o.state[i] {
	case 1:
		return way[slices.Index(way, s.name):]
	case 2:
		return nil
	}
	o.state[i] = 1
	for _, n := range slices.Concat(s.after, s.needs) {
		if j, ok := o.byName[n]; ok {
			if cycle := o.visit(j, way); cycle != nil {
				return cycle
			}
		}
	}
	o.state[i] = 2
	o.sorted = append(o.sorted, s)
	return nil
}

func suggestion(got string, all []string) string {
	if s := schema.Suggest(got, all); s != "" {
		return fmt.Sprintf(" (did you mean %q?)", s)
	}
	return ""
}
