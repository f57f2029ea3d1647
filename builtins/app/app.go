// Package app has the values of an application whose parts find one another:
// endpoint, page, htpasswd and links_in. The application itself is written with
// @stdlib//app.star.
//
//	backend = endpoint("backend", 3000)
//	gate    = endpoint("gate", 8080, public_port = 80)
//
//	conf = "proxy_pass http://%s;" % backend.address
//	html = page(file("index.html"), {"CHAT": gate.browser_url + "ws"})
//
// There are two kinds of addresses. One inside of the application (backend.address) is
// a late-bound string: it stays whole in whatever it is written into, so that links_in
// finds who talks to whom, and page knows what no browser can resolve. One for browsers
// (gate.browser_url) is a value of another type, a path on the site that the page comes
// from: it is right wherever the application runs.
package app

import (
	"context"
	"errors"
	"fmt"

	"go.starlark.net/starlark"
	"go.starlark.net/syntax"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/pattern"
	"github.com/labstar/labstar/starlark/schema"
)

// Builtins returns the builtins of this group.
func Builtins() []*schema.Builtin {
	return []*schema.Builtin{NewEndpoint, NewPage, Htpasswd, LinksIn}
}

type endpointArgs struct {
	Name       string  `star:"name" doc:"its host name for the others: lower-case letters, digits and '-', at most 63"`
	Port       uint16  `star:"port" doc:"the TCP port on which it listens, the same in every place"`
	Scheme     string  `star:"scheme,keyword" default:"\"http\"" doc:"what is before :// in its url"`
	PublicPort *uint16 `star:"public_port,keyword,optional" doc:"the port of the host (or of a load balancer) by which it is reached from outside; without it, it is not"`
	NodePort   *uint16 `star:"node_port,keyword,optional" doc:"the port of every Kubernetes node by which it is reached from outside, 30000 to 32767"`
}

// NewEndpoint is the builtin `endpoint`.
var NewEndpoint = schema.New("endpoint", `endpoint names a part of an application by which the others reach it.

Its attributes host, address (HOST:PORT) and url are strings for programs of the
application. They can be written into environments and files; who has one of them
reaches that endpoint, and links_in finds it. browser_url, of an endpoint that is
reached from outside, is for pages: the path of its root.

	backend = endpoint("backend", 3000)
	gate    = endpoint("gate", 8080, public_port = 80, node_port = 30000)
	conf    = "proxy_pass http://%s;" % backend.address`,
	callEndpoint, schema.Returns("an endpoint with the attributes `name`, `port`, `scheme`, `host`, `address`, `url`, `exposed`, `public_port`, `node_port` and `browser_url`"))

var label = pattern.New(`^[a-z]([a-z0-9-]{0,61}[a-z0-9])?$`)

func callEndpoint(c *schema.Call, a *endpointArgs) (starlark.Value, error) {
	var errs []error
	if !label().MatchString(a.Name) {
		errs = append(errs, c.ArgErrorf("name", "got %q, want lower-case letters, digits and '-', starting with a letter, at most 63: it is a host name", a.Name))
	}
	if a.Port == 0 {
		errs = append(errs, c.ArgErrorf("port", "got 0, want a port from 1 to 65535"))
	}
	if a.NodePort != nil && (*a.NodePort < 30000 || *a.NodePort > 32767) {
		errs = append(errs, c.ArgErrorf("node_port", "got %d, want a port from 30000 to 32767", *a.NodePort))
	}
	e := &Endpoint{name: a.Name, port: a.Port, scheme: a.Scheme, public: a.PublicPort, node: a.NodePort}
	for i, text := range []string{a.Name, fmt.Sprintf("%s:%d", a.Name, a.Port), fmt.Sprintf("%s://%s:%d", a.Scheme, a.Name, a.Port)} {
		act, err := c.Action(action.Spec{
			Op: linkOp, Title: "endpoint " + a.Name, Params: linkParams{Endpoint: a.Name, Text: text},
			Outputs: []action.Output{{Name: "link", Kind: action.File}},
		})
		if err != nil {
			return nil, err
		}
		e.links[i] = schema.LateText(act.Output("link"))
	}
	return e, errors.Join(errs...)
}

// Endpoint is an endpoint as a value of the language.
type Endpoint struct {
	name, scheme string
	port         uint16
	public, node *uint16
	links        [3]starlark.String // host, address, url
}

// The methods of starlark.Value.
func (e *Endpoint) String() string        { return fmt.Sprintf("endpoint(%q, %d)", e.name, e.port) }
func (e *Endpoint) Type() string          { return "endpoint" }
func (e *Endpoint) Freeze()               {}
func (e *Endpoint) Truth() starlark.Bool  { return true }
func (e *Endpoint) Hash() (uint32, error) { return starlark.String(e.name).Hash() }

// AttrNames returns the names of the attributes, sorted.
func (e *Endpoint) AttrNames() []string {
	return []string{"address", "browser_url", "exposed", "host", "name", "node_port", "port", "public_port", "scheme", "url"}
}

// Attr returns the attribute called name.
func (e *Endpoint) Attr(name string) (starlark.Value, error) {
	switch name {
	case "name":
		return starlark.String(e.name), nil
	case "port":
		return starlark.MakeInt(int(e.port)), nil
	case "scheme":
		return starlark.String(e.scheme), nil
	case "host":
		return e.links[0], nil
	case "address":
		return e.links[1], nil
	case "url":
		return e.links[2], nil
	case "exposed":
		return starlark.Bool(e.exposed()), nil
	case "public_port":
		return port(e.public), nil
	case "node_port":
		return port(e.node), nil
	case "browser_url":
		if !e.exposed() {
			return nil, fmt.Errorf("endpoint %q is not reached from outside (it has no public_port and no node_port), so no browser gets to it: "+
				"use the browser_url of the endpoint that is, with the path that leads on to %[1]q", e.name)
		}
		return BrowserURL{"/"}, nil
	}
	return nil, nil
}

func (e *Endpoint) exposed() bool { return e.public != nil || e.node != nil }

func port(p *uint16) starlark.Value {
	if p == nil {
		return starlark.None
	}
	return starlark.MakeInt(int(*p))
}

// BrowserURL is an address for browsers: a path of the site that a page comes from. It
// has the methods of starlark.Value; BROWSERURL + "text" is one again.
type BrowserURL struct{ path string }

func (u BrowserURL) String() string        { return u.path }
func (u BrowserURL) Type() string          { return "browser_url" }
func (u BrowserURL) Freeze()               {}
func (u BrowserURL) Truth() starlark.Bool  { return true }
func (u BrowserURL) Hash() (uint32, error) { return starlark.String(u.path).Hash() }

// Binary implements BROWSERURL + string.
func (u BrowserURL) Binary(op syntax.Token, y starlark.Value, side starlark.Side) (starlark.Value, error) {
	s, ok := y.(starlark.String)
	if !ok || op != syntax.PLUS || side != starlark.Left {
		return nil, nil
	}
	return BrowserURL{u.path + string(s)}, nil
}

type linkParams struct {
	Endpoint string `json:"endpoint"`
	Text     string `json:"text"`
}

// linkOp writes an address inside of the application. That it is an action of its own
// is what makes a link recognisable in any string.
var linkOp = &action.Op{Name: "app/link", Version: 1, Check: true, Run: func(_ context.Context, env action.Env) error {
	var p linkParams
	if err := env.Params(&p); err != nil {
		return err
	}
	return env.WriteFile("link", []byte(p.Text))
}}
