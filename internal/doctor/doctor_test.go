package doctor

import (
	"context"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/sandbox"
)

func examine(t *testing.T, o Options) map[string]Check {
	t.Helper()
	if o.Store == "" {
		o.Store = t.TempDir()
	}
	found := map[string]Check{}
	for _, c := range Examine(context.Background(), o) {
		if c.Status != OK && c.Remedy == "" && c.Name != "KVM" {
			t.Errorf("%s: %s without a remedy: %s", c.Name, c.Status, c.Detail)
		}
		found[c.Name] = c
	}
	return found
}

func TestMirror(t *testing.T) {
	const signed = "-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA256\n\nOrigin: Debian\n"
	for name, c := range map[string]struct {
		answer http.HandlerFunc
		want   Status
		detail string
	}{
		"a mirror":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(signed)) }, OK, "answers in"},
		"a portal":    {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(make([]byte, 100)) }, Warning, "not a signed Release"},
		"nothing":     {http.NotFound, Warning, "404"},
		"hardly more": {func(http.ResponseWriter, *http.Request) {}, Warning, "not a signed Release"},
	} {
		s := httptest.NewServer(c.answer)
		got := examine(t, Options{Mirror: s.URL})["mirror"]
		s.Close()
		if got.Status != c.want || !strings.Contains(got.Detail, c.detail) {
			t.Errorf("%s: got %+v, want %s with %q", name, got, c.want, c.detail)
		}
	}
	s := httptest.NewServer(http.NotFoundHandler())
	s.Close()
	if got := examine(t, Options{Mirror: s.URL})["mirror"]; got.Status != Warning || !strings.Contains(got.Remedy, "LABSTAR_DEBIAN_MIRROR") {
		t.Errorf("a server that is down: got %+v", got)
	}
}

func TestStore(t *testing.T) {
	dir := t.TempDir()
	if c := examine(t, Options{Store: filepath.Join(dir, "not", "yet")})["store"]; c.Status != OK {
		t.Errorf("a folder that is not there yet: got %+v", c)
	}
	if entries, err := os.ReadDir(dir); err != nil || len(entries) > 0 {
		t.Errorf("the check left %v, %v", entries, err)
	}
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if c := examine(t, Options{Store: filepath.Join(file, "store")})["store"]; c.Status != Failed || !strings.Contains(c.Remedy, "LABSTAR_CACHE") {
		t.Errorf("a file in the way: got %+v", c)
	}
}

func TestSandboxFindings(t *testing.T) {
	o := Options{Sandbox: func(context.Context, string) []sandbox.Finding {
		return []sandbox.Finding{{Name: "sandbox", Detail: "user namespaces are forbidden", Remedy: "sudo sysctl …"}, {Name: "overlay", OK: true, Detail: "works"}}
	}}
	found := examine(t, o)
	if c := found["sandbox"]; c.Status != Failed || c.Remedy != "sudo sysctl …" {
		t.Errorf("got %+v", c)
	}
	if Healthy([]Check{found["overlay"], found["sandbox"]}) || !Healthy([]Check{found["overlay"], {Status: Warning}}) {
		t.Error("a failed check must make the machine unhealthy, a warning must not")
	}
}

func TestSystem(t *testing.T) {
	found := examine(t, Options{})
	if runtime.GOOS != "linux" {
		t.Skip("the rest is about Linux")
	}
	if c := found["system"]; !strings.HasPrefix(c.Detail, "Linux ") {
		t.Errorf("got %+v", c)
	}
	if _, err := os.Stat("/dev/kvm"); os.IsNotExist(err) && found["KVM"].Status != Warning {
		t.Errorf("there is no /dev/kvm: got %+v", found["KVM"])
	}
	for _, name := range []string{"disk", "KVM"} {
		if found[name].Detail == "" {
			t.Errorf("nothing about %s", name)
		}
	}
}
