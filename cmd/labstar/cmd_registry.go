package main

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/google/go-containerregistry/pkg/name"
	"github.com/spf13/pflag"

	"github.com/labstar/labstar/internal/registry/serve"
	"github.com/labstar/labstar/internal/term"
)

func registryCommand() command {
	return command{
		name: "registry", args: "[FILE] [TARGET…]",
		short: "serve images to other machines, straight from the store",
		long: `
Builds the targets that are images, all if none are named, and serves them as a
registry that can only be read, with no copy, until Ctrl-C. An image is there by the
path of its name: "registry.lan:5000/web:1.0" as web:1.0, "lab/web:1.0" as lab/web:1.0.
Nothing else of the store can be read.

What it prints first can be pasted on the nodes: containerd and Docker then ask this
machine for the images, by the names that manifests have.

By default only this machine can reach it; --listen :5000 serves the network. With
--htpasswd who reads has to log in: TLS keeps the passwords from the wire.`,
		examples: `
labstar registry
labstar registry examples/tiny/lab.star image --listen :5000
labstar registry --listen :5443 --tls-cert lab.crt --tls-key lab.key --htpasswd users`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &registryOptions{imageOptions: newImageOptions(a)}
			fs.StringVar(&o.listen, "listen", "127.0.0.1:5000", "`ADDRESS` to listen on; :5000 is every address of this machine")
			fs.StringVar(&o.cert, "tls-cert", "", "`file` with the certificate, and those that lead to its authority (PEM)")
			fs.StringVar(&o.key, "tls-key", "", "`file` with the certificate's key (PEM)")
			fs.StringVar(&o.htpasswd, "htpasswd", "", "`file` with the users and their passwords, as `htpasswd -B` writes it")
			a.jsonFlag(fs)
			o.buildFlags(fs)
			return o.run
		},
	}
}

// registryOptions are the flags of registry.
type registryOptions struct {
	imageOptions
	listen, cert, key, htpasswd string
}

func (o *registryOptions) run(ctx context.Context, args []string) (err error) {
	file, names := splitFile(args)
	if (o.cert == "") != (o.key == "") {
		return usagef("registry", "got one of --tls-cert and --tls-key, want both or none")
	}
	host, _, err := net.SplitHostPort(o.listen)
	if err != nil {
		return usagef("registry", "--listen: got %q, want [HOST]:PORT, as :5000", o.listen)
	}
	server := serve.New()
	if server.Users, err = o.users(); err != nil {
		return err
	}
	// What speaks against listening is told before anything is built.
	listener, err := o.open(ctx)
	if err != nil {
		return err
	}
	defer func() { _ = listener.Close() }() // the server has closed it by then
	images, err := o.images(ctx, file, names)
	defer func() { err = o.close(err) }()
	if err != nil {
		return err
	}
	if err := add(server, images); err != nil {
		return err
	}
	a := o.app
	server.Log = o.log
	at := mirror{address: reachable(listener.Addr(), host), scheme: "http", users: server.Users != nil, loopback: isLoopback(host)}
	if o.cert != "" {
		at.scheme = "https"
	}
	if err := o.announce(at, images); err != nil {
		return err
	}
	if server.Users != nil && o.cert == "" && !at.loopback {
		a.say("warning: passwords go over the network in clear: add --tls-cert and --tls-key")
	}
	return serveUntil(ctx, listener, server)
}

func (o *registryOptions) users() (*serve.Users, error) {
	if o.htpasswd == "" {
		return nil, nil
	}
	f, err := os.Open(o.htpasswd)
	if err != nil {
		return nil, fmt.Errorf("reading the users: %w", err)
	}
	defer f.Close()
	u, err := serve.ReadUsers(f)
	if err != nil {
		return nil, fmt.Errorf("reading %s: %w", o.htpasswd, err)
	}
	return u, nil
}

// open listens.
func (o *registryOptions) open(ctx context.Context) (net.Listener, error) {
	var config *tls.Config
	if o.cert != "" {
		pair, err := tls.LoadX509KeyPair(o.cert, o.key)
		if err != nil {
			return nil, fmt.Errorf("reading the certificate: %w", err)
		}
		config = &tls.Config{Certificates: []tls.Certificate{pair}, NextProtos: []string{"h2", "http/1.1"}, MinVersion: tls.VersionTLS12}
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", o.listen)
	if err != nil {
		return nil, fmt.Errorf("listening on %s: %w; choose another address with --listen", o.listen, err)
	}
	if config != nil {
		l = tls.NewListener(l, config)
	}
	return l, nil
}

// add gives the images out by the paths of their names. An official image of
// Docker Hub is "library/nginx" to a mirror and "nginx" to people: it is both.
func add(s *serve.Server, images []builtImage) error {
	for _, img := range images {
		if img.Name == (name.Tag{}) {
			return fmt.Errorf("%s has no name, by which it could be asked for", img.target)
		}
		path := img.Name.RepositoryStr()
		paths := []string{path}
		if short, ok := strings.CutPrefix(path, "library/"); ok {
			paths = append(paths, short)
		}
		for _, p := range paths {
			if err := s.Add(img.Image, p, img.Name.TagStr()); err != nil {
				return err
			}
		}
	}
	return nil
}

// serveUntil serves until ctx is done, and lets transfers that are about to end.
func serveUntil(ctx context.Context, l net.Listener, h http.Handler) error {
	server := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second, IdleTimeout: 2 * time.Minute}
	ended := make(chan error, 1)
	go func() { ended <- server.Serve(l) }()
	select {
	case err := <-ended:
		return fmt.Errorf("serving: %w", err)
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), 300*time.Millisecond)
	defer cancel()
	if err := server.Shutdown(grace); err != nil && !errors.Is(err, context.DeadlineExceeded) {
		return fmt.Errorf("ending: %w", err)
	}
	_ = server.Close() // cuts what Shutdown left
	return nil
}

