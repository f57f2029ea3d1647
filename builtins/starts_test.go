package builtins_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/internal/buildtest"
)

// What a compose file runs in an image of the script is looked up in that image.
func TestStarts(t *testing.T) {
	const script = `
root = tree({"usr/bin/app": text("x"), "usr/bin/sh": text("x"), "usr/bin/data": text("x"), "srv/run.sh": text("x")},
    modes = {"usr/bin/app": 0o755, "usr/bin/sh": 0o755, "usr/bin/data": 0o644, "srv/run.sh": 0o755},
    symlinks = {"bin": "usr/bin", "usr/bin/also": "app", "usr/bin/nowhere": "nothing"})
bare = oci_image([root], name = "lab/bare:1", workdir = "/srv")
started = oci_image([root], name = "lab/started:1", entrypoint = ["app"])
c = compose({"a": dict(%s)}, volumes = {"tools": {}}, configs = {"hook": "x"}, secrets = {"key": secret("key")})
`
	for service, want := range map[string]string{
		`image = bare.ref, command = ["app", "-v"]`:                                                   "",
		`image = bare.ref, command = "app -v"`:                                                        "",
		`image = bare.ref, command = "also"`:                                                          "",
		`image = bare.ref, command = "/bin/app"`:                                                      "",
		`image = bare.ref, command = ["./run.sh"]`:                                                    "",
		`image = bare.tag, command = ["app"]`:                                                         "",
		`image = bare.ref, command = ["run.sh"], environment = {"PATH": "/srv"}`:                      "",
		`image = bare.ref, command = ["run.sh"], environment = ["PATH=/bin:/srv"]`:                    "",
		`image = bare.ref, command = ["/opt/x"], volumes = ["tools:/opt"]`:                            "",
		`image = bare.ref, command = ["/hook"], configs = ["hook"]`:                                   "",
		`image = bare.ref, command = ["/run/secrets/key"], secrets = ["key"]`:                         "",
		`image = bare.ref, entrypoint = ["app"]`:                                                      "",
		`image = started.ref`:                                                                         "",
		`image = started.ref, command = ["--flag"]`:                                                   "",
		`image = started.ref, entrypoint = "", command = "app"`:                                       "",
		`image = started.ref, healthcheck = {"test": ["CMD-SHELL", "curl x"]}`:                        "",
		`image = started.ref, healthcheck = {"test": ["NONE"]}`:                                       "",
		`image = "elsewhere:1", command = "no"`:                                                       "",
		`image = bare.ref`:                                                                            `services["a"]: there is no command to run`,
		`image = bare.ref, command = ["ap"]`:                                                          `services["a"]: "ap" is in no folder of the image's PATH /usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin (did you mean "app"?)`,
		`image = bare.ref, command = "nowhere"`:                                                       `"nowhere" is in no folder`,
		`image = bare.ref, command = "data"`:                                                          `"data" is in no folder`,
		`image = bare.ref, command = ["/bin/data"]`:                                                   `"/bin/data" is not in the image, or has no run bit`,
		`image = bare.ref, command = ["/sbin/app"]`:                                                   `"/sbin/app" is not in the image, or has no run bit; there is /usr/bin/app`,
		`image = bare.ref, command = ["./run.sh"], working_dir = "/"`:                                 `"/run.sh" is not in the image, or has no run bit; there is /srv/run.sh`,
		`image = started.ref, entrypoint = "", command = "serve"`:                                     `services["a"]: "serve" is in no folder`,
		`image = started.ref, entrypoint = ["serve"]`:                                                 `services["a"]: "serve" is in no folder`,
		`image = started.ref, healthcheck = {"test": ["CMD", "curl", "-f", "http://localhost"]}`:      `services["a"]["healthcheck"]: "curl" is in no folder of the image's PATH`,
		`image = started.ref, healthcheck = {"test": ["CMD", "curl"]}, volumes = ["tools:/usr/sbin"]`: "",
	} {
		lab := buildtest.New(t)
		lab.Secrets = map[string]string{"key": "value"}
		g, err := lab.TryEval(builtins.All(), strings.Replace(script, "%s", service, 1), nil)
		if err != nil {
			t.Errorf("%s: %v", service, err)
			continue
		}
		_, err = lab.TryBuild(g["c"])
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: got %v, want %q", service, err, want)
		}
	}
}

// The same of the containers of a cluster.
func TestStartsInCluster(t *testing.T) {
	const script = `
image = oci_image([tree({"bin/app": text("x")}, modes = {"bin/app": 0o755})], name = "lab/app:1", %s)
m = k8s_manifest({"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": {"schedule": "@daily", "jobTemplate": {"spec": {"template": {"spec": {
    "restartPolicy": "Never", "containers": [dict({"name": "x", "image": image.ref}, %s)], "volumes": [{"name": "v", "emptyDir": {}}]}}}}}})
`
	const at = "CronJob c: spec.jobTemplate.spec.template.spec.containers[0]"
	for _, c := range []struct{ image, container, want string }{
		{`entrypoint = ["app"]`, ``, ""},
		{`entrypoint = ["app"]`, `args = ["-v"]`, ""},
		{`cmd = ["app"]`, ``, ""},
		{``, `command = ["app"]`, ""},
		{``, `command = ["$(APP)"]`, ""},
		{``, `command = ["/v/x"], volumeMounts = [{"name": "v", "mountPath": "/v"}]`, ""},
		{``, `command = ["x"], env = [{"name": "PATH", "value": "/v"}], volumeMounts = [{"name": "v", "mountPath": "/v"}]`, ""},
		{``, ``, at + ": there is no command to run"},
		{``, `command = ["sh", "-c", "app"]`, at + `.command: "sh" is in no folder of the image's PATH`},
		{`cmd = ["app"]`, `args = ["serve"]`, at + `: "serve" is in no folder`},
		{`entrypoint = ["app"]`, `livenessProbe = {"exec": {"command": ["/bin/ap"]}}`, at + `.livenessProbe.exec.command: "/bin/ap" is not in the image, or has no run bit (did you mean "app"?)`},
	} {
		lab := buildtest.New(t)
		g, err := lab.TryEval(builtins.All(), fmt.Sprintf(script, c.image, c.container), nil)
		if err != nil {
			t.Errorf("%s: %v", c.container, err)
			continue
		}
		_, err = lab.TryBuild(g["m"])
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: got %v, want %q", c.container, err, c.want)
		}
	}
}
