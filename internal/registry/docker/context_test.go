package docker

import (
	"crypto/sha256"
	"encoding/hex"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// settings makes a folder as of Docker's command line, with contexts by name.
func settings(t *testing.T, config string, contexts map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	files := map[string]string{"config.json": config}
	for name, meta := range contexts {
		sum := sha256.Sum256([]byte(name))
		files["contexts/meta/"+hex.EncodeToString(sum[:])+"/meta.json"] = meta
	}
	for name, text := range files {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// The engine is the one that the docker command would speak to.
func TestFind(t *testing.T) {
	dir := settings(t, `{"auths": {}, "currentContext": "rootless"}`, map[string]string{
		"rootless": `{"Name":"rootless","Metadata":{},"Endpoints":{"docker":{"Host":"unix:///run/user/1000/docker.sock","SkipTLSVerify":false}}}`,
		"far":      `{"Name":"far","Endpoints":{"docker":{"Host":"tcp://far:2376","SkipTLSVerify":true}}}`,
		"shell":    `{"Name":"shell","Endpoints":{"docker":{"Host":"ssh://mia@far?x=1"}}}`,
		"cluster":  `{"Name":"cluster","Endpoints":{"kubernetes":{}}}`,
		"broken":   `{`,
	})
	none := settings(t, `{}`, nil)
	for _, test := range []struct {
		env        map[string]string
		want, base string
	}{
		{map[string]string{"DOCKER_CONFIG": none}, DefaultHost, "http://docker"},
		{map[string]string{"HOME": filepath.Join(none, "none")}, DefaultHost, "http://docker"},
		{map[string]string{"DOCKER_CONFIG": dir}, "unix:///run/user/1000/docker.sock", "http://docker"},
		{map[string]string{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "default"}, DefaultHost, "http://docker"},
		{map[string]string{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "far"}, "tcp://far:2376", "https://far:2376"},
		{map[string]string{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": "far", "DOCKER_HOST": "tcp://near:1"}, "tcp://near:1", "http://near:1"},
		{map[string]string{"DOCKER_CONFIG": dir, "DOCKER_HOST": "tcp://near:1", "DOCKER_TLS_VERIFY": "1"}, "tcp://near:1", "https://near:1"},
	} {
		e, err := Connect(func(k string) string { return test.env[k] })
		if err != nil {
			t.Errorf("%v: %v", test.env, err)
		} else if e.Host != test.want || e.base != test.base {
			t.Errorf("%v: got %s by %s, want %s by %s", test.env, e.Host, e.base, test.want, test.base)
		}
	}
	for name, want := range map[string]string{
		"gone":    `DOCKER_CONTEXT names the Docker context "gone", and there is none in ` + dir + ": choose one that `docker context ls` has, or set DOCKER_HOST",
		"cluster": `the Docker context "cluster" has no endpoint of an engine`,
		"broken":  "meta.json: unexpected end of JSON input",
		"shell":   `got "ssh://mia@far?x=1" from the Docker context "shell": `,
	} {
		env := map[string]string{"DOCKER_CONFIG": dir, "DOCKER_CONTEXT": name}
		if _, err := Connect(func(k string) string { return env[k] }); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", name, err, want)
		}
	}
}
