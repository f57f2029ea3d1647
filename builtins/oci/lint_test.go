package oci

import (
	"debug/elf"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/internal/format/dynlink/elftest"
)

const glibcLoader = "/lib64/ld-linux-x86-64.so.2"

func lintTrees(lab *buildtest.Lab) starlark.StringDict {
	program := func(f elftest.File) buildtest.Node { return buildtest.Node{Text: f.String(), Mode: 0o755} }
	text := func(s string) buildtest.Node { return buildtest.Node{Text: s} }
	script := func(s string) buildtest.Node { return buildtest.Node{Text: s, Mode: 0o755} }
	one := func(p string, n buildtest.Node) starlark.Value { return lab.Tree(map[string]buildtest.Node{p: n}) }
	libc := elftest.File{Library: true, SoName: "libc.so.6", Has: []string{"GLIBC_2.36"}}
	return starlark.StringDict{
		"sh": lab.Tree(map[string]buildtest.Node{"usr/bin/sh": program(elftest.File{}), "bin": {Target: "usr/bin"}}),
		"glibc": lab.Tree(map[string]buildtest.Node{
			"usr/lib64/ld-linux-x86-64.so.2": {Text: elftest.File{Library: true}.String() + "\x00/usr/lib64/\x00", Mode: 0o755},
			"lib64":                          {Target: "usr/lib64"}, "usr/lib64/libc.so.6": text(libc.String()),
		}),
		"tool":     one("usr/bin/tool", program(elftest.File{Interp: glibcLoader, Needed: []string{"libc.so.6", "liba.so.1"}})),
		"newer":    one("usr/bin/tool", program(elftest.File{Interp: glibcLoader, Needed: []string{"libc.so.6"}, Wants: map[string][]string{"libc.so.6": {"GLIBC_2.38"}}})),
		"liba":     one("usr/lib64/liba.so.1", text(elftest.File{Library: true, SoName: "liba.so.1"}.String())),
		"liba_opt": one("opt/a/liba.so.1", text(elftest.File{Library: true, SoName: "liba.so.1"}.String())),
		"arm":      one("usr/bin/tool", program(elftest.File{Machine: elf.EM_AARCH64})),
		"bindir":   one("bin/extra", text("x")),
		"perl":     one("usr/bin/report", script("#!/usr/bin/perl\n")),
		"perl_lib": one("usr/share/x/report", script("#!/usr/bin/perl\n")),
		"start":    one("start", script("#!/bin/sh\n")),
		"crlf":     one("start", script("#!/bin/sh\r\n")),
		"private":  lab.Tree(map[string]buildtest.Node{"srv/app/": {Mode: 0o700}, "srv/app/run": program(elftest.File{})}),
		"rootonly": one("srv/run", buildtest.Node{Text: elftest.File{}.String(), Mode: 0o700}),
		"noread":   one("start", buildtest.Node{Text: "#!/bin/sh\n", Mode: 0o711}),
		"group": lab.Tree(map[string]buildtest.Node{"srv/run": {Text: elftest.File{}.String(), Mode: 0o750, GID: 33},
			"etc/passwd": text("www:x:33:33::/:\nlab:x:1000:1000::/:\nother:x:1001:1001::/:\n"), "etc/group": text("www:x:33:lab\n")}),
		"key":    one("etc/ssl/server.key", text("-----BEGIN RSA PRIVATE KEY-----\nMII\n-----END RSA PRIVATE KEY-----\n")),
		"sshkey": one("root/.ssh/id_ed25519", text("-----BEGIN OPENSSH PRIVATE KEY-----\nb3Bl\n")),
		"pubkey": one("etc/ssl/server.pem", text("-----BEGIN CERTIFICATE-----\nMII\n-----END CERTIFICATE-----\n")),
		"npmrc":  one("root/.npmrc", text("registry=https://npm.example\n//npm.example/:_authToken=abcdef\n")),
		"npmvar": one("root/.npmrc", text("//npm.example/:_authToken=${NPM_TOKEN}\n")),
		"docker": one("root/.docker/config.json", text(`{"auths": {"registry.lan": {"auth": "dTpw"}}}`)),
		"helper": one("root/.docker/config.json", text(`{"credsStore": "pass"}`)),
		"git":    one("root/.git-credentials", text("https://me:token@git.example\n")),
		"dotenv": one("srv/.env", text("# settings\nDB_PASSWORD=hunter2\n")),
		"sample": one("srv/.env.example", text("DB_PASSWORD=change-me\n")),
		"netrc":  one("root/.netrc", text("machine x login me password secret\n")),
		"aws":    one("root/.aws/credentials", text("[default]\naws_secret_access_key = abc\n")),
		"kube":   one("root/.kube/config", text("users:\n- user:\n    token: abc\n")),
		"pgpass": one("root/.pgpass", text("db:5432:chat:me:secret\n")),
		"pypirc": one("root/.pypirc", text("[pypi]\npassword = pypi-abc\n")),
	}
}

