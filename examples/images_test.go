package examples

import (
	"encoding/json"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
)

// imagesScript makes an image of Debian's packages in every form, and one above it
// that has files of its own and a program that was compiled here.
const imagesScript = `
_nginx = debian_layer(["nginx"])
_gcc = debian_packages(["gcc", "libc6-dev"])
_tool = tree({"usr/bin/hello": run("cc -o hello hello.c", source = tree({"hello.c": "#include <stdio.h>\nint main(void) { puts(\"hello\"); }\n"}), toolchain = _gcc, outputs = "hello")}, modes = {"usr/bin/hello": 0o755})
_page = tree({"var/www/html/index.html": "a page of the image\n"})
web = oci_image([_nginx, _page], name = "labstar-e2e/web:1", entrypoint = ["nginx", "-g", "daemon off;"], ports = [80],
                stop_signal = "SIGQUIT", healthcheck = {"test": ["/usr/sbin/nginx", "-t"], "interval": "30s"})
archive = web.archive
spdx = web.sbom.spdx
cyclonedx = web.sbom.cyclonedx
provenance = web.provenance
attested = web.attested
above = oci_image([_tool], base = web, name = "labstar-e2e/above:1", entrypoint = ["hello"], compression = "zstd")
plain = oci_image([_page], name = "labstar-e2e/plain:1", compression = "none")
both = oci_index([web, oci_image([_page], name = "labstar-e2e/web:1", platform = "linux/arm64")])
`

func TestImages(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "tiny", os.Getenv("LABSTAR_E2E_CACHE"))
	if l.store == "" {
		l.store = filepath.Join(t.TempDir(), "store")
	}
	if err := os.Remove(filepath.Join(l.dir, "lab.lock")); err != nil {
		t.Fatal(err)
	}
	l.writeScript("images.star", imagesScript)
	l.run("images.star")
	out := func(name string) string { return filepath.Join(l.dir, "out", name) }
	if s := l.run("images.star"); s.Ran != 0 {
		t.Errorf("the second run ran %d actions", s.Ran)
	}
	for name, tag := range map[string]string{"web": "1", "above": "1", "plain": "1", "both": "1"} {
		index, err := ggcr.ImageIndexFromPath(out(name))
		if err != nil {
			t.Fatal(err)
		}
		if name == "above" || name == "plain" {
			err = validate.Index(index, validate.Fast) // the validator reads gzip alone
		} else {
			err = validate.Index(index)
		}
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if _, err := exec.LookPath("skopeo"); err == nil {
			tool(t, "skopeo", "inspect", "oci:"+out(name)+":"+tag)
			tool(t, "skopeo", "copy", "--all", "oci:"+out(name)+":"+tag, "dir:"+filepath.Join(t.TempDir(), "copy"))
		}
	}
	t.Run("scan", func(t *testing.T) { sameAsDpkg(t, out) })
	t.Run("docker", func(t *testing.T) { serveArchive(t, out("archive")) })
}

// sameAsDpkg unpacks the image with umoci, and holds the packages that dpkg finds in
// it against those of the bills of materials, which no scan made.
func sameAsDpkg(t *testing.T, out func(string) string) {
	need(t, "umoci", "dpkg-query")
	bundle := filepath.Join(t.TempDir(), "bundle")
	tool(t, "umoci", "unpack", "--rootless", "--image", out("web")+":1", bundle)
	list := tool(t, "dpkg-query", "--admindir", filepath.Join(bundle, "rootfs/var/lib/dpkg"), "-W", "-f", "${Package} ${Version}\n")
	want := strings.Split(strings.TrimSpace(list), "\n")
	slices.Sort(want)
	var spdx struct {
		Packages []struct{ Name, VersionInfo, SPDXID, LicenseDeclared string }
	}
	var cdx struct {
		Components []struct{ Name, Version, Purl string }
	}
	var provenance struct {
		Predicate struct {
			BuildDefinition struct{ ResolvedDependencies []struct{ URI string } }
		}
	}
	for name, into := range map[string]any{"spdx": &spdx, "cyclonedx": &cdx, "provenance": &provenance} {
		b, err := os.ReadFile(out(name))
		if err == nil {
			err = json.Unmarshal(b, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var fromSPDX, fromCDX, unlicensed []string
	for _, p := range spdx.Packages {
		if strings.HasPrefix(p.SPDXID, "SPDXRef-deb-") {
			fromSPDX = append(fromSPDX, p.Name+" "+p.VersionInfo)
			if p.LicenseDeclared == "NOASSERTION" {
				unlicensed = append(unlicensed, p.Name)
			}
		}
	}
	for _, c := range cdx.Components {
		if strings.HasPrefix(c.Purl, "pkg:deb/") {
			fromCDX = append(fromCDX, c.Name+" "+c.Version)
		}
	}
	slices.Sort(fromSPDX)
	slices.Sort(fromCDX)
	if !slices.Equal(fromSPDX, want) || !slices.Equal(fromCDX, want) {
		t.Errorf("dpkg finds %q, SPDX has %q, CycloneDX %q", want, fromSPDX, fromCDX)
	}
	t.Logf("%d packages, and no licence known of %q", len(want), unlicensed)
	if n := len(provenance.Predicate.BuildDefinition.ResolvedDependencies); n < len(want) {
		t.Errorf("the provenance names %d things, want the %d packages at least", n, len(want))
	}
}

// serveArchive has a real engine load the archive and serve the page.
func serveArchive(t *testing.T, archive string) {
	need(t, "docker")
	startDocker(t)
	tool(t, "docker", "load", "-i", archive)
	id := strings.TrimSpace(tool(t, "docker", "run", "-d", "--rm", "-p", "127.0.0.1:0:80", "labstar-e2e/web:1"))
	defer func() { _ = exec.Command("docker", "rm", "-f", id).Run() }()
	addr := strings.TrimSpace(strings.Split(tool(t, "docker", "port", id, "80/tcp"), "\n")[0])
	var page []byte
	for deadline := time.Now().Add(20 * time.Second); time.Now().Before(deadline); time.Sleep(200 * time.Millisecond) {
		resp, err := http.Get("http://" + addr + "/")
		if err != nil {
			continue
		}
		page, _ = io.ReadAll(resp.Body)
		resp.Body.Close()
		break
	}
	if string(page) != "a page of the image\n" {
		t.Errorf("the container served %q", page)
	}
}
