package examples

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-containerregistry/pkg/name"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/remote"
	"github.com/google/go-containerregistry/pkg/v1/validate"

	"github.com/labstar/labstar/internal/bomtest"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/registry/registrytest"
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
	t.Run("attested", func(t *testing.T) { pushAttested(t, l) })
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
	for name, check := range map[string]func([]byte){
		"spdx":      func(b []byte) { bomtest.SPDX(t, b) },
		"cyclonedx": func(b []byte) { bomtest.CycloneDX(t, b) },
	} {
		b, err := os.ReadFile(out(name))
		if err != nil {
			t.Fatal(err)
		}
		check(b)
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

// pushAttested pushes the image with what is attested of it, to a registry that has no
// list of referrers and to one that has. Others find all three documents by the image's
// digest, with every byte.
func pushAttested(t *testing.T, l *lab) {
	for kind, start := range map[string]func(testing.TB) string{"docker-registry": registrytest.Docker, "strict": registrytest.Strict} {
		t.Run(kind, func(t *testing.T) {
			host := strings.TrimPrefix(start(t), "http://")
			got := l.pushed("images.star", "attested", "--registry", host)
			if got["referrers"] != 3.0 {
				t.Errorf("the push: %v", got)
			}
			repo := host + "/labstar-e2e/web"
			subject, err := name.NewDigest(fmt.Sprintf("%s@%s", repo, got["digest"]), name.Insecure)
			if err != nil {
				t.Fatal(err)
			}
			if kind == "docker-registry" {
				need(t, "skopeo")
				tag := strings.Replace(subject.DigestStr(), ":", "-", 1)
				raw := tool(t, "skopeo", "inspect", "--raw", "--tls-verify=false", "docker://"+repo+":"+tag)
				if n := strings.Count(raw, `"artifactType"`); n != 3 {
					t.Errorf("skopeo finds %d referrers in %s", n, raw)
				}
			}
			index, err := remote.Referrers(subject)
			if err != nil {
				t.Fatal(err)
			}
			list, err := index.IndexManifest()
			if err != nil {
				t.Fatal(err)
			}
			want := map[string]string{
				"application/spdx+json": "spdx", "application/vnd.cyclonedx+json": "cyclonedx", "application/vnd.in-toto+json": "provenance",
			}
			for _, d := range list.Manifests {
				file, ok := want[d.ArtifactType]
				if !ok {
					t.Errorf("a referrer of the type %q", d.ArtifactType)
					continue
				}
				delete(want, d.ArtifactType)
				manifest, err := remote.Image(subject.Context().Digest(d.Digest.String()))
				if err != nil {
					t.Fatal(err)
				}
				layers, err := manifest.Layers()
				if err != nil || len(layers) != 1 {
					t.Fatalf("%s has the layers %v: %v", d.ArtifactType, layers, err)
				}
				blob, err := layers[0].Compressed()
				if err != nil {
					t.Fatal(err)
				}
				there, err := io.ReadAll(blob)
				blob.Close()
				here, err2 := os.ReadFile(filepath.Join(l.dir, "out", file))
				if err := errors.Join(err, err2); err != nil {
					t.Fatal(err)
				}
				if !bytes.Equal(there, here) {
					t.Errorf("what the registry has as %s is not out/%s", d.ArtifactType, file)
				}
			}
			if len(want) > 0 {
				t.Errorf("the registry has no %v", want)
			}
		})
	}
}

// anywhereScript has a layer of each kind: Debian's packages, npm's, files.
const anywhereScript = `
_packages = debian_layer(["busybox-static", "ca-certificates"])
_modules = tree({"srv": npm_packages(lock = file("package-lock.json"))})
_files = tree({"srv/index.js": "1\n", "srv/data": glob(dir = "data")}, owners = {"srv/data": "1000:1000"})
_both = {"a": oci_image([_packages, _modules, _files], name = "labstar-e2e/anywhere:1", cmd = ["/bin/busybox", "true"]),
         "b": oci_image([_packages, _files], name = "labstar-e2e/anywhere:2", cmd = ["/bin/busybox", "true"], compression = "zstd")}
gzip = _both["a"]
zstd = _both["b"]
archive = gzip.archive
spdx = gzip.sbom.spdx
provenance = gzip.provenance
`

// Another folder, another store, one core, another time zone: the same images.
func TestImagesAnywhere(t *testing.T) {
	endToEnd(t)
	registry := buildtest.NpmSettings(t)("npm.registry")
	var lock []byte
	digests := make([]map[string]string, 2)
	for i := range digests {
		l := newLab(t, "tiny", sharedStore(t))
		l.env = append(l.env, "LABSTAR_NPM_REGISTRY="+registry)
		if i == 0 {
			succeed(t, os.Remove(filepath.Join(l.dir, "lab.lock")))
		} else {
			l.store = filepath.Join(t.TempDir(), "store")
			l.env = append(l.env, "GOMAXPROCS=1", "TZ=Asia/Tokyo", "LC_ALL=tr_TR.UTF-8")
			succeed(t, os.WriteFile(filepath.Join(l.dir, "lab.lock"), lock, 0o600))
		}
		succeed(t, os.Mkdir(filepath.Join(l.dir, "data"), 0o700))
		for n := range 50 {
			content, _ := registrytest.Layer(uint64(n), 100_000)
			succeed(t, os.WriteFile(filepath.Join(l.dir, "data", fmt.Sprint(n)), content, 0o600))
		}
		packages, err := os.ReadFile("chat/backend/package-lock.json")
		succeed(t, err)
		succeed(t, os.WriteFile(filepath.Join(l.dir, "package-lock.json"), packages, 0o600))
		l.writeScript("images.star", anywhereScript)
		digests[i] = l.run("images.star").digests()
		lock, err = os.ReadFile(filepath.Join(l.dir, "lab.lock"))
		succeed(t, err)
	}
	if len(digests[0]) != 5 || !maps.Equal(digests[0], digests[1]) {
		t.Errorf("got %v and %v", digests[0], digests[1])
	}
}

func succeed(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
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
	if page := firstPage(addr); string(page) != "a page of the image\n" {
		t.Errorf("the container served %q", page)
	}
}
