package oci

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// configParams are how a container of the image is started.
type configParams struct {
	platform
	Base        int                    `json:"base,omitempty"` // layers of the base
	Layers      int                    `json:"layers"`
	Entrypoint  []action.Late          `json:"entrypoint,omitempty"`
	Cmd         []action.Late          `json:"cmd,omitempty"`
	Env         map[string]action.Late `json:"env,omitempty"`
	User        string                 `json:"user,omitempty"`
	Workdir     string                 `json:"workdir,omitempty"`
	Ports       []string               `json:"ports,omitempty"`
	Volumes     []string               `json:"volumes,omitempty"`
	StopSignal  string                 `json:"stopSignal,omitempty"`
	Healthcheck *v1.HealthConfig       `json:"healthcheck,omitempty"`
	Labels      map[string]action.Late `json:"labels,omitempty"`
}

// defaultPath is what a container's PATH is unless env has one, as docker sets it.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// configOp checks that the command and the user are in the layers, before these
// are compressed, and writes the part of the configuration that says how a
// container is started. The layers' folders are all that it reads.
var configOp = &action.Op{Name: "oci/config", Version: 2, Check: true, Run: runConfig}

func runConfig(ctx context.Context, env action.Env) error {
	var p configParams
	if err := env.Params(&p); err != nil {
		return err
	}
	config, err := p.config(ctx, env)
	if err != nil {
		return err
	}
	e, err := p.lay(ctx, env)
	if err != nil {
		return err
	}
	u := users{ctx: ctx, content: env, e: e}
	if err := errors.Join(runnable(ctx, e, config), u.check(p.User)); err != nil {
		return err
	}
	b, err := json.Marshal(config)
	if err != nil {
		return err
	}
	return env.WriteFile("config", b)
}

// lay lays the layers over one another, those of the base first.
func (p *configParams) lay(ctx context.Context, env action.Env) (*action.Edit, error) {
	e := action.NewEdit(env, action.Digest{})
	for i := range p.Base {
		if err := p.layBase(ctx, env, e, i); err != nil {
			return nil, fmt.Errorf("laying layer %d of base: %w", i, err)
		}
	}
	for i := range p.Layers {
		if err := e.Merge(ctx, "", env.Input(fmt.Sprintf("layers[%d]", i)).Digest, action.Replace); err != nil {
			return nil, fmt.Errorf("laying layers[%d]: %w", i, err)
		}
	}
	return e, nil
}

func (p *configParams) layBase(ctx context.Context, env action.Env, e *action.Edit, i int) error {
	name := fmt.Sprintf("descriptor%d", i)
	if slices.ContainsFunc(env.Inputs(), func(in action.OutputDigest) bool { return in.Name == name }) {
		var info layerInfo
		if err := readJSON(ctx, env, name, &info); err != nil {
			return err
		}
		if err := info.whiteOut(ctx, e); err != nil {
			return err
		}
	}
	return e.Merge(ctx, "", env.Input(fmt.Sprintf("base[%d]", i)).Digest, action.Replace)
}

// config is the base's with what the script says laid over it, as in a Dockerfile:
// variables, labels, ports and volumes add up, and a new entrypoint drops the cmd
// that was meant for the old one.
func (p *configParams) config(ctx context.Context, env action.Env) (v1.Config, error) {
	var c v1.Config
	if p.Base > 0 {
		var cf v1.ConfigFile
		if err := readJSON(ctx, env, "base", &cf); err != nil {
			return c, err
		}
		c = cf.Config
		c.Image, c.Hostname, c.Domainname = "", "", "" // of how the base was made
	}
	if p.Entrypoint != nil {
		c.Entrypoint, c.Cmd = plain(p.Entrypoint), nil
	}
	if p.Cmd != nil {
		c.Cmd = plain(p.Cmd)
	}
	c.Env = p.environment(c.Env)
	c.User = cmp.Or(p.User, c.User)
	c.WorkingDir = cmp.Or(p.Workdir, c.WorkingDir)
	c.StopSignal = cmp.Or(p.StopSignal, c.StopSignal)
	if p.Healthcheck != nil {
		c.Healthcheck = p.Healthcheck
	}
	c.ExposedPorts = union(c.ExposedPorts, set(p.Ports))
	c.Volumes = union(c.Volumes, set(p.Volumes))
	c.Labels = union(c.Labels, plainMap(p.Labels))
	return c, nil
}

