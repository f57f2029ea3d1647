package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os/exec"
	"runtime"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	ggcr "github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/validate"
	"github.com/klauspost/compress/gzip"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/format/dynlink/elftest"
	"github.com/labstar/labstar/starlark/schema"
)

func predeclared(lab *buildtest.Lab, page string) starlark.StringDict {
	return starlark.StringDict{
		"root": lab.Tree(map[string]buildtest.Node{
			"bin/busybox":   {Text: elftest.File{}.String() + strings.Repeat("program", 8000), Mode: 0o4755},
			"bin/sh":        {Target: "busybox"},
			"tmp/":          {Mode: 0o1777},
			"home/lab/note": {Text: "mine", UID: 1000, GID: 1000, Mode: 0o600},
			"usr/bin/ping":  {Text: "x", Mode: 0o755, Xattrs: []action.Xattr{{Name: "security.capability", Value: []byte("\x01\x00\x00\x02")}}},
			"etc/" + strings.Repeat("long/", 30) + "name": {Text: "deep"},
		}),
		"pages": lab.Tree(map[string]buildtest.Node{"srv/www/index.html": {Text: page}}),
		"accounts": lab.Tree(map[string]buildtest.Node{
			"etc/passwd": {Text: "root:x:0:0::/root:/bin/sh\nlab:x:1000:1000::/home/lab:/bin/sh\n"},
			"etc/group":  {Text: "root:x:0:\naudio:x:29:lab\n"},
		}),
		"wh":    lab.Tree(map[string]buildtest.Node{"srv/.wh.x": {Text: "x"}}),
		"afile": lab.File("x"),
		"late":  schema.LateText(lab.File("from a build").Artifact),
	}
}

const script = `image = oci_image([root, pages], name = "registry.lan:5000/lab/web:1.0", entrypoint = ["/bin/sh", "-c"], cmd = ["echo"],
    env = {"B": "2", "A": late}, user = "1000:1000", workdir = "/srv", ports = [80, "53/udp"], volumes = ["/data"],
    labels = {"maintainer": "me"}, annotations = {"org.opencontainers.image.title": "web"}%s)`

func build(t *testing.T, more string) (*buildtest.Lab, starlark.StringDict) {
	t.Helper()
	lab := buildtest.New(t)
	return lab, lab.Eval(Builtins(), strings.Replace(script, "%s", more, 1), predeclared(lab, "page"))
}

