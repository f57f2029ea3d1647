package toolchain

import (
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/lock"
	"github.com/labstar/labstar/starlark/schema"
)

// layerPackages fills m with packages whose maintainer scripts would do something.
func layerPackages(m *mirror) {
	m.deb("nginx", "1", "Depends: libc", "./usr/sbin/nginx", "nginx", "./etc/nginx/sites-available/default", "server {}",
		"./etc/nginx/sites-enabled/x", "x", "./var/log/nginx/x", "x", "./usr/share/nginx/html/index.html", "hello",
		"./usr/share/doc/nginx/copyright", "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n\nLicense: BSD-2-clause\n\nLicense: GPL-2+ or Expat\n",
		"./usr/share/doc/nginx/README", "read me")
	m.deb("pg", "1", "", "./usr/lib/postgresql/17/bin/postgres", "pg", "./usr/share/postgresql-common/x", "x", "./etc/postgresql/x", "x",
		"./usr/lib/sysusers.d/pg.conf", "u pgagent - \"the agent\" /var/lib/pg -\ng pgadmin 400\nm pgagent pgadmin\n",
		"./usr/lib/tmpfiles.d/pg.conf", "# x\nd /var/run/pg 2775 postgres adm -\nL /var/lib/pg/link - - - - /etc/pg\nf /var/lib/pg/file 0600 pgagent - - text\nd /home/x\n",
		"./usr/share/doc/pg", "-> nginx")
	m.deb("ca", "1", "", "./usr/share/ca-certificates/mozilla/b.crt", "B", "./usr/share/ca-certificates/mozilla/a.crt", "A\n",
		"./usr/share/zoneinfo/Etc/UTC", "TZif")
	system(m)
}

