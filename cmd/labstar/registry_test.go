package main

import (
	"bufio"
	"context"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/authn"
	"github.com/google/go-containerregistry/pkg/name"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// miaHash is of the password "secret".
const miaHash = "$2a$05$5TNX7hQ0eAL1aXf6bJfR1.azEWYqjMh/qBcKKwqzuG3xRsNnI8m3."

const served = `
prog = tree({"bin/hello": text("#!/bin/sh\necho hi\n"), "bin/sh": "not a shell\n"}, modes = {"bin/*": 0o755})
web = oci_image([prog], name = "lab/web:1.0", entrypoint = ["/bin/hello"])
`

// startRegistry runs `labstar registry` for the script until the test ends it, and
// returns the reference that it serves.
func startRegistry(t *testing.T, flags ...string) (cmd *exec.Cmd, ref string, stderr func() string) {
	t.Helper()
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "lab.star"), []byte(served), 0o600); err != nil {
		t.Fatal(err)
	}
	cmd = exec.Command(os.Args[0], append([]string{"registry", "--listen", "127.0.0.1:0", "--json"}, flags...)...)
	cmd.Args[0] = "labstar" // as which the test's binary is labstar
	exe := filepath.Join(dir, "labstar")
	if err := os.Symlink(mustAbs(t, os.Args[0]), exe); err != nil {
		t.Fatal(err)
	}
	cmd.Path, cmd.Dir = exe, dir
	cmd.Env = append(os.Environ(), "LABSTAR_CACHE="+filepath.Join(dir, "cache"), "HOME="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	errs, err := os.Create(filepath.Join(dir, "stderr"))
	if err != nil {
		t.Fatal(err)
	}
	defer errs.Close()
	cmd.Stderr = errs
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		}
	})
	lines := bufio.NewScanner(out)
	for lines.Scan() {
		var ev struct{ Event, Ref string }
		if json.Unmarshal(lines.Bytes(), &ev) == nil && ev.Event == "served" {
			go func() { _, _ = io.Copy(io.Discard, out) }()
			return cmd, ev.Ref, func() string {
				b, _ := os.ReadFile(errs.Name())
				return string(b)
			}
		}
	}
	b, _ := os.ReadFile(errs.Name())
	t.Fatalf("labstar registry ended:\n%s", b)
	return nil, "", nil
}

func mustAbs(t *testing.T, path string) string {
	t.Helper()
	abs, err := filepath.Abs(path)
	if err != nil {
		t.Fatal(err)
	}
	return abs
}

// An image is pulled from labstar's own registry, which ends well on Ctrl-C.
func TestRegistryServes(t *testing.T) {
	cmd, ref, stderr := startRegistry(t)
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	img, err := remote.Image(r)
	if err != nil {
		t.Fatal(err)
	}
	if err := validate.Image(img); err != nil {
		t.Error(err)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	if err := cmd.Wait(); err != nil {
		t.Errorf("after Ctrl-C: %v\n%s", err, stderr())
	}
}

// Who has to log in and doesn't is told so, as the specification says.
func TestRegistryUsers(t *testing.T) {
	users := filepath.Join(t.TempDir(), "users")
	if err := os.WriteFile(users, []byte("mia:"+miaHash+"\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, ref, _ := startRegistry(t, "--htpasswd", users)
	r, err := name.ParseReference(ref, name.Insecure)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	for password, want := range map[string]bool{"secret": true, "wrong": false} {
		_, err := remote.Get(r, remote.WithContext(ctx), remote.WithAuth(&authn.Basic{Username: "mia", Password: password}))
		if (err == nil) != want {
			t.Errorf("password %s: got %v", password, err)
		}
	}
	resp, err := http.Get("http://" + strings.Split(ref, "/")[0] + "/v2/_catalog")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != http.StatusUnauthorized || !strings.Contains(string(body), `"code":"UNAUTHORIZED"`) {
		t.Errorf("got %s %s", resp.Status, body)
	}
}
