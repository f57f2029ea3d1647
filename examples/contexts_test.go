package examples

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/registry/registrytest"
)

// Images go to the engine of the context that the docker command has: over a socket,
// over TLS where both sides prove who they are, and through ssh.
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
	create("shell", "host=ssh://"+sshServer(t, socket))
	create("far", "host=ssh://nobody@far.invalid")
	tool(t, "docker", "context", "use", "socket")

	l := imageLab(t, 1000)
	l.env = append(l.env, "DOCKER_CONFIG="+os.Getenv("DOCKER_CONFIG"), "DOCKER_HOST=", "PATH="+os.Getenv("PATH"))
	load := func(context string) (string, error) {
		cmd := l.command("load")
		cmd.Env = append(cmd.Env, "DOCKER_CONTEXT="+context)
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	if out, err := load(""); err != nil || !strings.Contains(out, "sent (") {
		t.Errorf("into the current context: %v\n%s", err, out)
	}
	for _, context := range []string{"tls", "shell"} {
		if out, err := load(context); err != nil || !strings.Contains(out, "nothing sent, 2 there") {
			t.Errorf("over %s: %v\n%s", context, err, out)
		}
	}
	for context, want := range map[string]string{
		"stranger": "certificate signed by unknown authority",
		"far":      "Could not resolve hostname far.invalid",
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

// sshServer starts an OpenSSH server in which commands speak to the engine at a socket,
// and returns its name for the ssh command: USER@HOST, whom it lets in.
func sshServer(t *testing.T, socket string) string {
	t.Helper()
	need(t, "/usr/sbin/sshd", "ssh", "ssh-keygen")
	dir := t.TempDir()
	write := func(name, text string, mode os.FileMode) {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	for _, key := range []string{"host", "mine"} {
		tool(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(dir, key))
	}
	address := registrytest.FreeAddress(t)
	host, port, _ := strings.Cut(address, ":")
	in := func(text string) string {
		return strings.NewReplacer("{dir}", dir, "{port}", port, "{host}", host, "{socket}", socket).Replace(text)
	}
	write("sshd_config", in("ListenAddress {host}\nPort {port}\nHostKey {dir}/host\nAuthorizedKeysFile {dir}/mine.pub\nPidFile none\n"+
		"StrictModes no\nUsePAM no\nPermitRootLogin prohibit-password\nSetEnv DOCKER_HOST={socket}\n"), 0o600)
	public, err := os.ReadFile(filepath.Join(dir, "host.pub"))
	if err != nil {
		t.Fatal(err)
	}
	write("known_hosts", "["+host+"]:"+port+" "+string(public), 0o600)
	write("config", in("Host engine\n  HostName {host}\n  Port {port}\n  IdentityFile {dir}/mine\n  UserKnownHostsFile {dir}/known_hosts\n"), 0o600)
	write("ssh", in("#!/bin/sh\nexec /usr/bin/ssh -F {dir}/config \"$@\"\n"), 0o755) // ssh takes its settings from nowhere but the real home folder
	t.Setenv("PATH", dir+":"+os.Getenv("PATH"))
	if err := os.MkdirAll("/run/sshd", 0o755); err != nil {
		t.Fatal(err)
	}
	registrytest.Serve(t, exec.Command("/usr/sbin/sshd", "-D", "-e", "-f", filepath.Join(dir, "sshd_config")), func() bool {
		c, err := net.Dial("tcp", address)
		if err == nil {
			_ = c.Close()
		}
		return err == nil
	})
	return strings.TrimSpace(tool(t, "id", "-un")) + "@engine"
}
