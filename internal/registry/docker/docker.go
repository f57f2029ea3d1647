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
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Engine is a Docker engine.
type Engine struct {
	Host string // as in DOCKER_HOST
	http *http.Client
	base string
}

// DefaultHost is where an engine listens if DOCKER_HOST doesn't say otherwise.
const DefaultHost = "unix:///var/run/docker.sock"

// Connect reads DOCKER_HOST, DOCKER_TLS_VERIFY and DOCKER_CERT_PATH as the docker
// command does. Nothing is asked yet.
func Connect(getenv func(string) string) (*Engine, error) {
	e := &Engine{Host: getenv("DOCKER_HOST")}
	if e.Host == "" {
		e.Host = DefaultHost
	}
	u, err := url.Parse(e.Host)
	if err != nil {
		return nil, fmt.Errorf("got DOCKER_HOST=%q, want unix:///PATH or tcp://HOST:PORT", e.Host)
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
		e.base = "http://" + u.Host
		if getenv("DOCKER_TLS_VERIFY") != "" || u.Scheme == "https" {
			if t.TLSClientConfig, err = certificates(getenv("DOCKER_CERT_PATH")); err != nil {
				return nil, err
			}
			e.base = "https://" + u.Host
		}
	default:
		return nil, fmt.Errorf("got DOCKER_HOST=%q, want unix:///PATH or tcp://HOST:PORT; for ssh, forward its socket: ssh -nNT -L /tmp/docker.sock:/var/run/docker.sock HOST", e.Host)
	}
	return e, nil
}

// certificates reads ca.pem, cert.pem and key.pem of a folder.
func certificates(dir string) (*tls.Config, error) {
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if dir == "" {
		return config, nil
	}
	ca, err := os.ReadFile(filepath.Join(dir, "ca.pem"))
	if err != nil {
		return nil, fmt.Errorf("reading DOCKER_CERT_PATH: %w", err)
	}
	config.RootCAs = x509.NewCertPool()
	config.RootCAs.AppendCertsFromPEM(ca)
	pair, err := tls.LoadX509KeyPair(filepath.Join(dir, "cert.pem"), filepath.Join(dir, "key.pem"))
	if err != nil {
		return nil, fmt.Errorf("reading DOCKER_CERT_PATH: %w", err)
	}
	config.Certificates = []tls.Certificate{pair}
	return config, nil
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
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("no permission for the engine at %s: %w; join the group docker, or run a rootless engine and set DOCKER_HOST", e.Host, err)
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return fmt.Errorf("no engine answers at %s: %w; start it, or say where it is in DOCKER_HOST", e.Host, err)
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