// union lays b over a; nil if both are empty.
func union[V any](a, b map[string]V) map[string]V {
	if len(a) == 0 {
		return b
	}
	out := maps.Clone(a)
	maps.Copy(out, b)
	return out
}

// environment is sorted, with PATH first.
func (p *configParams) environment(below []string) []string {
	vars := map[string]string{"PATH": defaultPath}
	for _, v := range below {
		name, value, _ := strings.Cut(v, "=")
		vars[name] = value
	}
	for k, v := range p.Env {
		vars[k] = string(v)
	}
	env := []string{"PATH=" + vars["PATH"]}
	delete(vars, "PATH")
	for _, k := range slices.Sorted(maps.Keys(vars)) {
		env = append(env, k+"="+vars[k])
	}
	return env
}

// runnable reports that the image's command is not in it.
func runnable(ctx context.Context, e *action.Edit, c v1.Config) error {
	argv := append(slices.Clone(c.Entrypoint), c.Cmd...)
	if len(argv) == 0 {
		return nil // an image for others to build on
	}
	what := "entrypoint"
	if len(c.Entrypoint) == 0 {
		what = "cmd"
	}
	program := argv[0]
	switch {
	case strings.HasPrefix(program, "/"):
	case strings.Contains(program, "/"):
		program = path.Join("/", c.WorkingDir, program)
	default:
		search := strings.TrimPrefix(c.Env[0], "PATH=")
		for dir := range strings.SplitSeq(search, ":") {
			if e.Runnable(ctx, path.Join(dir, program)) == nil {
				return nil
			}
		}
		return fmt.Errorf("checking %s: %q is in no folder of the image's PATH %s", what, program, search)
	}
	if err := e.Runnable(ctx, program); err != nil {
		return fmt.Errorf("checking %s: in the layers, %w", what, err)
	}
	return nil
}

// users looks up names in the image's own /etc.
type users struct {
	ctx     context.Context
	content action.Content
	e       *action.Edit
}

// check reports a user or group that is given by name and is not in the image.
func (u users) check(user string) error {
	name, group, _ := strings.Cut(user, ":")
	return errors.Join(u.known(name, "user", "etc/passwd"), u.known(group, "group", "etc/group"))
}

func (u users) known(name, what, file string) error {
	if _, err := strconv.ParseUint(name, 10, 32); name == "" || err == nil {
		return nil
	}
	names, err := u.names(file)
	if err != nil {
		return err
	}
	if slices.Contains(names, name) {
		return nil
	}
	if s := schema.Suggest(name, names); s != "" {
		return fmt.Errorf("checking user: the layers have no %s %q (did you mean %q?)", what, name, s)
	}
	return fmt.Errorf("checking user: the layers have no %s %q in /%s; add it there, or give its number", what, name, file)
}

// names reads the first field of each line of passwd or group.
func (u users) names(file string) ([]string, error) {
	n, _, err := u.e.Resolve(u.ctx, file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && n.Kind != action.Regular {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	b, err := u.content.OpenBlob(u.ctx, n.Digest)
	if err != nil {
		return nil, err
	}
	defer b.Close()
	raw, err := io.ReadAll(b)
	if err != nil {
		return nil, err
	}
	var names []string
	for line := range strings.Lines(string(raw)) {
		name, _, _ := strings.Cut(line, ":")
		names = append(names, name)
	}
	return names, nil
}
