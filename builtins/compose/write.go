package compose

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/pattern"
	"github.com/labstar/labstar/starlark/schema"
)

type composeParams struct {
	Name     string                   `json:"name"`
	Services schema.Dict[any]         `json:"services"`
	Networks schema.Dict[any]         `json:"networks,omitempty"`
	Volumes  schema.Dict[any]         `json:"volumes,omitempty"`
	Secrets  schema.Dict[string]      `json:"secrets,omitempty"` // names of labstar's secrets
	Configs  schema.Dict[action.Late] `json:"configs,omitempty"` // the texts; files are inputs
	Own      []string                 `json:"own,omitempty"`     // services whose image the script makes
	Load     bool                     `json:"load,omitempty"`    // those images are loaded, not pulled
}

// composeOp checks and writes the file. It is a check: what compose-go finds is told
// before anything long begins.
var composeOp = &action.Op{Name: "compose/file", Version: 1, Check: true, Run: runCompose}

func runCompose(ctx context.Context, env action.Env) error {
	var p composeParams
	if err := env.Params(&p); err != nil {
		return err
	}
	for _, in := range env.Inputs() {
		if in.Name == startsInput {
			continue
		}
		text, err := read(ctx, env, in.Digest)
		if err != nil {
			return err
		}
		p.Configs = append(p.Configs, schema.Entry[action.Late]{Key: in.Name, Value: action.Late(text)})
	}
	m, err := p.model()
	if err != nil {
		return err
	}
	project, err := load(ctx, p.Name, m)
	if err != nil {
		return explain(err, p.Services)
	}
	b, err := project.MarshalYAML()
	if err != nil {
		return fmt.Errorf("writing the compose file: %w", err)
	}
	return env.WriteFile("compose.yaml", b)
}

// maxConfig bounds a file that becomes part of the compose file, in bytes.
const maxConfig = 1 << 20

func read(ctx context.Context, env action.Content, d action.Digest) (string, error) {
	if d.Size > maxConfig {
		return "", fmt.Errorf("got a config of %d bytes, want at most %d: put it into the image", d.Size, maxConfig)
	}
	b, err := env.OpenBlob(ctx, d)
	if err != nil {
		return "", err
	}
	defer b.Close()
	text, err := io.ReadAll(b)
	if err == nil && !utf8.Valid(text) {
		err = errors.New("got a config that is no text, which a compose file can't hold: put it into the image")
	}
	return string(text), err
}

// load has compose-go check the model and bring it into its canonical form.
func load(ctx context.Context, name string, model map[string]any) (*types.Project, error) {
	project, err := loader.LoadWithContext(ctx, types.ConfigDetails{
		WorkingDir: "/", ConfigFiles: []types.ConfigFile{{Filename: "compose.yaml", Config: model}}, Environment: types.Mapping{},
	}, func(o *loader.Options) {
		o.SkipInterpolation, o.SkipNormalization, o.SkipResolveEnvironment, o.SkipInclude, o.SkipExtends = true, true, true, true, true
		o.ResolvePaths = false
		o.Profiles = []string{"*"}
		o.SetProjectName(name, true)
	})
	return project, err
}

// model is the file as compose-go takes it.
func (p *composeParams) model() (map[string]any, error) {
	m := map[string]any{"name": p.Name}
	services := map[string]any{}
	for _, s := range p.Services {
		services[s.Key] = literal(s.Value)
	}
	for _, name := range p.Own {
		if err := p.byContent(services[name].(map[string]any)); err != nil {
			return nil, fmt.Errorf("service %q: %w", name, err)
		}
	}
	m["services"] = services
	set := func(name string, d map[string]any) {
		if len(d) > 0 {
			m[name] = d
		}
	}
	networks, _ := literal(p.Networks).(map[string]any)
	for _, s := range p.Services {
		for _, n := range listed(s.Value.(schema.Dict[any]), "", "networks") {
			if _, declared := networks[n.name]; n.name == "default" && !declared {
				networks["default"] = map[string]any{} // which docker compose has without a word
			}
		}
	}
	set("networks", networks)
	volumes, _ := literal(p.Volumes).(map[string]any)
	set("volumes", volumes)
	secrets := map[string]any{}
	for _, s := range p.Secrets {
		secrets[s.Key] = map[string]any{"environment": Variable(s.Value)}
	}
	set("secrets", secrets)
	configs := map[string]any{}
	for _, c := range p.Configs {
		configs[c.Key] = map[string]any{"content": dollars(string(c.Value))}
	}
	set("configs", configs)
	return m, nil
}

// Variable is the environment variable that has a secret's value, for labstar and for
// docker compose alike.
func Variable(secret string) string {
	return "LABSTAR_SECRET_" + strings.ToUpper(strings.ReplaceAll(secret, "-", "_"))
}

var byDigest = pattern.New(`^([^@]+)@sha256:([0-9a-f]{64})$`)

// tagDigits is how much of an image's digest is in its second tag; see builtins/oci.
const tagDigits = 12

// byContent makes of the reference of an image that is loaded its name in the engine.
func (p *composeParams) byContent(service map[string]any) error {
	if !p.Load {
		return nil
	}
	image, _ := service["image"].(string)
	parts := byDigest().FindStringSubmatch(image)
	if parts == nil {
		return fmt.Errorf("got the image %q, want image.ref: what else is made of a digest has no name in the engine", image)
	}
	service["image"] = parts[1] + ":sha-" + parts[2][:tagDigits]
	if service["pull_policy"] == nil {
		service["pull_policy"] = "never"
	}
	return nil
}

// literal makes maps of dicts, and keeps docker compose from filling anything in.
func literal(v any) any {
	switch v := v.(type) {
	case string:
		return dollars(v)
	case schema.Dict[any]:
		m := make(map[string]any, len(v))
		for _, e := range v {
			m[e.Key] = literal(e.Value)
		}
		return m
	case []any:
		out := make([]any, len(v))
		for i, e := range v {
			out[i] = literal(e)
		}
		return out
	case int64:
		return int(v) // what a YAML reader gives, and compose-go counts on
	}
	return v
}

func dollars(s string) string { return strings.ReplaceAll(s, "$", "$$") }
