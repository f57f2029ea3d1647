package oci

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/programs"
)

// configParams are how a container of the image is started.
type configParams struct {
	platform
	Base         int                    `json:"base,omitempty"` // layers of the base
	Layers       int                    `json:"layers"`
	Packages     []int                  `json:"packages,omitempty"`     // layers that are made of packages
	Unchecked    []string               `json:"unchecked,omitempty"`    // clean paths
	AllowSecrets []string               `json:"allowSecrets,omitempty"` // absolute paths
	Entrypoint   []action.Late          `json:"entrypoint,omitempty"`
	Cmd          []action.Late          `json:"cmd,omitempty"`
	Env          map[string]action.Late `json:"env,omitempty"`
	User         string                 `json:"user,omitempty"`
	Workdir      string                 `json:"workdir,omitempty"`
	Ports        []string               `json:"ports,omitempty"`
	Volumes      []string               `json:"volumes,omitempty"`
	StopSignal   string                 `json:"stopSignal,omitempty"`
	Healthcheck  *v1.HealthConfig       `json:"healthcheck,omitempty"`
	Labels       map[string]action.Late `json:"labels,omitempty"`
}

// defaultPath is what a container's PATH is unless env has one, as docker sets it.
const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// configOp looks for what would fail in a container (lint.go), before the layers are
// compressed, and writes the part of the configuration that says how a container is
// started.
var configOp = &action.Op{Name: "oci/config", Version: 4, Check: true, Run: runConfig}

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
	if err := p.lint(ctx, env, e, config); err != nil {
		return err
	}
	im := programs.Image{Path: strings.TrimPrefix(config.Env[0], "PATH="), Workdir: config.WorkingDir,
		Entrypoint: len(config.Entrypoint) > 0, Cmd: len(config.Cmd) > 0}
	if err := im.Look(ctx, e); err != nil {
		return err
	}
	return errors.Join(writeJSON(env, "config", config), writeJSON(env, programs.ImageOutput, im))
}

func writeJSON(env action.Env, output string, v any) error {
	b, err := json.Marshal(v)
	if err != nil {
		return err
	}
	return env.WriteFile(output, b)
}

// lay lays the layers over one another, those of the base first.
func (p *configParams) lay(ctx context.Context, env action.Env) (*action.Edit, error) {
	e := action.NewEdit(env, action.Digest{})
	for i := range p.Base {
		if err := layBase(ctx, env, e, i); err != nil {
			return nil, fmt.Errorf("laying layer %d of base: %w", i, err)
		}
	}
	for i := range p.Layers {
		root := env.Input(fmt.Sprintf("layers[%d]", i)).Digest
		if err := hides(ctx, e, action.NewEdit(env, root)); err != nil {
			return nil, fmt.Errorf("laying layers[%d]: %w", i, err)
		}
		if err := e.Merge(ctx, "", root, action.Replace); err != nil {
			return nil, fmt.Errorf("laying layers[%d]: %w", i, err)
		}
	}
	return e, nil
}

// layBase lays layer i of a base over what is below it.
func layBase(ctx context.Context, env action.Env, e *action.Edit, i int) error {
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
