// Package docker gives images to a Docker engine over its API, with no more of
// them than it lacks.
//
//	e, err := docker.Connect(os.Getenv)
//	how, err := e.Load(ctx, image, manifest, "lab/web:1.0", progress)
//
// The engine takes a tar as of `docker save`. One that keeps layers itself (the
// usual overlay2) reads no layer of it that it has: so that one is left out. One that
// keeps images in containerd is sent all layers.
package docker

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/docker/cli/cli/connhelper"
)

// Engine is a Docker engine.
type Engine struct {
	Host string // as in DOCKER_HOST
	http *http.Client
	base string
}

// DefaultHost is where an engine listens if nothing says otherwise.
const DefaultHost = "unix:///var/run/docker.sock"

// Connect finds the engine by DOCKER_HOST, DOCKER_CONTEXT and the current context
// (see find), and speaks TLS or through ssh where these say so. Nothing is asked yet.
func Connect(getenv func(string) string) (*Engine, error) {
	p, err := find(getenv)
	if err != nil {
		return nil, err
	}
	e := &Engine{Host: p.host}
	const want = "want unix:///PATH, tcp://HOST:PORT or ssh://USER@HOST"
	u, err := url.Parse(p.host)
	if err != nil {
		return nil, fmt.Errorf("got %q from %s, %s", p.host, p.by, want)
	}
	t := &http.Transport{ResponseHeaderTimeout: 10 * time.Minute}
	e.http = &http.Client{Transport: t}
	switch u.Scheme {
	case "unix":
		path := u.Path
		t.DialContext = func(ctx context.Context, _, _ string) (net.Conn, error) {
			return (&net.Dialer{}).DialContext(ctx, "unix", path)
		}
		e.base = "http://docker"
	case "tcp", "http", "https":
		if t.TLSClientConfig, err = p.tls(); err != nil {
			return nil, err
		}
		e.base = "http://" + u.Host
		if t.TLSClientConfig != nil || u.Scheme == "https" {
			e.base = "https://" + u.Host
		}
	case "ssh":
		// As the docker command does: `docker system dial-stdio` over there, through ssh.
		helper, err := connhelper.GetConnectionHelper(p.host)
		if err != nil {
			return nil, fmt.Errorf("got %q from %s: %w; want ssh://USER@HOST:PORT", p.host, p.by, err)
		}
		t.DialContext, e.base = helper.Dialer, helper.Host
	default:
		return nil, fmt.Errorf("got %q from %s, %s", p.host, p.by, want)
	}
	return e, nil
}

// get asks for a JSON document; found is false for a 404.
func (e *Engine) get(ctx context.Context, path string, into any) (found bool, err error) {
	body, status, err := e.do(ctx, http.MethodGet, path, nil)
	if err != nil || status == http.StatusNotFound {
		return false, err
	}
	return true, json.Unmarshal(body, into)
}

// do makes a request; an answer that is an error, but 404, is one.
func (e *Engine) do(ctx context.Context, method, path string, body io.Reader) ([]byte, int, error) {
	req, err := http.NewRequestWithContext(ctx, method, e.base+path, body)
	if err != nil {
		return nil, 0, err
	}
	if body != nil {
		req.Header.Set("Content-Type", "application/x-tar")
	}
	resp, err := e.http.Do(req)
	if err != nil {
		return nil, 0, e.explain(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(io.LimitReader(resp.Body, 64<<20))
	if err != nil {
		return nil, 0, e.explain(err)
	}
	if resp.StatusCode >= 400 && resp.StatusCode != http.StatusNotFound {
		var m struct{ Message string }
		if json.Unmarshal(b, &m) != nil || m.Message == "" {
			m.Message = string(bytes.TrimSpace(b))
		}
		return nil, resp.StatusCode, fmt.Errorf("the engine at %s answered %d: %s", e.Host, resp.StatusCode, m.Message)
	}
	return b, resp.StatusCode, nil
}

func (e *Engine) explain(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		err = u.Err
	}
	switch {
	case errors.Is(err, context.Canceled):
		return err
	case errors.Is(err, exec.ErrNotFound):
		return fmt.Errorf("no program ssh to speak to the engine at %s: install OpenSSH's client", e.Host)
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission for the engine at %s: %w; join the group docker, or run a rootless engine and set DOCKER_HOST", e.Host, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no engine answers at %s: %w; start it, or say where it is in DOCKER_HOST or with `docker context use`", e.Host, err)
	}
	return fmt.Errorf("speaking to the engine at %s: %w", e.Host, err)
}

// info is what an engine says of itself.
type info struct {
	OSType       string
	Architecture string
	DriverStatus [][2]string
}

// Platform is the operating system and the architecture that the engine runs, in
// the words of images.
func (e *Engine) Platform(ctx context.Context) (goos, arch string, err error) {
	i, err := e.info(ctx)
	if err != nil {
		return "", "", err
	}
	arch = i.Architecture
	if a, ok := map[string]string{"x86_64": "amd64", "aarch64": "arm64", "armv7l": "arm", "i686": "386"}[arch]; ok {
		arch = a
	}
	return i.OSType, arch, nil
}

func (e *Engine) info(ctx context.Context) (*info, error) {
	var i info
	found, err := e.get(ctx, "/info", &i)
	if err == nil && !found {
		err = fmt.Errorf("what answers at %s is no Docker engine", e.Host)
	}
	return &i, err
}

// inContainerd reports whether images are kept by containerd.
func (i *info) inContainerd() bool {
	for _, kv := range i.DriverStatus {
		if kv[0] == "driver-type" && strings.HasPrefix(kv[1], "io.containerd.snapshotter") {
			return true
		}
	}
	return false
}
