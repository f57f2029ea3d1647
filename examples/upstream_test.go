package examples

import (
	"fmt"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/labstar/labstar/internal/cluster"
	"github.com/labstar/labstar/internal/registry/registrytest"
)

// standIns are images under the names of the upstream ones. nginx and Node.js are
// Debian's, oauth2-proxy is built from its own sources, and of MongoDB there is but a
// shell called mongo.
const standIns = `
nginx = oci_image([debian_layer(["nginx", "curl"], essential = False, exclude = ["iproute2", "debconf"])], name = "library/nginx:1.19.5")
node = oci_image([debian_layer(["nodejs"], essential = False, exclude = ["node-corepack"])], name = "library/node:14")
mongo = oci_image(
    [debian_layer(["busybox-static"], essential = False), tree(symlinks = {"usr/bin/mongo": "busybox"})],
    name = "library/mongo:4.4", entrypoint = ["mongo"], volumes = ["/data/db"],
)
proxy = oci_image(
    [tree({"bin/oauth2-proxy": file("oauth2-proxy")}, modes = {"bin/oauth2-proxy": 0o755})],
    name = "oauth2-proxy/oauth2-proxy:v7.15.6", entrypoint = ["/bin/oauth2-proxy"], user = "65532",
)
`

// upstreamLab is the chat with each upstream image by itself, and with all.
const upstreamLab = `
load("@stdlib//app.star", "app_report", "compose_app", "k8s_app")
load("chat.star", "chat")

_UPSTREAM = {
    "frontend": oci_pull("nginx:1.19.5"),
    "backend": oci_pull("node:14"),
    "database": oci_pull("mongo:4.4"),
    "gate": oci_pull("quay.io/oauth2-proxy/oauth2-proxy:v7.15.6"),
}

def _variant(*names):
    return chat(
        users = {"alice": secret("alice"), "bob": secret("bob")},
        password = secret("database"),
        database = "mongo" if "database" in names else "postgres",
        cookie = secret("cookie") if "gate" in names else None,
        upstream = {name: _UPSTREAM[name] for name in names},
    )

_variants = {name: _variant(name) for name in _UPSTREAM} | {"all": _variant(*_UPSTREAM)}
images = {name: {part: image.layout for part, image in v["images"].items()} for name, v in _variants.items()}
compose_files = {name: compose_app(v["app"]) for name, v in _variants.items()}
manifests = {name: k8s_manifest(k8s_app(v["app"]), k8s_version = "1.33..1.36") for name, v in _variants.items()}
`