func TestLayer(t *testing.T) {
	m := newMirror(t)
	layerPackages(m)
	lab := buildtest.New(t, m.get)
	f := lock.New()
	g, list, err := build(t, lab, m, f, `tools = debian_layer(["nginx", "pg", "ca"], essential = False)`)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"usr/sbin/nginx file 755 0:0 5", "etc/nginx/sites-enabled/default symlink 777 0:0 -> /etc/nginx/sites-available/default",
		"var/log/nginx directory 755 0:4", "var/www/html/index.nginx-debian.html file 644 0:0 5",
		"etc/localtime symlink 777 0:0 -> /usr/share/zoneinfo/Etc/UTC", "etc/ssl/certs/ca-certificates.crt file 644 0:0 4",
		"tmp directory 1777 0:0", "lib symlink 777 0:0 -> usr/lib", "home/nonroot directory 700 65532:65532",
		"usr/share/doc/nginx/copyright file 755 0:0", "var/lib/dpkg/status file 644 0:0", "var/lib/dpkg/info/nginx.list file 644 0:0",
		"run/postgresql directory 2775 ", "var/log/postgresql directory 1775 0:", "run/pg directory 2775 ",
		"var/lib/pg/link symlink 777 0:0 -> /etc/pg", "var/lib/pg/file file 600 ",
	} {
		if !strings.Contains(list, "\n"+want) {
			t.Errorf("got no %q in%s", want, list)
		}
	}
	for _, not := range []string{"README", "home/x", "\nbuild ", "\nin "} {
		if strings.Contains(list, not) {
			t.Errorf("got %q in%s", not, list)
		}
	}
	tr := newTree(lab.Store, lab.Build(g["tools"]))
	read := func(p string) string {
		s, err := tr.read(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	passwd, group := read("etc/passwd"), read("etc/group")
	for _, want := range []string{"postgres:x:", ":PostgreSQL administrator:/var/lib/postgresql:/bin/bash\n", "nonroot:x:65532:65532:", ":the agent:/var/lib/pg:/usr/sbin/nologin\n"} {
		if !strings.Contains(passwd, want) {
			t.Errorf("got passwd\n%swant %q in it", passwd, want)
		}
	}
	if !strings.Contains(group, "pgadmin:x:400:pgagent\n") {
		t.Errorf("got group\n%s", group)
	}
	if s := read("var/lib/dpkg/status"); strings.Count(s, "Status: install ok installed\n") != 4 {
		t.Errorf("got status\n%s", s)
	}
	// A user keeps its number whatever comes beside it: its files are on volumes.
	alone, _, err := build(t, lab, m, f, `tools = debian_layer(["pg"], essential = False)`)
	if err != nil {
		t.Fatal(err)
	}
	tr = newTree(lab.Store, lab.Build(alone["tools"]))
	line := passwd[strings.Index(passwd, "postgres:"):]
	line = line[:strings.Index(line, "\n")]
	if !strings.Contains(read("etc/passwd"), line) {
		t.Errorf("got %s, want %s in it", read("etc/passwd"), line)
	}
	// The licences are an output of each package's action.
	for _, in := range g["tools"].(*schema.Artifact).Action.Inputs {
		if in.Name != "nginx" {
			continue
		}
		if got := lab.Text(schema.NewArtifact(in.Artifact.Action.Output("licence"), "file", nil)); got != "BSD-2-clause\nExpat\nGPL-2+\n" {
			t.Errorf("got licences %q", got)
		}
		if c := in.Artifact.Action.Component; c == nil || c.PURL != "pkg:deb/debian/nginx@1?arch=amd64&distro=trixie" {
			t.Errorf("got component %+v", c)
		}
	}
}

func TestLayerStatusFolder(t *testing.T) {
	m := newMirror(t)
	layerPackages(m)
	_, list, err := build(t, buildtest.New(t, m.get), m, lock.New(), `tools = debian_layer(["nginx"], records = "status.d")`)
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(list, "\nvar/lib/dpkg/status.d/nginx file") || strings.Contains(list, "var/lib/dpkg/status file") || !strings.Contains(list, "\nusr/share/dash/x file") {
		t.Errorf("got%s", list)
	}
}

// Real packages: dpkg reads the records and finds every file as they say, and the
// programs run in a chroot of the layer alone.
func TestRealLayer(t *testing.T) {
	if os.Getenv("LABSTAR_E2E") == "" {
		t.Skip("LABSTAR_E2E is not set")
	}
	get := realConfig(t)
	lab := buildtest.New(t, get)
	const script = `
nginx = debian_layer(["nginx"])
node = debian_layer(["nodejs", "ca-certificates"], essential = False)
db = debian_layer(["postgresql"])
`
	f := lock.New()
	if err := lockFor(t, lab, f, lock.Env{Config: get, Dir: cacheDir(t)}, script); err != nil {
		t.Fatal(err)
	}
	lab.SetPins(lock.NewPins(f))
	g := lab.Eval(Builtins(), script, nil)
	for _, name := range []string{"nginx", "node", "db"} {
		layer := g[name].(*schema.Artifact)
		root := lab.Build(layer)
		dir, err := lab.Store.TreePath(t.Context(), root)
		if err != nil {
			t.Fatal(err)
		}
		packages, _ := layer.Attr("packages")
		checkDpkg(t, dir, packages.(*starlark.Dict))
		commands := map[string][]string{"nginx": {"/usr/sbin/nginx", "-V"}, "node": {"/usr/bin/node", "-e", "console.log(require('crypto').randomUUID())"},
			"db": {"/bin/sh", "-c", "/usr/lib/postgresql/*/bin/postgres -V && /usr/lib/postgresql/*/bin/initdb -V"}}
		out, err := exec.Command("unshare", append([]string{"-r", "chroot", dir}, commands[name]...)...).CombinedOutput()
		t.Logf("%s: %s", name, out)
		if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func checkDpkg(t *testing.T, dir string, want *starlark.Dict) {
	t.Helper()
	if _, err := exec.LookPath("dpkg-query"); err != nil {
		t.Skip("no dpkg-query on this machine")
	}
	out, err := exec.Command("dpkg-query", "--admindir", filepath.Join(dir, "var/lib/dpkg"), "-W", "-f", "${Package}=${Version} ${db:Status-Abbrev}\n").Output()
	if err != nil {
		t.Fatal(err)
	}
	var list []string
	for _, item := range want.Items() {
		list = append(list, string(item[0].(starlark.String))+"="+string(item[1].(starlark.String))+" ii ")
	}
	got := strings.Split(strings.TrimRight(string(out), "\n"), "\n")
	slices.Sort(got)
	slices.Sort(list)
	if !slices.Equal(got, list) {
		t.Errorf("dpkg-query says %q, want %q", got, list)
	}
	// dpkg's own check of every file's MD5 sum.
	sums, err := filepath.Glob(filepath.Join(dir, "var/lib/dpkg/info/*.md5sums"))
	if err != nil || len(sums) == 0 {
		t.Fatalf("no sums: %v", err)
	}
	for _, s := range sums {
		cmd := exec.Command("md5sum", "--check", "--quiet", s)
		cmd.Dir = dir
		if b, err := os.ReadFile(s); err != nil || len(b) == 0 {
			continue
		}
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("%s: %v\n%s", filepath.Base(s), err, out)
		}
	}
}
