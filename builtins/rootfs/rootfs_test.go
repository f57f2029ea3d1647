package rootfs

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/format/dynlink/elftest"
	"github.com/labstar/labstar/starlark/schema"
)

// system is a tree with a shell and an init, as busybox makes one.
func system(lab *buildtest.Lab) *schema.Artifact {
	return lab.Tree(map[string]buildtest.Node{
		"bin/busybox":   {Text: elftest.File{}.String(), Mode: 0o755},
		"bin/sh":        {Target: "busybox"},
		"sbin/init":     {Target: "../bin/busybox"},
		"home/lab/note": {Text: "mine"},
	})
}

func eval(t *testing.T, script string) (*buildtest.Lab, starlark.Value, error) {
	t.Helper()
	lab := buildtest.New(t)
	globals, err := lab.TryEval(Builtins(), script, starlark.StringDict{
		"bb": system(lab), "afile": lab.File("text\n"), "script": lab.File("#!/bin/sh\n"),
		"late":  schema.LateText(lab.File("from a build").Artifact),
		"other": lab.Tree(map[string]buildtest.Node{"bin/sh": {Text: "another"}}),
		"bad":   lab.Tree(map[string]buildtest.Node{"usr/bin/tool": {Text: "#!/usr/bin/perl\n", Mode: 0o755}}),
		"norun": lab.Tree(map[string]buildtest.Node{"etc/init.d/S10net": {Text: "#!/bin/sh\n"}}),
		"crlf":  lab.Tree(map[string]buildtest.Node{"usr/bin/tool": {Text: "#!/bin/sh\r\n", Mode: 0o755}}),
		"env":   lab.Tree(map[string]buildtest.Node{"usr/bin/env": {Target: "../../bin/busybox"}, "usr/bin/t": {Text: "#!/usr/bin/env python3\n", Mode: 0o755}}),
	})
	return lab, globals["r"], err
}

const full = `r = rootfs([bb], hostname = "tiny", init = "/sbin/init", rc = script,
    users = [user("lab", uid = 1000, comment = "Lab", groups = ["audio"]), user("web", home = "/srv/www", shell = "/bin/false")],
    files = {"/etc/motd": "hello\n", "/usr/bin/hi": "#!/bin/sh\necho hi\n", "/srv/www/index.html": afile, "/etc/late": "it is " + late},
    dirs = ["/opt/x"], symlinks = {"/etc/mtab": "/proc/mounts"}, hosts = {"10.0.0.1": "gw"}, groups = {"lab2": 2000},
    modes = {"/etc/motd": 0o600}, owners = {"/opt": "lab:audio"}, fstab = ["proc /proc proc defaults 0 0"])`