// TestChatUpstream pulls images under the names of the upstream ones from a real
// registry and makes the chat of them, one by one and all together. It shows that the
// parameters work, from the pull to a compose file and manifests that pass all checks
// and, where there is an API server, its own; that the images are in them by the digests
// that the registry has; and that the real oauth2-proxy, with the settings of the
// manifests, lets in who has a password and nobody else. It does not show that the
// upstream images hold what these have at the same places, nor anything of MongoDB.
func TestChatUpstream(t *testing.T) {
	endToEnd(t)
	need(t, "docker-registry")
	host := strings.TrimPrefix(registrytest.Docker(t), "http://")
	l := newChat(t)
	l.env = append(l.env, "LABSTAR_OCI_MIRROR=docker.io="+host+" quay.io="+host, "LABSTAR_SECRET_COOKIE=0123456789abcdef0123456789abcdef")
	proxy := oauth2Proxy(t)
	if err := os.Link(proxy, filepath.Join(l.dir, "oauth2-proxy")); err != nil {
		t.Fatal(err)
	}
	l.writeScript("standins.star", standIns)
	l.output("push", "standins.star", "--registry", host)
	l.writeScript("upstream.star", upstreamLab)
	l.run("upstream.star")

	out := filepath.Join(l.dir, "out")
	secretsNowhere(t, out)
	read := func(path string) string {
		b, err := os.ReadFile(filepath.Join(out, path))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	// Those that the images are made on are in them; the others run as they are.
	for _, ref := range []string{"mongo:4.4", "quay.io/oauth2-proxy/oauth2-proxy:v7.15.6"} {
		path, name := "library/mongo", "mongo"
		if strings.HasPrefix(ref, "quay.io/") {
			path, name = "oauth2-proxy/oauth2-proxy", "quay.io/oauth2-proxy/oauth2-proxy"
		}
		_, tag, _ := strings.Cut(strings.TrimPrefix(ref, "quay.io/"), ":")
		digest := digestOf(t, host, path, tag)
		// An engine that was given an image knows no digest of it, so it has another name there.
		short := strings.TrimPrefix(digest, "sha256:")[:12]
		for file, want := range map[string]string{"compose_files/all": name + ":sha-" + short, "manifests/all": name + "@" + digest} {
			if text := read(file); !strings.Contains(text, "image: "+want+"\n") {
				t.Errorf("%s does not have %s:\n%s", file, want, text)
			}
		}
	}
	if server := os.Getenv("LABSTAR_E2E_KUBECONFIG"); server != "" || haveControlPlane() {
		l.env = append(l.env, "KUBECONFIG="+apiServer(t))
		for _, name := range []string{"frontend", "backend", "database", "gate", "all"} {
			l.writeScript("one.star", strings.ReplaceAll(upstreamLab, "in _variants.items()}", fmt.Sprintf("in _variants.items() if name == %q}", name)))
			if got := l.output("apply", "one.star", "manifests", "--dry-run=server"); !strings.Contains(got, "create  Deployment default/gate") {
				t.Errorf("%s: the server takes\n%s", name, got)
			}
		}
	}
	objects, err := cluster.Parse([]byte(read("manifests/gate")))
	if err != nil {
		t.Fatal(err)
	}
	testLogin(t, proxy, objects)
}

// digestOf asks the registry itself.
func digestOf(t *testing.T, host, path, tag string) string {
	t.Helper()
	req, err := http.NewRequest(http.MethodHead, "http://"+host+"/v2/"+path+"/manifests/"+tag, nil)
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Accept", "application/vnd.oci.image.manifest.v1+json")
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	digest := resp.Header.Get("Docker-Content-Digest")
	if digest == "" {
		t.Fatalf("%s:%s: the registry says %s", path, tag, resp.Status)
	}
	return digest
}

// oauth2Proxy builds the program from its module, once for all runs of the tests on
// this machine.
func oauth2Proxy(t *testing.T) string {
	t.Helper()
	const version = "v7.15.6"
	dir := filepath.Join(filepath.Dir(sharedStore(t)), "labstar-e2e-tools", version)
	bin := filepath.Join(dir, "oauth2-proxy")
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	install := exec.Command("go", "install", "github.com/oauth2-proxy/oauth2-proxy/v7@"+version)
	install.Env = append(os.Environ(), "GOBIN="+dir, "GOFLAGS=", "CGO_ENABLED=0")
	if out, err := install.CombinedOutput(); err != nil {
		t.Fatalf("building oauth2-proxy: %v\n%s", err, out)
	}
	return bin
}

// testLogin starts the proxy as the gate's Deployment does, but for its address, its
// upstream and the folder of its secrets, and logs in.
func testLogin(t *testing.T, proxy string, objects []*cluster.Object) {
	frontend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "the page, for %s at %s", r.Header.Get("X-Forwarded-User"), r.URL.Path)
	}))
	t.Cleanup(frontend.Close)
	secrets, port := t.TempDir(), freePort(t)
	write := func(name, text string) {
		if err := os.WriteFile(filepath.Join(secrets, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("cookie", "0123456789abcdef0123456789abcdef")
	var env []string
	for _, o := range objects {
		switch {
		case o.GetKind() == "Secret":
			users, _, err := unstructured.NestedString(o.Object, "stringData", "users")
			if err != nil {
				t.Fatal(err)
			}
			if users != "" { // hashes of passwords
				write("users", users)
			}
		case o.GetKind() == "Deployment" && o.GetName() == "gate":
			containers, _, err := unstructured.NestedSlice(o.Object, "spec", "template", "spec", "containers")
			if err != nil || len(containers) != 1 {
				t.Fatalf("got %d containers of the gate: %v", len(containers), err)
			}
			list, _ := at(containers[0], "env").([]any)
			for _, e := range list {
				value := str(e, "value")
				switch str(e, "name") {
				case "OAUTH2_PROXY_HTTP_ADDRESS":
					value = "127.0.0.1:" + port
				case "OAUTH2_PROXY_UPSTREAMS":
					value = frontend.URL
				}
				env = append(env, str(e, "name")+"="+strings.Replace(value, "/run/secrets/", secrets+"/", 1))
			}
		}
	}
	if len(env) != 14 {
		t.Errorf("got the settings %q, want fourteen", env)
	}
	cmd := exec.Command(proxy)
	cmd.Env = env
	site := "http://127.0.0.1:" + port
	registrytest.Serve(t, cmd, func() bool {
		resp, err := http.Get(site + "/ping") // what the readiness probe asks
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	visit := func(user, password string) (int, string) {
		jar, err := cookiejar.New(nil)
		if err != nil {
			t.Fatal(err)
		}
		c := &http.Client{Jar: jar}
		if user != "" {
			resp, err := c.PostForm(site+"/oauth2/sign_in", url.Values{"username": {user}, "password": {password}})
			if err != nil {
				t.Fatal(err)
			}
			resp.Body.Close()
		}
		resp, err := c.Get(site + "/chat")
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		b := make([]byte, 200)
		n, _ := resp.Body.Read(b) // as much as the page has
		return resp.StatusCode, string(b[:n])
	}
	for _, tc := range []struct {
		user, password string
		code           int
	}{{"", "", 403}, {"alice", "wrong", 403}, {"alice", chatSecrets["BOB"], 403}, {"alice", chatSecrets["ALICE"], 200}, {"bob", chatSecrets["BOB"], 200}} {
		code, page := visit(tc.user, tc.password)
		if want := "the page, for " + tc.user + " at /chat"; code != tc.code || (code == 200) != (page == want) {
			t.Errorf("as %q with %q: got %d and %.60q, want %d", tc.user, tc.password, code, page, tc.code)
		}
	}
}