func TestImageIsValid(t *testing.T) {
	for _, more := range []string{"", `, compression = "none"`, `, compression = "zstd"`} {
		lab, g := build(t, more)
		root := lab.Build(g["image"])
		dir, err := lab.Store.TreePath(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		path, err := ggcr.FromPath(dir)
		if err != nil {
			t.Fatal(err)
		}
		index, err := path.ImageIndex()
		if err != nil {
			t.Fatal(err)
		}
		// The validator reads gzip alone; of the others it checks what is not in layers.
		var opts []validate.Option
		if more != "" {
			opts = append(opts, validate.Fast)
		}
		if err := validate.Index(index, opts...); err != nil {
			t.Errorf("%s: %v", more, err)
		}
	}
}

func TestImageContent(t *testing.T) {
	lab, g := build(t, "")
	image := g["image"].(*schema.Artifact)
	config, _ := image.Attr("config")
	cf, err := v1.ParseConfigFile(strings.NewReader(lab.Text(config)))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := strings.Join(cf.Config.Env, " "), "PATH="+defaultPath+" A=from a build B=2"; got != want {
		t.Errorf("got environment %s, want %s", got, want)
	}
	if _, ok := cf.Config.ExposedPorts["53/udp"]; !ok || len(cf.Config.ExposedPorts) != 2 || cf.Config.User != "1000:1000" || cf.OS != "linux" {
		t.Errorf("got configuration %+v", cf.Config)
	}
	if !cf.Created.Equal(epoch) || len(cf.RootFS.DiffIDs) != 2 {
		t.Errorf("got created %v and %d layers", cf.Created, len(cf.RootFS.DiffIDs))
	}
	tag, _ := image.Attr("tag")
	if tag != starlark.String("registry.lan:5000/lab/web:1.0") {
		t.Errorf("got tag %v", tag)
	}
	ref, _ := image.Attr("ref")
	s, err := lab.Scope().Substitute(string(ref.(starlark.String)), func(r action.Ref) (string, error) {
		return lab.Text(schema.NewArtifact(r.Artifact, "file", nil)), nil
	})
	manifest, _ := image.Attr("manifest")
	if want := "registry.lan:5000/lab/web@" + action.Of([]byte(lab.Text(manifest))).String(); err != nil || s != want {
		t.Errorf("got ref %s, %v, want %s", s, err, want)
	}
	const golden = "sha256:8f9d93ddb49f7dcf2a6ded8ce97c93c3b89e07576cae8a4962bbc72aaec505bb"
	if got := s[strings.Index(s, "@")+1:]; got != golden {
		t.Errorf("got digest %s, want %s: if that is meant, raise the Version of %s and %s", got, golden, layerOp.Name, imageOp.Name)
	}
}

// TestLayer reads the first layer back and compares it with the tree.
func TestLayer(t *testing.T) {
	lab, g := build(t, "")
	lab.Build(g["image"])
	r, err := gzip.NewReader(bytes.NewReader(lab.Blob(layerOf(t, lab, g, 0))))
	if err != nil {
		t.Fatal(err)
	}
	tr := tar.NewReader(r)
	got := map[string]*tar.Header{}
	last := ""
	for {
		h, err := tr.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		if !h.ModTime.Equal(epoch) {
			t.Errorf("%s: got time %v, want %v", h.Name, h.ModTime, epoch)
		}
		if h.Name < last && strings.HasPrefix(h.Name, last) {
			t.Errorf("%s comes after %s", h.Name, last)
		}
		got[h.Name], last = h, h.Name
	}
	if h := got["bin/busybox"]; h == nil || h.Mode != 0o4755 || h.Size < 56000 {
		t.Errorf("bin/busybox: got %+v", h)
	}
	if h := got["home/lab/note"]; h == nil || h.Uid != 1000 || h.Mode != 0o600 {
		t.Errorf("home/lab/note: got %+v", h)
	}
	if h := got["usr/bin/ping"]; h == nil || h.PAXRecords["SCHILY.xattr.security.capability"] != "\x01\x00\x00\x02" {
		t.Errorf("usr/bin/ping: got %+v", h)
	}
	if h := got["tmp/"]; h == nil || h.Mode != 0o1777 {
		t.Errorf("tmp/: got %+v", h)
	}
	if h := got["etc/"+strings.Repeat("long/", 30)+"name"]; h == nil {
		t.Error("the deep file is missing")
	}
}

// layerOf returns the digest of a layer's blob.
func layerOf(t *testing.T, lab *buildtest.Lab, g starlark.StringDict, i int) action.Digest {
	t.Helper()
	for _, in := range g["image"].(*schema.Artifact).Action.Inputs {
		if in.Name == "layer"+string(rune('0'+i)) {
			return lab.Build(schema.NewArtifact(in.Artifact, "file", nil))
		}
	}
	t.Fatalf("no layer %d", i)
	return action.Digest{}
}

// TestOnlyTheChangedLayer: another page leaves the first layer's action as it was.
func TestOnlyTheChangedLayer(t *testing.T) {
	lab := buildtest.New(t)
	src := strings.Replace(script, "%s", "", 1)
	one := lab.Eval(Builtins(), src, predeclared(lab, "page"))
	first := lab.Build(one["image"])
	two := lab.Eval(Builtins(), src, predeclared(lab, "changed page"))
	rep, err := lab.Engine.Build(context.Background(), []*action.Artifact{two["image"].(*schema.Artifact).Artifact})
	if err != nil {
		t.Fatal(err)
	}
	if rep.Ran != 4 {
		t.Errorf("%d actions ran, want 4: the search for secrets in the page, the check, the page's layer and the image", rep.Ran)
	}
	if second := lab.Build(two["image"]); second == first {
		t.Error("the image is the same with another page")
	}
}

func TestSameBytesWhateverTheCores(t *testing.T) {
	var digests []action.Digest
	for _, procs := range []int{1, 8} {
		old := runtime.GOMAXPROCS(procs)
		lab, g := build(t, `, compression = "zstd"`)
		digests = append(digests, lab.Build(g["image"]))
		runtime.GOMAXPROCS(old)
	}
	if digests[0] != digests[1] {
		t.Errorf("got %s with 1 and %s with 8", digests[0], digests[1])
	}
}

func TestReadBySkopeo(t *testing.T) {
	bin, err := exec.LookPath("skopeo")
	if err != nil {
		t.Skip("no skopeo on this machine")
	}
	lab, g := build(t, "")
	dir, err := lab.Store.TreePath(t.Context(), lab.Build(g["image"]))
	if err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(bin, "inspect", "oci:"+dir+":1.0").CombinedOutput()
	if err != nil || !strings.Contains(string(out), `"maintainer": "me"`) {
		t.Errorf("skopeo inspect: %v\n%s", err, out)
	}
}

func TestErrors(t *testing.T) {
	for args, want := range map[string]string{
		`[root], name = "Lab/Web"`:                       `name: got "Lab/Web", want lower case (did you mean "lab/web"?)`,
		`[root], name = "a b"`:                           `name: got "a b", want [REGISTRY/]NAME[:TAG]`,
		`[root], name = "a@sha256:00"`:                   `with a digest, want NAME:TAG`,
		`[], name = "a"`:                                 `layers: got none`,
		`[afile], name = "a"`:                            `layers[0]: got a file, want a tree`,
		`[root], name = "a", ports = [0]`:                `ports[0]: got the port 0`,
		`[root], name = "a", ports = ["80/http"]`:        `got the protocol "http", want tcp, udp or sctp`,
		`[root], name = "a", ports = [None]`:             `got NoneType, want a number`,
		`[root], name = "a", workdir = "srv"`:            `workdir: got "srv", want an absolute path`,
		`[root], name = "a", volumes = ["data"]`:         `volumes[0]: got "data"`,
		`[root], name = "https://registry.lan/lab/web"`:  `name: got "https://registry.lan/lab/web", want [REGISTRY/]NAME[:TAG], without https:// (did you mean "registry.lan/lab/web"?)`,
		`[root], name = "a", platform = "linux/x86_64"`:  `platform: got the architecture "x86_64", which engines call "amd64"`,
		`[root], name = "a", platform = "linux/aarch64"`: `platform: got the architecture "aarch64", which engines call "arm64"`,
		`[root], name = "a", platform = "linux"`:         `platform: got "linux", want OS/ARCH`,
		`[root], name = "a", env = {"A=B": ""}`:          `want one without '='`,
		`[root], name = "a", env = {"PAGE": afile}`:      `an artifact has no path here`,
		`[root], name = "a", entrypoint = [str(afile)]`:  `entrypoint[0]`,
		`[root], name = "a", compression = "xz"`:         `want one of "gzip", "zstd", "none"`,
	} {
		lab := buildtest.New(t)
		_, err := lab.TryEval(Builtins(), "i = oci_image("+args+")", predeclared(lab, "page"))
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", args, err, want)
		}
	}
	for args, want := range map[string]string{
		`[root], name = "a", entrypoint = ["/bin/bash"]`:                  `checking entrypoint: in the layers, "/bin/bash" is not there`,
		`[root, pages], name = "a", cmd = ["/srv/www/index.html"]`:        `checking cmd: in the layers, "/srv/www/index.html" has no run bit`,
		`[root], name = "a", cmd = ["bash"]`:                              `"bash" is in no folder of the image's PATH`,
		`[root], name = "a", cmd = ["www/x"], workdir = "/srv"`:           `"/srv/www/x" is not there`,
		`[root], name = "a", cmd = ["sh"], user = "www"`:                  `the layers have no user "www" in /etc/passwd`,
		`[root, accounts], name = "a", user = "labb:1"`:                   `no user "labb" (did you mean "lab"?)`,
		`[root, accounts], name = "a", user = "lab:adio"`:                 `no group "adio" (did you mean "audio"?)`,
		`[root, accounts], name = "a", cmd = ["sh"], user = "lab:audio"`:  ``,
		`[root, accounts], name = "a", cmd = ["sh"], user = "1000:audio"`: ``,
	} {
		lab := buildtest.New(t)
		g := lab.Eval(Builtins(), "i = oci_image("+args+")", predeclared(lab, "page"))
		_, err := lab.TryBuild(g["i"])
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", args, err, want)
		}
	}
	lab := buildtest.New(t)
	g := lab.Eval(Builtins(), `i = oci_image([wh], name = "a")`, predeclared(lab, "page"))
	if _, err := lab.TryBuild(g["i"]); err == nil || !strings.Contains(err.Error(), `would delete "x" from the layers below`) {
		t.Errorf("whiteout: got %v", err)
	}
}

func BenchmarkChangedPage(b *testing.B) {
	lab := buildtest.New(b)
	src := strings.Replace(script, "%s", "", 1)
	for i := 0; b.Loop(); i++ {
		g := lab.Eval(Builtins(), src, predeclared(lab, strings.Repeat("page ", 1+i%4000)))
		lab.Build(g["image"])
	}
}
