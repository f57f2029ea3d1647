package compose

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

func eval(t *testing.T, script string) (*buildtest.Lab, starlark.Value, error) {
	t.Helper()
	lab := buildtest.New(t)
	digest := schema.LateText(lab.File("sha256:" + strings.Repeat("ab", 32)).Artifact)
	more := starlark.StringDict{
		"web":  schema.NewArtifact(lab.File("x").Artifact, "image", starlark.StringDict{"ref": starlark.String("lab/web@") + digest, "digest": digest}),
		"conf": lab.File("price: $5\n"),
	}
	for _, n := range []string{"password", "api-key"} {
		more[strings.ReplaceAll(n, "-", "_")] = &schema.Secret{Name: n}
	}
	g, err := lab.TryEval(Builtins(), script, more)
	return lab, g["c"], err
}

const script = `c = compose({
    "web": {"image": web.ref, "ports": ["127.0.0.1:80:8080"], "depends_on": {"db": {"condition": "service_healthy"}}, "environment": {"DB": "postgres://lab@db:5432/lab", "PRICE": "$5"},
            "configs": [{"source": "conf", "target": "/etc/conf"}], "deploy": {"replicas": 1}, "read_only": True},
    "db": {"image": "postgres:17", "volumes": ["data:/var/lib/db"], "secrets": ["password"], "profiles": ["all"],
           "healthcheck": {"test": ["CMD-SHELL", "pg_isready -U $USER"], "interval": "2s", "retries": 5}},
}, name = "shop", volumes = {"data": {}}, secrets = {"password": api_key}, configs = {"conf": conf}%s)`

const golden = `name: shop
services:
  db:
    profiles:
      - all
    healthcheck:
      test:
        - CMD-SHELL
        - pg_isready -U $$USER
      interval: 2s
      retries: 5
    image: postgres:17
    secrets:
      - source: password
        target: /run/secrets/password
    volumes:
      - type: volume
        source: data
        target: /var/lib/db
        volume: {}
  web:
    configs:
      - source: conf
        target: /etc/conf
    depends_on:
      db:
        condition: service_healthy
        required: true
    deploy:
      replicas: 1
    environment:
      DB: postgres://lab@db:5432/lab
      PRICE: $$5
    image: lab/web:sha-abababababab
    ports:
      - mode: ingress
        host_ip: 127.0.0.1
        target: 8080
        published: "80"
        protocol: tcp
    pull_policy: never
    read_only: true
volumes:
  data: {}
secrets:
  password:
    environment: LABSTAR_SECRET_API_KEY
configs:
  conf:
    content: |
      price: $$5
`