// accessEvent is a request that was answered.
type accessEvent struct {
	Event  string `json:"event"` // "request"
	From   string `json:"from"`
	Method string `json:"method"`
	Path   string `json:"path"`
	Status int    `json:"status"`
	Bytes  int64  `json:"bytes"`
}

func (o *registryOptions) log(r serve.Access) {
	a := o.app
	from, _, err := net.SplitHostPort(r.Remote)
	if err != nil {
		from = r.Remote
	}
	switch {
	case a.json:
		_ = a.events.write(accessEvent{"request", from, r.Method, r.Path, r.Status, r.Bytes}) // standard output is gone
	case !a.quiet:
		a.say("%s %s %s %d %s", from, r.Method, term.Clean(r.Path), r.Status, term.Bytes(r.Bytes))
	}
}

// mirror is where this registry is, as others see it.
type mirror struct {
	scheme, address string
	users, loopback bool
}

// reachable is the address that others can use: of a machine that listens
// everywhere, the first that is not its own alone.
func reachable(l net.Addr, host string) string {
	_, port, err := net.SplitHostPort(l.String())
	if err != nil {
		return l.String()
	}
	if host != "" && host != "0.0.0.0" && host != "::" {
		return net.JoinHostPort(host, port)
	}
	addrs, _ := net.InterfaceAddrs() // without them the name will do
	for _, want4 := range []bool{true, false} {
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if ok && n.IP.IsGlobalUnicast() && (n.IP.To4() != nil) == want4 {
				return net.JoinHostPort(n.IP.String(), port)
			}
		}
	}
	if h, err := os.Hostname(); err == nil {
		return net.JoinHostPort(h, port)
	}
	return net.JoinHostPort("localhost", port)
}

func isLoopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// servedEvent is an image that can be pulled.
type servedEvent struct {
	Event  string `json:"event"` // "served"
	Target string `json:"target"`
	Ref    string `json:"ref"` // at this registry
	Digest string `json:"digest"`
}

// announce prints what is served, and what to paste on the nodes.
func (o *registryOptions) announce(m mirror, images []builtImage) error {
	a := o.app
	var hosts []string
	for _, img := range images {
		ref := m.address + "/" + img.Name.RepositoryStr() + ":" + img.Name.TagStr()
		if a.json {
			if err := a.events.write(servedEvent{"served", img.target, ref, img.Root.Digest.String()}); err != nil {
				return err
			}
			continue
		}
		a.printf("%s  %s@%s\n", img.target, ref, img.Root.Digest)
		if h := img.Name.RegistryStr(); !slices.Contains(hosts, h) {
			hosts = append(hosts, h)
		}
	}
	if a.json {
		return nil
	}
	slices.Sort(hosts)
	for _, h := range hosts {
		a.printf("\n%s", m.containerd(h))
	}
	a.printf("\n%s", m.docker(slices.Contains(hosts, name.DefaultRegistry)))
	if m.loopback && !a.quiet {
		a.say("serving this machine alone at %s://%s; --listen :5000 serves the network; Ctrl-C ends it", m.scheme, m.address)
	} else if !a.quiet {
		a.say("serving at %s://%s; Ctrl-C ends it", m.scheme, m.address)
	}
	return nil
}

// containerd is the file that makes containerd ask here first for the images of
// the registry host.
func (m mirror) containerd(host string) string {
	server := "https://" + host
	if host == name.DefaultRegistry {
		host, server = "docker.io", "https://registry-1.docker.io"
	}
	s := fmt.Sprintf("# containerd: %s\nserver = %q\n\n[host.\"%s://%s\"]\n  capabilities = [\"pull\", \"resolve\"]\n",
		filepath.ToSlash("/etc/containerd/certs.d/"+host+"/hosts.toml"), server, m.scheme, m.address)
	if m.scheme == "https" {
		s += "  # ca = \"/etc/containerd/certs.d/lab-ca.crt\"   # if its authority is your own\n"
	}
	if m.users {
		s += "  [host.\"" + m.scheme + "://" + m.address + "\".header]\n    authorization = [\"Basic BASE64-OF-USER:PASSWORD\"]\n"
	}
	return s
}

// docker is what makes the Docker engine pull from here.
func (m mirror) docker(hub bool) string {
	var lines []string
	if hub {
		lines = append(lines, fmt.Sprintf("  \"registry-mirrors\": [\"%s://%s\"]", m.scheme, m.address))
	}
	if m.scheme == "http" && !m.loopback {
		lines = append(lines, fmt.Sprintf("  \"insecure-registries\": [%q]", m.address))
	}
	if len(lines) == 0 {
		return fmt.Sprintf("# Docker: docker pull %s/NAME:TAG\n", m.address)
	}
	return "# Docker: /etc/docker/daemon.json\n{\n" + strings.Join(lines, ",\n") + "\n}\n"
}
