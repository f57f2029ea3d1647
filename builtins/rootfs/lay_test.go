package rootfs

import (
	"slices"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/debian"
	"github.com/labstar/labstar/internal/format/dynlink/elftest"
	"github.com/labstar/labstar/internal/format/ldcache"
	"github.com/labstar/labstar/starlark/schema"
)

// debianTree is a tree as debian_packages makes one: /usr merged, accounts, a cache,
// and a package that declares a user.
func debianTree(t *testing.T, lab *buildtest.Lab, lib string) *schema.Artifact {
	t.Helper()
	cache, err := ldcache.Encode([]ldcache.Library{{Name: lib, Path: "/usr/lib/" + lib, Flags: ldcache.X8664}})
	if err != nil {
		t.Fatal(err)
	}
	return lab.Tree(map[string]buildtest.Node{
		"bin": {Target: "usr/bin"}, "sbin": {Target: "usr/sbin"}, "lib": {Target: "usr/lib"},
		"usr/bin/" + strings.TrimSuffix(lib, ".so"): {Text: elftest.File{}.String(), Mode: 0o755},
		"usr/lib/" + lib:  {Text: elftest.File{Library: true}.String()},
		"etc/ld.so.cache": {Text: string(cache)},
		"etc/passwd":      {Text: "root:x:0:0:root:/root:/bin/sh\nwww-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\n"},
		"etc/group":       {Text: "root:x:0:\nwww-data:x:33:\n"},
		"build/":          {}, "in/": {}, "usr/share/openssh/sshd_config": {Text: "UsePAM yes\n"}, "usr/share/pam/common-auth": {Text: "$auth_primary\n"},
		"usr/share/ca-certificates/m/a.crt": {Text: "A"}, "usr/share/ca-certificates/m/b.crt": {Text: "B\n"},
		"usr/lib/sysusers.d/s.conf": {Text: "# a comment\nu sshd - \"sshd user\" /run/sshd\ng _ssh -\nu! mail 8:12 - /var/mail -\nm www-data _ssh\n"},
	})
}

// Trees with /usr merged and without make one system, and the accounts of all are
// in it.
func TestUsrMerge(t *testing.T) {
	lab := buildtest.New(t)
	globals, err := lab.TryEval(Builtins(), `r = rootfs([bb, a, b], users = [user("lab", uid = 33)], owners = {"/srv": "sshd:_ssh"})`, starlark.StringDict{
		"bb": lab.Tree(map[string]buildtest.Node{
			"bin/busybox": {Text: elftest.File{}.String(), Mode: 0o755}, "bin/sh": {Target: "busybox"}, "sbin/init": {Target: "../bin/busybox"},
			"usr/bin/env": {Target: "../../bin/busybox"}, "lib/deep/er/link": {Target: "../../../etc/x"}, "lib/deep/near": {Target: "../z"},
		}),
		"a": debianTree(t, lab, "liba.so"), "b": debianTree(t, lab, "libb.so"),
	})
	if err != nil {
		t.Fatal(err)
	}
	root := lab.Build(globals["r"])
	got := lab.List(root)
	for _, want := range []string{
		"bin symlink 777 0:0 -> usr/bin", "sbin symlink 777 0:0 -> usr/sbin", "lib symlink 777 0:0 -> usr/lib",
		"usr/bin/sh symlink 777 0:0 -> busybox", "usr/sbin/init symlink 777 0:0 -> ../../bin/busybox", "usr/bin/env symlink 777 0:0 -> ../../bin/busybox",
		"usr/lib/deep/er/link symlink 777 0:0 -> ../../../../etc/x", "usr/lib/deep/near symlink 777 0:0 -> ../z", "srv directory 755 999:998",
	} {
		if !slices.Contains(got, want) {
			t.Errorf("no %q in\n%s", want, strings.Join(got, "\n"))
		}
	}
	e := action.NewEdit(lab.Store, root)
	read := func(p string) string {
		n, err := e.Lookup(t.Context(), p)
		if err != nil {
			t.Fatal(err)
		}
		return string(lab.Blob(n.Digest))
	}
	if err := e.Runnable(t.Context(), "/sbin/init"); err != nil {
		t.Error(err)
	}
	for p, want := range map[string]string{
		"etc/ssh/sshd_config": "UsePAM yes\n", "etc/pam.d/common-auth": "auth required pam_unix.so nullok\n", debian.CertificateBundle: "A\nB\n",
	} {
		if got := read(p); got != want {
			t.Errorf("got %s with %q, want %q", p, got, want)
		}
	}
	for _, p := range []string{"build directory 755 0:0", "in directory 755 0:0"} {
		if slices.Contains(got, p) {
			t.Errorf("got the sandbox' mount point %q", p)
		}
	}
	libs, err := ldcache.Decode([]byte(read("etc/ld.so.cache")))
	if err != nil || len(libs) != 2 {
		t.Errorf("got the libraries %v (%v), want those of both trees", libs, err)
	}
	// The script's number is kept, and the package's user that has it is not taken.
	wantPasswd := "root:x:0:0::/root:/bin/sh\nlab:x:33:33::/home/lab:/bin/sh\nnobody:x:65534:65534::/nonexistent:/bin/false\n" +
		"sshd:x:999:999:sshd user:/run/sshd:/usr/sbin/nologin\nmail:x:8:12::/var/mail:/usr/sbin/nologin\n"
	if got := read("etc/passwd"); got != wantPasswd {
		t.Errorf("got passwd\n%swant\n%s", got, wantPasswd)
	}
	if got := read("etc/group"); !strings.Contains(got, "_ssh:x:998:www-data\n") || !strings.Contains(got, "sshd:x:999:\n") {
		t.Errorf("got group\n%s", got)
	}
	if got := read("etc/shadow"); !strings.Contains(got, "sshd:!*:18262:") {
		t.Errorf("got shadow\n%s", got)
	}
}

func TestUsrMergeConflict(t *testing.T) {
	lab := buildtest.New(t)
	globals, err := lab.TryEval(Builtins(), `r = rootfs([deb, other])`, starlark.StringDict{
		"deb":   debianTree(t, lab, "liba.so"),
		"other": lab.Tree(map[string]buildtest.Node{"bin/x": {Text: "one"}, "usr/bin/x": {Text: "two"}}),
	})
	if err != nil {
		t.Fatal(err)
	}
	const want = `laying contents[1]: got "/bin/x" and "/usr/bin/x", which are the same with /usr merged`
	if _, err := lab.TryBuild(globals["r"]); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %s", err, want)
	}
}