func TestFile(t *testing.T) {
	lab, c, err := eval(t, strings.Replace(script, "%s", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	if got := lab.Text(c); got != golden {
		t.Errorf("got\n%s\nwant\n%s\nif that is meant, raise the Version of %s", got, golden, composeOp.Name)
	}
	lab, c, err = eval(t, strings.Replace(script, "%s", `, images = "pull"`, 1))
	if err != nil {
		t.Fatal(err)
	}
	if got := lab.Text(c); !strings.Contains(got, "image: lab/web@sha256:"+strings.Repeat("ab", 32)+"\n") || strings.Contains(got, "pull_policy") {
		t.Errorf("with images = \"pull\": got\n%s", got)
	}
}

// TestDockerComposeReads hands the file to docker compose, where there is one.
func TestDockerComposeReads(t *testing.T) {
	if err := exec.Command("docker", "compose", "version").Run(); err != nil {
		t.Skip("needs docker compose, which is not installed")
	}
	lab, c, err := eval(t, strings.Replace(script, "%s", "", 1))
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "compose.yaml")
	if err := os.WriteFile(file, []byte(lab.Text(c)), 0o644); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("docker", "compose", "-f", file, "config").CombinedOutput()
	if err != nil || !strings.Contains(string(out), "PRICE: $$5") {
		t.Errorf("docker compose config: %v\n%s", err, out)
	}
}

func TestErrors(t *testing.T) {
	for args, want := range map[string]string{
		// Scale-safe.
		`{"a": {"image": "x", "container_name": "one"}}, scalable = ["a"]`:                      `services["a"]["container_name"]: got "one", but the service is to be scaled, and two containers can't have one name`,
		`{"a": {"image": "x", "container_name": "one", "deploy": {"replicas": 2}}}`:             `but the service has 2 replicas`,
		`{"a": {"image": "x", "scale": 3, "ports": ["80:80"]}}`:                                 `services["a"]["ports"][0]: got port 80 of the host, but the service has 3 replicas, and two containers can't have one port`,
		`{"a": {"image": "x", "ports": [{"target": 80, "published": 8080}]}}, scalable = ["a"]`: `got port 8080 of the host`,
		`{"a": {"image": "x", "scale": 3, "ports": ["8000-8001:80"]}}`:                          `got port 8000-8001 of the host`,
		`{"a": {"image": "x", "scale": 3, "ports": ["8000-8002:80", "80"]}}`:                    ``,
		`{"a": {"image": "x", "container_name": "one", "ports": ["80:80"]}}`:                    ``,
		`{"a": {"image": "x"}}, scalable = ["b"]`:                                               `scalable[0]: got the service "b", which is not declared`,
		// Ports of the host.
		`{"a": {"image": "x", "ports": ["80:80"]}, "b": {"image": "x", "ports": ["127.0.0.1:80:8080"]}}`:              `services["b"]["ports"][0]: got port 80/tcp of the host, which service "a" has already`,
		`{"a": {"image": "x", "ports": ["80:80"]}, "b": {"image": "x", "ports": [{"target": 1, "published": "80"}]}}`: `which service "a" has already`,
		`{"a": {"image": "x", "ports": ["53:53"]}, "b": {"image": "x", "ports": ["53:53/udp"]}}`:                      ``,
		`{"a": {"image": "x", "ports": ["127.0.0.1:80:80"]}, "b": {"image": "x", "ports": ["127.0.0.2:80:80"]}}`:      ``,
		// References.
		`{"a": {"image": "x", "depends_on": ["bb"]}, "b": {"image": "x"}}`:                        `services["a"]["depends_on"][0]: got the service "bb", which is not declared (did you mean "b"?)`,
		`{"a": {"image": "x", "depends_on": {"database": {"condition": "service_started"}}}}`:     `services["a"]["depends_on"]["database"]: got the service "database"`,
		`{"a": {"image": "x", "depends_on": ["a"]}}`:                                              `service "a" depends on itself`,
		`{"a": {"image": "x", "networks": ["bakk"]}}, networks = {"back": {}}`:                    `got the network "bakk", which is not declared (did you mean "back"?)`,
		`{"a": {"image": "x", "networks": {"front": {}}}}, networks = {"back": {}}`:               `services["a"]["networks"]["front"]: got the network "front"`,
		`{"a": {"image": "x", "networks": ["default"]}}`:                                          ``,
		`{"a": {"image": "x", "volumes": ["dta:/x"]}}, volumes = {"data": {}}`:                    `got the volume "dta", which is not declared (did you mean "data"?)`,
		`{"a": {"image": "x", "volumes": [{"type": "volume", "source": "dta", "target": "/x"}]}}`: `services["a"]["volumes"][0]["source"]: got the volume "dta"`,
		`{"a": {"image": "x", "volumes": ["/srv:/x", "./b:/b:ro", "/anonymous"]}}`:                ``,
		`{"a": {"image": "x", "secrets": ["pasword"]}}, secrets = {"password": password}`:         `got the secret "pasword", which is not declared (did you mean "password"?)`,
		`{"a": {"image": "x", "configs": [{"source": "c", "target": "/c"}]}}`:                     `services["a"]["configs"][0]["source"]: got the config "c"`,
		`{"a": {"image": "x", "network_mode": "service:b"}}`:                                      `got the service "b"`,
		`{"a": {"image": "x", "hostname": "b"}, "b": {"image": "x"}}`:                             `got "b", which is the name of another service`,
		// external.
		`{"a": {"image": "x"}}, networks = {"n": {"driver": "bridge", "external": True}}`: `networks["n"]["driver"]: got external and driver`,
		`{"a": {"image": "x"}}, networks = {"n": {"name": "x", "external": True}}`:        ``,
		`{"a": {"image": "x"}}, volumes = {"n": {"driver": "local", "external": True}}`:   `volumes["n"]["driver"]: got external and driver`,
		// Addresses.
		`{"a": {"image": "x", "environment": {"U": "http://bakend:80/x"}}, "backend": {"image": "x"}}`:                              `services["a"]["environment"]["U"]: got an address with the host "bakend", which is no service (did you mean "backend"?)`,
		`{"a": {"image": "x", "environment": ["U=mongodb://u:p@b"]}, "b": {"image": "x", "networks": ["n"]}}, networks = {"n": {}}`: `services["a"]["environment"][0]: got the address of service "b", which is on no network with "a"`,
		`{"a": {"image": "x", "environment": {"U": "http://localhost:80 http://example.org"}}, "locahost": {"image": "x"}}`:         ``,
		// What an engine refuses later.
		`{"a": {"image": "x", "ports": [80, "80:99999"]}}`: `services["a"]["ports"][1]: got the port "80:99999", want [[IP:]HOST:]CONTAINER[/udp]`,
		`{"a": {"image": "x", "ports": ["a:b"]}}`:          `services["a"]["ports"][0]: got the port "a:b"`,
		`{"a": {"image": "x", "ports": ["53:53/upd"]}}`:    `got the port "53:53/upd"`,
		`{"a": {"image": "x", "ports": [80, "81", "8080:82/TCP", "127.0.0.1::83", "[::1]:84:84", "9000-9002:9000-9002", "0:85", ":86"]}}`: ``,
		`{"a": {"image": "x", "restart": "allways"}}`:                                  `services["a"]["restart"]: got the restart policy "allways"`,
		`{"a": {"image": "x", "restart": "always:3"}}`:                                 `got the restart policy "always:3"`,
		`{"a": {"image": "x", "restart": "on-failure:3"}}`:                             ``,
		`{"a": {"image": "r.lan:5000/My/App:V1"}}`:                                     `services["a"]["image"]: got the image "r.lan:5000/My/App:V1", want lower case (did you mean "r.lan:5000/my/app:V1"?)`,
		`{"a": {"image": "R.lan:5000/app:V1@sha256:` + strings.Repeat("0", 64) + `"}}`: ``,
		`{"a": {"image": "x:${TAG}"}}`:                                                 `got the image "x:${TAG}", want [REGISTRY/]NAME`,
		`{"a": {"image": "x", "volumes": ["data:relative"]}}, volumes = {"data": {}}`:  `got the target "relative", want an absolute path`,
		`{"a": {"image": "x", "volumes": ["data:/d", {"type": "volume", "source": "data", "target": "/d/"}]}}, volumes = {"data": {}}`:                `services["a"]["volumes"][1]["target"]: got two volumes at "/d/"`,
		`{"a": {"image": "x", "volumes": ["data:/d:ro,z", "/e", "./f:/f"]}}, volumes = {"data": {}}`:                                                  ``,
		`{"a": {"image": "x", "environment": ["=x"]}}`:                                                                                                `services["a"]["environment"][0]: got "=x", want NAME=VALUE`,
		`{"a": {"image": "x", "networks": {"n": {"ipv4_address": "10.6.0.4"}}}}, networks = {"n": {"ipam": {"config": [{"subnet": "10.5.0.0/24"}]}}}`: `services["a"]["networks"]["n"]["ipv4_address"]: got the address 10.6.0.4, which is not in the subnet 10.5.0.0/24`,
		`{"a": {"image": "x", "networks": {"n": {"ipv4_address": "10.5.0.4"}}}}, networks = {"n": {}}`:                                                `which has no subnet of its own`,
		`{"a": {"image": "x", "networks": {"n": {"ipv4_address": "10.5.0.4"}}}}, networks = {"n": {"ipam": {"config": [{"subnet": "10.5.0.0/24"}]}}}`: ``,
		`{"version": "3.8", "services": {"a": {"image": "x"}}}`:                                                                                       `got a whole compose file, want its services`,
		// Names, keys, kinds.
		`{"My_App": {"image": "x"}}`:              `got the service name "My_App", want lower-case letters`,
		`{"a": {"image": "x", "environmnt": {}}}`: `services["a"]["environmnt"]: a service has no "environmnt"`,
		`{"a": {"image": "x", "x-mine": {}}}`:     ``,
		`{"a": {"build": "."}}`:                   `services["a"]["build"]: nothing is built on the way to a container`,
		`{"a": {}}`:                               `service "a" has no image`,
		`{"a": 1}`:                                `services["a"]: got int, want a dict`,
		`{}`:                                      `services: got none`,
		`{"a": {"image": "x"}}, name = "My Shop"`: `name: got "My Shop"`,
		`{"a": {"image": web}}`:                   `an artifact has no path here`,
		`{"a": {"image": "x", "environment": {"P": "@labstar-secret:password@"}}}`: `got secret "password", which would be in the compose file for all to read`,
		`{"a": {"image": "x"}}, secrets = {"p": "clear"}`:                          `secrets["p"]: got string, want secret`,
	} {
		_, _, err := eval(t, "c = compose("+args+")")
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", args, err, want)
		}
	}
	// What compose-go finds, when the file is written.
	for args, want := range map[string]string{
		`{"a": {"image": "x", "depends_on": ["b"]}, "b": {"image": "x", "depends_on": ["a"]}}`: `docker compose would refuse the file: dependency cycle detected`,
		`{"a": {"image": "x", "healthcheck": {"interval": "2 s"}}}`:                            `docker compose would refuse the file: `,
		`{"a": {"image": "x", "deploy": {"replica": 2}}}`:                                      `Additional property replica is not allowed`,
		`{"a": {"image": web.digest}}`:                                                         `want image.ref`,
	} {
		lab, c, err := eval(t, "c = compose("+args+")")
		if err != nil {
			t.Errorf("%s: %v", args, err)
			continue
		}
		if _, err := lab.TryBuild(c); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", args, err, want)
		}
	}
}