// What is told of an image, to the letter; "" is of one that is well.
func TestLint(t *testing.T) {
	for args, want := range map[string]string{
		`[sh, glibc, tool, liba]`: ``,
		`[tool]`:                  `checking program "/usr/bin/tool": the loader "/lib64/ld-linux-x86-64.so.2" is not there; add the C library to layers (debian_layer, or the .runtime of glibc and musl), or link the program statically`,
		`[glibc, tool]`:           `checking program "/usr/bin/tool": the shared library "liba.so.1" is not where the loader looks (/usr/lib64); add the tree or the package that has it to layers, or link the program statically`,
		`[glibc, liba_opt, tool]`: `checking program "/usr/bin/tool": the shared library "liba.so.1" is not where the loader looks (/usr/lib64); it is at "/opt/a/liba.so.1": add tree(symlinks = {"/usr/lib64/liba.so.1": "/opt/a/liba.so.1"}) to layers`,
		`[glibc, liba_opt, tool], env = {"LD_LIBRARY_PATH": "/opt/a"}`: ``,
		`[glibc, tool], unchecked = ["/usr/bin/tool"]`:                 ``,
		`[glibc, newer]`:                                      `checking program "/usr/bin/tool": it needs GLIBC_2.38 of libc.so.6, and "/usr/lib64/libc.so.6" has GLIBC_2.36 at most; build it against this library, or lay a newer one`,
		`[arm]`:                                               `checking program "/usr/bin/tool": it is for arm64, and the image is for linux/amd64; build it with a toolchain for x86_64, or say platform = "linux/arm64"`,
		`[arm], platform = "linux/arm64"`:                     ``,
		`[sh, bindir]`:                                        `laying layers[1]: "/bin" is a folder here and a link to "usr/bin" in the layers below, which it would hide with all that is in there; lay its files in "/usr/bin"`,
		`[sh, perl]`:                                          `checking interpreter of script "/usr/bin/report": "/usr/bin/perl" is not there; add it to layers, or say unchecked = ["/usr/bin/report"] if nobody runs it`,
		`[sh, perl], unchecked = ["/usr"]`:                    ``,
		`[sh, perl_lib]`:                                      ``,
		`[sh, start], entrypoint = ["/start"]`:                ``,
		`[start], entrypoint = ["/start"]`:                    `checking entrypoint: checking interpreter of script "/start": "/bin/sh" is not there`,
		`[sh, crlf], entrypoint = ["/start"]`:                 `checking entrypoint: checking script "/start": its first line ends in a carriage return, so its interpreter is not found; save it with Unix line ends`,
		`[sh], entrypoint = ["/usr/bin/bash"]`:                `checking entrypoint: in the layers, "/usr/bin/bash" is not there`,
		`[glibc, tool], cmd = ["tool"]`:                       `checking program "/usr/bin/tool": the shared library "liba.so.1" is not where the loader looks (/usr/lib64); add the tree or the package that has it to layers, or link the program statically`,
		`[private], cmd = ["/srv/app/run"]`:                   ``,
		`[private], cmd = ["/srv/app/run"], user = "1000"`:    `checking cmd: the user 1000 (1000:0) can't get to "/srv/app/run": the folder "/srv/app" has mode 0o700 and belongs to 0:0; say modes = {"/srv/app": 0o755} where it is laid`,
		`[rootonly], cmd = ["/srv/run"], user = "1000"`:       `checking cmd: the user 1000 (1000:0) can't run "/srv/run", which has mode 0o700 and belongs to 0:0; say modes = {"/srv/run": 0o755} where it is laid`,
		`[sh, noread], cmd = ["/start"], user = "1000:5"`:     `checking cmd: the user 1000:5 (1000:5) can't read and run "/start", which has mode 0o711 and belongs to 0:0; say modes = {"/start": 0o755} where it is laid`,
		`[group], cmd = ["/srv/run"], user = "www"`:           ``,
		`[group], cmd = ["/srv/run"], user = "lab"`:           ``,
		`[group], cmd = ["/srv/run"], user = "other:www"`:     ``,
		`[group], cmd = ["/srv/run"], user = "other"`:         `checking cmd: the user other (1001:1001) can't run "/srv/run", which has mode 0o750 and belongs to 0:33; say modes = {"/srv/run": 0o755} where it is laid`,
		`[sh], healthcheck = {"test": ["/usr/bin/curl"]}`:     `checking healthcheck: in the layers, "/usr/bin/curl" is not there`,
		`[glibc], healthcheck = {"test": ["CMD-SHELL", "x"]}`: `checking healthcheck: in the layers, "/bin/sh" is not there`,

		`[key]`:                            `checking layers[0] for secrets: "/etc/ssl/server.key" holds a private key; leave it out, or say allow_secrets = ["/etc/ssl/server.key"] if everybody may know it`,
		`[sh, sshkey]`:                     `checking layers[1] for secrets: "/root/.ssh/id_ed25519" holds a private key; leave it out, or say allow_secrets = ["/root/.ssh/id_ed25519"] if everybody may know it`,
		`[npmrc]`:                          `checking layers[0] for secrets: "/root/.npmrc" holds a token of an npm registry; leave it out, or say allow_secrets = ["/root/.npmrc"] if everybody may know it`,
		`[docker]`:                         `checking layers[0] for secrets: "/root/.docker/config.json" holds credentials of an image registry; leave it out, or say allow_secrets = ["/root/.docker/config.json"] if everybody may know it`,
		`[git]`:                            `checking layers[0] for secrets: "/root/.git-credentials" holds credentials of git; leave it out, or say allow_secrets = ["/root/.git-credentials"] if everybody may know it`,
		`[dotenv]`:                         `checking layers[0] for secrets: "/srv/.env" holds the settings of an environment, which mostly hold passwords; leave it out, or say allow_secrets = ["/srv/.env"] if everybody may know it`,
		`[netrc]`:                          `checking layers[0] for secrets: "/root/.netrc" holds a password for the network; leave it out, or say allow_secrets = ["/root/.netrc"] if everybody may know it`,
		`[aws]`:                            `checking layers[0] for secrets: "/root/.aws/credentials" holds an access key of AWS; leave it out, or say allow_secrets = ["/root/.aws/credentials"] if everybody may know it`,
		`[kube]`:                           `checking layers[0] for secrets: "/root/.kube/config" holds credentials of a cluster; leave it out, or say allow_secrets = ["/root/.kube/config"] if everybody may know it`,
		`[pgpass]`:                         `checking layers[0] for secrets: "/root/.pgpass" holds a password of a database; leave it out, or say allow_secrets = ["/root/.pgpass"] if everybody may know it`,
		`[pypirc]`:                         `checking layers[0] for secrets: "/root/.pypirc" holds a password of a package index; leave it out, or say allow_secrets = ["/root/.pypirc"] if everybody may know it`,
		`[pubkey, npmvar, helper, sample]`: ``,
		`[key], allow_secrets = ["/etc/ssl/server.key"]`: ``,
		`[sh], allow_secrets = ["/etc/ssl/server.key"]`:  `checking allow_secrets: no layer has a secret at "/etc/ssl/server.key"; leave it out`,

		// What is in the base is seen, and not told of.
		`[liba], base = oci_image([glibc, tool], name = "b", unchecked = ["/usr/bin/tool"])`: ``,
		`[tool], base = oci_image([glibc], name = "b")`:                                      `checking program "/usr/bin/tool": the shared library "liba.so.1" is not where the loader looks (/usr/lib64); add the tree or the package that has it to layers, or link the program statically`,
		`[sh], base = oci_image([glibc, tool], name = "b", unchecked = ["/usr/bin/tool"])`:   ``,
		`[sh], base = oci_image([key], name = "b", allow_secrets = ["/etc/ssl/server.key"])`: ``,
		`[start], base = oci_image([sh], name = "b"), entrypoint = ["/start"]`:               ``,
	} {
		lab := buildtest.New(t)
		g := lab.Eval(Builtins(), `i = oci_image(`+args+`, name = "a")`, lintTrees(lab))
		_, err := lab.TryBuild(g["i"])
		got := ""
		if err != nil {
			_, got, _ = strings.Cut(err.Error(), "config of a: ")
			if got == "" {
				got = err.Error()
			}
		}
		if got != want && !strings.HasSuffix(got, ": "+want) || want == "" && got != "" {
			t.Errorf("%s\ngot  %s\nwant %s", args, got, want)
		}
	}
}

// Several mistakes are told at once.
func TestLintTellsAll(t *testing.T) {
	lab := buildtest.New(t)
	g := lab.Eval(Builtins(), `i = oci_image([arm, key, dotenv], name = "a", cmd = ["/nowhere"], user = "www")`, lintTrees(lab))
	_, err := lab.TryBuild(g["i"])
	for _, want := range []string{`it is for arm64`, `server.key`, `/srv/.env`, `"/nowhere" is not there`, `no user "www"`} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %s in it", err, want)
		}
	}
}

func FuzzSecretIn(f *testing.F) {
	f.Add("root/.npmrc", []byte("//x/:_authToken=a"))
	f.Add("a.key", []byte("-----BEGIN PRIVATE KEY-----\n"))
	f.Fuzz(func(t *testing.T, p string, b []byte) { _ = suspicious(p) && secretIn(p, b) == "" })
}