func TestRootfs(t *testing.T) {
	lab, v, err := eval(t, full)
	if err != nil {
		t.Fatal(err)
	}
	root := lab.Build(v)
	got := lab.List(root)
	for _, want := range []string{
		"etc/motd file 600 0:0 6",
		"etc/late file 644 0:0 18",
		"usr/bin/hi file 755 0:0 18",
		"etc/init.d/rcS file 755 0:0 10",
		"etc/shadow file 640 0:42 104",
		"home/lab directory 755 1000:1000",
		"home/lab/note file 644 1000:1000 4",
		"srv/www directory 755 1001:1001",
		"srv/www/index.html file 644 1001:1001 5",
		"opt/x directory 755 1000:29",
		"root directory 700 0:0",
		"tmp directory 1777 0:0",
		"etc/mtab symlink 777 0:0 -> /proc/mounts",
		"var/log directory 755 0:0",
		"bin/sh symlink 777 0:0 -> busybox",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
	const golden = "be22a48b159e6a0e3cdfed436e45e1ab62155b9394dbb334b5d45759554e6cc5"
	if root.Hex() != golden {
		t.Errorf("got tree %s, want %s: if that is meant, raise the Version of %s", root.Hex(), golden, composeOp.Name)
	}
	text := func(path string) string {
		n, err := action.NewEdit(lab.Store, root).Lookup(t.Context(), path)
		if err != nil {
			t.Fatal(err)
		}
		return string(lab.Blob(n.Digest))
	}
	if got, want := text("etc/passwd"), "root:x:0:0::/root:/bin/sh\nlab:x:1000:1000:Lab:/home/lab:/bin/sh\n"+
		"web:x:1001:1001::/srv/www:/bin/false\nnobody:x:65534:65534::/nonexistent:/bin/false\n"; got != want {
		t.Errorf("got passwd\n%swant\n%s", got, want)
	}
	for path, want := range map[string]string{
		"etc/group": "audio:x:29:lab\n", "etc/hosts": "10.0.0.1\tgw\n", "etc/hostname": "tiny\n", "etc/late": "it is from a build",
		"etc/shadow": "root:!:18262:0:99999:7:::\n", "etc/inittab": "::sysinit:/etc/init.d/rcS\n", "etc/fstab": "proc /proc proc defaults 0 0\n",
	} {
		if got := text(path); !strings.Contains(got, want) {
			t.Errorf("got %s\n%swant in it %q", path, got, want)
		}
	}
}

func TestCallErrors(t *testing.T) {
	for script, want := range map[string]string{
		`r = rootfs([bb], modes = {"/bin/busybox": 755})`:                    `modes["/bin/busybox"]: got 755, which is 0o1363, want octal (did you mean 0o755?)`,
		`r = rootfs([bb], modes = {"/x": 0o70000})`:                          `want permission bits`,
		`r = rootfs([bb], users = [user("lab", groups = ["adio"])])`:         `did you mean "audio"?`,
		`r = rootfs([bb], users = [user("a", uid = 5), user("b", uid = 5)])`: `got the number 5 of user "b" twice`,
		`r = rootfs([bb], users = [user("a"), user("a")])`:                   `got the user "a" twice`,
		`r = rootfs([bb], hosts = {"gw": "10.0.0.1"})`:                       `hosts["gw"]: got the key "gw", want an address`,
		`r = rootfs([bb], hosts = {"10.0.0.300": "gw"})`:                     `hosts["10.0.0.300"]: got the key "10.0.0.300", want an address`,
		`r = rootfs([bb], hosts = {"10.0.0.3": " "})`:                        `hosts["10.0.0.3"]: got " ", want a name`,
		`r = rootfs([bb], fstab = ["# data", "", "/dev/vdb /srv"])`:          `fstab[2]: got 2 fields in "/dev/vdb /srv", want 4 to 6`,
		`r = static_address("eth0", "10.0.1.255/23")`:                        `got "10.0.1.255/23", which is the broadcast address`,
		`r = user("lab", password_hash = "lab")`:                             `password_hash: got what is no hash`,
		`r = user("lab", password_hash = "$6$abc")`:                          `password_hash: got what is no hash`,
		`r = user("Lab")`:                                                  `name: got "Lab", want lower-case`,
		`r = user("lab", home = "x")`:                                      `home: got "x", want an absolute path`,
		`r = rootfs([bb], files = {"/etc/passwd": "x"})`:                   `which users makes`,
		`r = rootfs([bb], hostname = "a", files = {"/etc/hostname": "x"})`: `which hostname makes`,
		`r = rootfs([bb], files = {"/a": "x", "a": "y"})`:                  `got the path "/a" twice`,
		`r = rootfs([bb], files = {"/../a": "x"})`:                         `invalid path`,
		`r = rootfs([bb], files = {"/a": 5})`:                              `files["/a"]: got int, want a file, a tree or a string`,
		`r = rootfs([bb], files = {"/a": "see %s" % afile})`:               `path in the sandbox`,
		`r = rootfs([bb], hostname = "my_host")`:                           `hostname: got "my_host"`,
		`r = rootfs([afile])`:                                              `want a tree`,
		`r = rootfs([bb], symlinks = {"/": "x"})`:                          `symlinks["/"]`,
		`r = rootfs([bb], inittab = ["a\nb"])`:                             `inittab[0]: got several lines`,
		`r = initramfs(bb, compression = "bzip2")`:                         `want one of "zstd", "gzip", "xz", "none"`,
		`r = initramfs(bb, init = "sbin/init")`:                            `want an absolute path`,
	} {
		if _, _, err := eval(t, script); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

func TestBuildErrors(t *testing.T) {
	for script, want := range map[string]string{
		`r = rootfs([bb, other])`:                                            `laying contents[1], test tree: "/bin/sh" is in contents[0] too, test tree; leave it out of one of them, or say overwrite = True`,
		`r = rootfs([bb, bad])`:                                              `checking interpreter of script "/usr/bin/tool": "/usr/bin/perl" is not there`,
		`r = rootfs([bb, norun])`:                                            `checking script "/etc/init.d/S10net": it has no run bit (mode 0o644)`,
		`r = rootfs([bb, crlf])`:                                             `carriage return`,
		`r = rootfs([bb, env])`:                                              `its interpreter "python3" is in none of the folders`,
		`r = rootfs([bb], init = "/init")`:                                   `checking init: "/init" is not there`,
		`r = rootfs([bb], init = "/home/lab/note")`:                          `has no run bit`,
		`r = rootfs([bb], init = "/sbin")`:                                   `is a directory, want a program`,
		`r = rootfs([bb], symlinks = {"/sbin/init": "x"})`:                   `making link`,
		`r = rootfs([bb], modes = {"/nothing": 0o755})`:                      `there is no such path`,
		`r = rootfs([bb], owners = {"/nothing": "root"})`:                    `there is no such path`,
		`r = rootfs([bb], owners = {"/srv": "labb"}, users = [user("lab")])`: `setting owner of "/srv": got the user "labb", which is not there (did you mean "lab"?)`,
		`r = rootfs([bb], files = {"/bin": "x"})`:                            `there is a folder`,
		`r = rootfs([bb], rc = "#!/bin/bash\n")`:                             `"/bin/bash" is not there`,
		`r = rootfs([bb], users = [user("lab", shell = "/bin/bash")])`:       `checking shell of user "lab": "/bin/bash" is not there`,
		`r = initramfs(other)`:                                               `checking init: "/init" leads to "/sbin", which is not there`,
	} {
		lab, v, err := eval(t, script)
		if err != nil {
			t.Errorf("%s: %v", script, err)
			continue
		}
		if _, err = lab.TryBuild(v); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

func TestOverwrite(t *testing.T) {
	lab, v, err := eval(t, `r = rootfs([bb, other], overwrite = True, fhs = False)`)
	if err != nil {
		t.Fatal(err)
	}
	if got := lab.List(lab.Build(v)); !slices.Contains(got, "bin/sh file 644 0:0 7") || slices.Contains(got, "var/log directory 755 0:0") {
		t.Errorf("got\n%s\nwant the shell of the second tree, and no standard folders", strings.Join(got, "\n"))
	}
}

// What can be known of the contents without a kernel's modules is told without them.
func TestOverlapBeforeKernel(t *testing.T) {
	lab := buildtest.New(t)
	never := &action.Op{Name: "test/kernel", Version: 1, Run: func(context.Context, action.Env) error { return errors.New("not compiled") }}
	built, err := lab.Scope().Action(action.Spec{Op: never, Title: "kernel", Outputs: []action.Output{{Name: "modules", Kind: action.Tree}}})
	if err != nil {
		t.Fatal(err)
	}
	modules := schema.NewArtifact(built.Output("modules"), "tree", nil)
	g := lab.Eval(Builtins(), `r = rootfs([bb, modules, other], kernel = kernel)`, starlark.StringDict{
		"bb": system(lab), "modules": modules, "other": lab.Tree(map[string]buildtest.Node{"bin/sh": {Text: "another"}}),
		"kernel": schema.NewArtifact(lab.File("kernel").Artifact, "kernel", starlark.StringDict{"config": lab.File("CONFIG_64BIT=y\n"), "modules": modules}),
	})
	want := `laying contents[2], test tree: "/bin/sh" is in contents[0] too, test tree; leave it out of one of them, or say overwrite = True`
	if _, err := lab.TryBuild(g["r"]); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got  %v\nwant %s", err, want)
	}
}
