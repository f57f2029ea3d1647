package app

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/pattern"
	"github.com/labstar/labstar/starlark/schema"
)

type pageArgs struct {
	Source starlark.Value              `star:"source" doc:"a file of the lab's own, or a string"`
	Values schema.Dict[starlark.Value] `star:"values,optional" doc:"dict of names to what stands in the place of {{NAME}}: strings, numbers, or a browser_url"`
	Name   string                      `star:"name,keyword" default:"\"page\"" doc:"the file's name in a sandbox and under out/"`
}

// NewPage is the builtin `page`.
var NewPage = schema.New("page", `page makes a page (HTML, JavaScript, CSS) that a browser loads.

{{NAME}} in it is replaced by a value. What a browser can't reach is an error: an
address inside of the application (backend.url), for it has a name that only the
application knows, and in the text itself an address with such a name, with localhost
or with a number, which is right in one place at most.

	html = page(file("index.html"), {"SOCKET": gate.browser_url + "ws"})`,
	callPage, schema.Returns("a file"))

// maxPage bounds a page, in bytes.
const maxPage = 16 << 20

func callPage(c *schema.Call, a *pageArgs) (starlark.Value, error) {
	text, err := content(a.Source)
	if err != nil {
		return nil, c.ArgErrorf("source", "%w", err)
	}
	values := map[string]string{}
	var errs []error
	for _, v := range a.Values {
		s, err := forBrowsers(c.Session().Scope, v.Value)
		if err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("values[%q]", v.Key), "%w", err))
		}
		values[v.Key] = s
	}
	errs = append(errs, addresses(c, text), placeholders(c, text, a.Values))
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	text = placeholder().ReplaceAllStringFunc(text, func(m string) string { return values[strings.Trim(m, "{} ")] })
	act, err := c.Action(action.Spec{
		Op: pageOp, Title: a.Name, Params: pageParams{Name: a.Name, Text: action.Late(text)},
		Outputs: []action.Output{{Name: a.Name, Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return schema.NewArtifact(act.Output(a.Name), "file", nil), nil
}

func content(v starlark.Value) (string, error) {
	switch v := v.(type) {
	case starlark.String:
		return string(v), nil
	case *schema.Artifact:
		src := v.Action.Source
		if src == nil || src.Kind != action.File {
			return "", errors.New("got what is known only after a build, want a file of the lab's own or a string")
		}
		if src.Digest.Size > maxPage {
			return "", fmt.Errorf("got a page of %d bytes, want at most %d", src.Digest.Size, maxPage)
		}
		b, err := src.ReadAll(src.Digest)
		return string(b), err
	}
	return "", fmt.Errorf("got %s, want a file or a string", v.Type())
}

// forBrowsers returns the text of a value, or says why no browser can use it.
func forBrowsers(scope *action.Scope, v starlark.Value) (string, error) {
	switch v := v.(type) {
	case BrowserURL:
		return v.path, nil
	case starlark.Int:
		return v.String(), nil
	case *Endpoint:
		return "", fmt.Errorf("got an endpoint, want the browser_url of one that is reached from outside")
	case starlark.String:
		f := &finder{scope: scope, seen: map[*action.Action]bool{}}
		if err := f.text(string(v)); err != nil {
			return "", err
		}
		if len(f.found) > 0 {
			return "", fmt.Errorf("got the address of %q, which is a name inside of the application that no browser can resolve: "+
				"use the browser_url of the endpoint that is reached from outside, with the path that leads on to %[1]q", f.found[0])
		}
		return string(v), nil
	}
	return "", fmt.Errorf("got %s, want a string, a number or a browser_url", v.Type())
}

// Patterns are compiled when the first page is made, not when the program starts.
var (
	placeholder = pattern.New(`\{\{ ?([A-Za-z_][A-Za-z0-9_]*) ?\}\}`)
	absolute    = pattern.New(`\b(wss?|https?)://([A-Za-z0-9_.-]+)`)
)

// placeholders reports names that the page has and the call has not, and the reverse.
func placeholders(c *schema.Call, text string, values schema.Dict[starlark.Value]) error {
	var used, given []string
	for _, m := range placeholder().FindAllStringSubmatch(text, -1) {
		used = append(used, m[1])
	}
	for _, v := range values {
		given = append(given, v.Key)
	}
	var errs []error
	for _, n := range used {
		if !slices.Contains(given, n) {
			errs = append(errs, c.ArgErrorf("values", "got no value for {{%s}} of the page%s", n, meant(n, given)))
		}
	}
	for _, n := range given {
		if !slices.Contains(used, n) {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("values[%q]", n), "the page has no {{%s}}, so it has no effect%s", n, meant(n, used)))
		}
	}
	return errors.Join(errs...)
}

func meant(got string, all []string) string {
	if s := schema.Suggest(got, all); s != "" {
		return fmt.Sprintf(" (did you mean %q?)", s)
	}
	return ""
}

// addresses reports absolute addresses in the text that are right in one place at most.
func addresses(c *schema.Call, text string) error {
	var errs []error
	n := 0
	for line := range strings.Lines(text) {
		n++
		for _, m := range absolute().FindAllStringSubmatch(line, -1) {
			host := m[2]
			why := ""
			switch _, err := netip.ParseAddr(host); {
			case host == "localhost" || strings.HasPrefix(host, "127."):
				why = "which is the machine of whoever looks at the page"
			case err == nil:
				why = "which is the address of one machine"
			case !strings.Contains(host, "."):
				why = "which no browser can resolve: names without a dot are known inside of the application only"
			default:
				continue
			}
			errs = append(errs, c.ArgErrorf("source", "line %d: got %s, %s", n, m[0], why).
				WithHint("let it come from the script: {{NAME}} here, and values = {\"NAME\": ENDPOINT.browser_url} there; a path leads to the site that the page comes from"))
		}
	}
	return errors.Join(errs...)
}

type pageParams struct {
	Name string      `json:"name"` // of the output
	Text action.Late `json:"text"`
}

var pageOp = &action.Op{Name: "app/page", Version: 1, Run: func(_ context.Context, env action.Env) error {
	var p pageParams
	if err := env.Params(&p); err != nil {
		return err
	}
	return env.WriteFile(p.Name, []byte(p.Text))
}}
