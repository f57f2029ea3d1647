package compose

import (
	"errors"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// What compose-go finds is about the value that it names.
func TestRefusedParts(t *testing.T) {
	for _, test := range []struct{ service, part, text string }{
		{`"cpus": "0,5"`, `services["a"]["cpus"]`, "parsing"},
		{`"healthcheck": {"interval": 5}`, `services["a"]["healthcheck"]["interval"]`, "must be a string"},
		{`"deploy": {"replica": 2}`, `services["a"]["deploy"]["replica"]`, "not allowed"},
		{`"deploy": {"resources": {"limits": {"memory": "1Gi"}}}`, `services["a"]["deploy"]["resources"]["limits"]["memory"]`, "invalid suffix"},
		{`"depends_on": {"b": {"condition": "healthy"}}`, `services["a"]["depends_on"]["b"]["condition"]`, "service_healthy"},
		{`"stop_grace_period": "90"`, `services["a"]["stop_grace_period"]`, "missing unit"},
	} {
		lab, c, err := eval(t, `c = compose({"a": {"image": "x", `+test.service+`}, "b": {"image": "x"}})`)
		if err != nil {
			t.Errorf("%s: %v", test.service, err)
			continue
		}
		_, err = lab.TryBuild(c)
		var part *action.PartError
		if !errors.As(err, &part) || part.Part != test.part || !strings.Contains(part.Error(), test.text) {
			t.Errorf("%s\ngot  %v (%+v)\nwant %s at %s", test.service, err, part, test.text, test.part)
		}
	}
}

func TestElemOf(t *testing.T) {
	services := schema.Dict[any]{{Key: "a", Value: schema.Dict[any]{{Key: "ports", Value: []any{"a:b"}}}}}
	for path, want := range map[string]string{
		"services[a].ports[0]": `services["a"]["ports"][0]`, "services.a.ports.0.target": `services["a"]["ports"][0]`,
		"services[a].ports[7]": `services["a"]["ports"]`, "services.b": "services",
	} {
		if got := elemOf(path, services); got != want {
			t.Errorf("%s: got %s, want %s", path, got, want)
		}
	}
}
