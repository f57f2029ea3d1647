package oci

import (
	"errors"
	"fmt"
	"maps"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// start checks how a container of the image is to be started.
func (a *imageArgs) start(c *schema.Call) (configParams, error) {
	p := configParams{
		Layers: len(a.Layers), Entrypoint: a.Entrypoint, Cmd: a.Cmd, Env: a.Env, User: a.User, Workdir: a.Workdir,
		Labels: a.Labels, Volumes: a.Volumes, StopSignal: a.StopSignal, Packages: a.packages(), AllowSecrets: a.AllowSecrets,
	}
	var errs []error
	for i, u := range a.Unchecked {
		clean, err := action.CleanPath(u)
		if err != nil || !strings.HasPrefix(u, "/") {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("unchecked[%d]", i), "got %q, want an absolute path", u))
		}
		p.Unchecked = append(p.Unchecked, clean)
	}
	for i, s := range a.AllowSecrets {
		if path.Clean(s) != s || !strings.HasPrefix(s, "/") {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("allow_secrets[%d]", i), "got %q, want an absolute path", s))
		}
	}
	for i, v := range a.Ports {
		port, err := parsePort(v)
		if err != nil {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("ports[%d]", i), "%w", err))
		}
		p.Ports = append(p.Ports, port)
	}
	for i, v := range a.Volumes {
		if !strings.HasPrefix(v, "/") {
			errs = append(errs, c.ArgErrorf(fmt.Sprintf("volumes[%d]", i), "got %q, want an absolute path", v))
		}
	}
	if a.Workdir != "" && !strings.HasPrefix(a.Workdir, "/") {
		errs = append(errs, c.ArgErrorf("workdir", "got %q, want an absolute path", a.Workdir))
	}
	for k := range a.Env {
		if k == "" || strings.ContainsAny(k, "=\x00") {
			errs = append(errs, c.ArgErrorf("env", "got the variable name %q, want one without '='", k))
		}
	}
	if len(a.Layers) == 0 && a.Base == nil {
		errs = append(errs, c.ArgErrorf("layers", "got none, want at least one tree"))
	}
	if err := checkSignal(c, a.StopSignal); err != nil {
		errs = append(errs, err)
	}
	health, err := parseHealth(c, a.Healthcheck)
	p.Healthcheck = health
	return p, errors.Join(append(errs, err)...)
}

var protocols = []string{"tcp", "udp", "sctp"}

// parsePort reads 80, "80" or "80/udp".
func parsePort(v starlark.Value) (string, error) {
	s, proto := "", "tcp"
	switch v := v.(type) {
	case starlark.Int:
		s = v.String()
	case starlark.String:
		s = string(v)
		if number, p, ok := strings.Cut(s, "/"); ok {
			s, proto = number, p
		}
	default:
		return "", fmt.Errorf("got %s, want a number or a string as \"53/udp\"", v.Type())
	}
	if n, err := strconv.Atoi(s); err != nil || n < 1 || n > 65535 {
		return "", fmt.Errorf("got the port %s, want a number from 1 to 65535", v)
	}
	if !slices.Contains(protocols, proto) {
		return "", fmt.Errorf("got the protocol %q, want tcp, udp or sctp", proto)
	}
	return s + "/" + proto, nil
}

// signals are Linux' by name; real-time ones are SIGRTMIN+3 and the like.
var signals = strings.Fields(`SIGHUP SIGINT SIGQUIT SIGILL SIGTRAP SIGABRT SIGBUS SIGFPE SIGKILL SIGUSR1 SIGSEGV SIGUSR2 SIGPIPE
	SIGALRM SIGTERM SIGSTKFLT SIGCHLD SIGCONT SIGSTOP SIGTSTP SIGTTIN SIGTTOU SIGURG SIGXCPU SIGXFSZ SIGVTALRM SIGPROF SIGWINCH
	SIGIO SIGPWR SIGSYS SIGRTMIN SIGRTMAX`)

func checkSignal(c *schema.Call, s string) error {
	if n, err := strconv.Atoi(s); s == "" || err == nil && n >= 1 && n <= 64 {
		return nil
	}
	base, _, _ := strings.Cut(s, "+")
	base, _, _ = strings.Cut(base, "-")
	if slices.Contains(signals, base) && (base == s || strings.HasPrefix(base, "SIGRT")) {
		return nil
	}
	e := c.ArgErrorf("stop_signal", "got %q, want the name of a signal, as \"SIGQUIT\", or its number", s)
	if near := schema.Suggest(strings.ToUpper(s), signals); near != "" {
		e = e.WithHint(fmt.Sprintf("did you mean %q?", near))
	} else if slices.Contains(signals, "SIG"+strings.ToUpper(s)) {
		e = e.WithHint(fmt.Sprintf("did you mean %q?", "SIG"+strings.ToUpper(s)))
	}
	return e
}

var healthKeys = []string{"test", "interval", "timeout", "start_period", "retries"}

// parseHealth reads the health check: what compose files call so, with the same
// names.
func parseHealth(c *schema.Call, d map[string]starlark.Value) (*v1.HealthConfig, error) {
	if d == nil {
		return nil, nil
	}
	h := &v1.HealthConfig{}
	var errs []error
	fail := func(key, format string, args ...any) {
		errs = append(errs, c.ArgErrorf(fmt.Sprintf("healthcheck[%q]", key), format, args...))
	}
	for _, key := range slices.Sorted(maps.Keys(d)) {
		v := d[key]
		switch key {
		case "test":
			argv, ok := words(v)
			if !ok || len(argv) == 0 {
				fail(key, "got %s, want a list of strings: a program with its arguments, or [\"CMD-SHELL\", \"a line for sh\"]", v.Type())
				continue
			}
			switch argv[0] {
			case "CMD", "NONE":
			case "CMD-SHELL":
				if len(argv) != 2 {
					fail(key, "got %d strings after CMD-SHELL, want one", len(argv)-1)
				}
			default:
				argv = append([]string{"CMD"}, argv...)
			}
			h.Test = argv
		case "interval", "timeout", "start_period":
			s, _ := v.(starlark.String)
			n, err := time.ParseDuration(string(s))
			if err != nil || n < time.Millisecond {
				fail(key, "got %s, want a time as \"30s\" or \"1m30s\"", v)
				continue
			}
			map[string]func(){
				"interval": func() { h.Interval = n }, "timeout": func() { h.Timeout = n }, "start_period": func() { h.StartPeriod = n },
			}[key]()
		case "retries":
			n, err := starlark.AsInt32(v)
			if err != nil || n < 1 {
				fail(key, "got %s, want a number from 1", v)
				continue
			}
			h.Retries = n
		default:
			hint := ""
			if s := schema.Suggest(key, healthKeys); s != "" {
				hint = fmt.Sprintf(" (did you mean %q?)", s)
			}
			fail(key, "got an unknown key, want one of %s%s", strings.Join(healthKeys, ", "), hint)
		}
	}
	if d["test"] == nil {
		errs = append(errs, c.ArgErrorf("healthcheck", "got no \"test\", want the command that tells whether the container is healthy"))
	}
	return h, errors.Join(errs...)
}

func words(v starlark.Value) ([]string, bool) {
	list, ok := v.(starlark.Indexable)
	if _, isString := v.(starlark.String); !ok || isString {
		return nil, false
	}
	out := make([]string, list.Len())
	for i := range out {
		s, ok := list.Index(i).(starlark.String)
		if !ok {
			return nil, false
		}
		out[i] = string(s)
	}
	return out, true
}