// TestHints: did-you-mean stands in the hint where the name itself is in the message.
func TestHints(t *testing.T) {
	for args, want := range map[string]string{
		`{"My_App": {"image": "x"}}`:              `did you mean "my-app"?`,
		`{"a": {"image": "x", "environmnt": {}}}`: `did you mean "environment"?`,
	} {
		_, _, err := eval(t, "c = compose("+args+")")
		var e *schema.Error
		if !errors.As(err, &e) || e.Hint != want {
			t.Errorf("%s: got %v, want the hint %s", args, err, want)
		}
	}
}

func TestDefaultNetwork(t *testing.T) {
	lab, c, err := eval(t, `c = compose({"a": {"image": "x", "networks": ["default", "back"]}}, networks = {"back": {}})`)
	if err != nil {
		t.Fatal(err)
	}
	if got := lab.Text(c); !strings.Contains(got, "\nnetworks:\n  back: {}\n  default: {}\n") {
		t.Errorf("got\n%s\nwant the default network declared", got)
	}
}

func TestProfilesAreKept(t *testing.T) {
	p := composeParams{Name: "x", Services: schema.Dict[any]{{Key: "a", Value: schema.Dict[any]{{Key: "image", Value: "x"}, {Key: "profiles", Value: []any{"debug"}}}}}}
	m, err := p.model()
	if err != nil {
		t.Fatal(err)
	}
	project, err := load(context.Background(), "x", m)
	if err != nil || len(project.Services) != 1 {
		t.Errorf("got %v and %v, want the service of a profile too", project, err)
	}
}
