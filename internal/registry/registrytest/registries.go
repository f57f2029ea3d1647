package registrytest

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
)

// Strict starts CUE's registry, an implementation of the distribution
// specification that takes chunks only where it stands and knows referrers, in
// memory. It returns http://HOST:PORT.
func Strict(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(ociserver.New(ocimem.New(), nil))
	t.Cleanup(s.Close)
	return s.URL
}

// Docker starts Debian's docker-registry (distribution 2.8) with its data in a
// folder of the test's, and returns http://HOST:PORT. It skips where there is
// none.
func Docker(t testing.TB) string {
	t.Helper()
	bin, err := exec.LookPath("docker-registry")
	if err != nil {
		t.Skip("needs docker-registry (Debian's package of that name)")
	}
	dir := t.TempDir()
	addr := FreeAddress(t)
	config := fmt.Sprintf("version: 0.1\nlog: {level: error}\nstorage:\n  filesystem: {rootdirectory: %s/data}\n  delete: {enabled: true}\nhttp: {addr: %q, secret: test}\n", dir, addr)
	file := filepath.Join(dir, "config.yml")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	Serve(t, exec.Command(bin, "serve", file), func() bool {
		resp, err := http.Get("http://" + addr + "/v2/")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return "http://" + addr
}

// FreeAddress returns a port of the loopback address that nothing listens on.
func FreeAddress(t testing.TB) string {
	t.Helper()
	s := httptest.NewServer(nil)
	defer s.Close()
	return s.Listener.Addr().String()
}
