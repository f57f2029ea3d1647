package examples

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/registry/registrytest"
)

// Images go to the engine of the context that the docker command has: over a socket,
// and over TLS where both sides prove who they are.
func TestLoadContexts(t *testing.T) {
	endToEnd(t)
	need(t, "docker", "dockerd")
	keys, strangers := t.TempDir(), t.TempDir()
	certs(t, keys)
	certs(t, strangers)
	address := "tcp://" + registrytest.FreeAddress(t)
	files := func(dir, ca, cert, key, sep string) []string {
		return []string{ca + sep + filepath.Join(dir, "authority.crt"), cert + sep + filepath.Join(keys, "lab.crt"), key + sep + filepath.Join(keys, "lab.key")}
	}
	startDocker(t, append(files(keys, "--tlscacert", "--tlscert", "--tlskey", "="), "--tlsverify", "-H", address)...)
	t.Setenv("DOCKER_CONFIG", t.TempDir())
	socket := os.Getenv("DOCKER_HOST")
	t.Setenv("DOCKER_HOST", "")
	create := func(name, endpoint string) { tool(t, "docker", "context", "create", name, "--docker", endpoint) }
	over := func(dir string) string {
		return "host=" + address + "," + strings.Join(files(dir, "ca", "cert", "key", "="), ",")
	}
	create("socket", "host="+socket)
	create("tls", over(keys))
	create("stranger", over(strangers))
	create("far", "host=ssh://mia@far")
	tool(t, "docker", "context", "use", "socket")

	l := imageLab(t, 1000)
	l.env = append(l.env, "DOCKER_CONFIG="+os.Getenv("DOCKER_CONFIG"), "DOCKER_HOST=")
	load := func(context string) (string, error) {
		cmd := l.command("load")
		cmd.Env = append(cmd.Env, "DOCKER_CONTEXT="+context)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := load(""); err != nil || !strings.Contains(out, "sent (") {
		t.Errorf("into the current context: %v\n%s", err, out)
	}
	if out, err := load("tls"); err != nil || !strings.Contains(out, "nothing sent, 2 there") {
		t.Errorf("over TLS: %v\n%s", err, out)
	}
	for context, want := range map[string]string{
		"stranger": "certificate signed by unknown authority",
		"far":      "forward its socket with `ssh -nNT",
		"gone":     "DOCKER_CONTEXT names the Docker context \"gone\", and there is none",
	} {
		if out, err := load(context); err == nil || !strings.Contains(out, want) {
			t.Errorf("into the context %s: %v, want %q\n%s", context, err, want, out)
		}
	}
	if out := tool(t, "docker", "--context", "tls", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}"); !strings.Contains(out, "lab/web:1.0") {
		t.Errorf("docker has the images\n%s", out)
	}
}
