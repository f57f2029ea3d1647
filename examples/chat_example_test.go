package examples

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/buildtest"
)

// The users of the test and the database's password: texts that stand nowhere by chance.
var chatSecrets = map[string]string{"ALICE": "wonder-4f1c9a", "BOB": "builder-77e2d0", "DATABASE": "d4tabase 'quoted' $x-5b8e"}

func newChat(t *testing.T) *lab { return withChat(t, "chat") }

// withChat returns an example that has the chat, with the chat's secrets and npm's
// registry of this machine.
func withChat(t *testing.T, example string) *lab {
	t.Helper()
	l := newLab(t, example, sharedStore(t))
	l.env = append(l.env, "LABSTAR_NPM_REGISTRY="+buildtest.NpmSettings(t)("npm.registry"))
	for name, value := range chatSecrets {
		l.env = append(l.env, "LABSTAR_SECRET_"+name+"="+value)
	}
	return l
}

// composeProject is a started compose file.
type composeProject struct {
	t       *testing.T
	program []string
	file    string
}

// startCompose finds docker compose: the one that is there, or Debian's, which labstar
// itself fetches.
func startCompose(t *testing.T, l *lab, file string) *composeProject {
	t.Helper()
	p := &composeProject{t: t, file: file, program: []string{"docker", "compose"}}
	if exec.Command("docker", "compose", "version").Run() != nil {
		l.writeScript("compose.star", "tool = debian_packages([\"docker-compose\"], essential = False)\n")
		l.run("--out", "tools", "compose.star")
		p.program = []string{filepath.Join(l.dir, "tools/tool/usr/libexec/docker/cli-plugins/docker-compose")}
	}
	t.Logf("%s", strings.TrimSpace(tool(t, p.program[0], append(p.program[1:], "version")...)))
	t.Cleanup(func() {
		if t.Failed() {
			out, _ := p.command("logs", "--tail", "30").CombinedOutput()
			t.Logf("%s", out)
		}
		if out, err := p.command("down", "--volumes", "--timeout", "5").CombinedOutput(); err != nil {
			t.Errorf("docker compose down: %v\n%s", err, out)
		}
	})
	return p
}

func (p *composeProject) command(args ...string) *exec.Cmd {
	all := append(append(p.program[1:len(p.program):len(p.program)], "-p", "labstar-e2e-chat", "-f", p.file), args...)
	cmd := exec.Command(p.program[0], all...)
	cmd.Env = os.Environ()
	for name, value := range chatSecrets {
		cmd.Env = append(cmd.Env, "LABSTAR_SECRET_"+name+"="+value)
	}
	return cmd
}

func (p *composeProject) run(args ...string) {
	p.t.Helper()
	started := time.Now()
	if out, err := p.command(args...).CombinedOutput(); err != nil {
		p.t.Fatalf("docker compose %v: %v\n%s", args, err, out)
	}
	p.t.Logf("docker compose %s: %.1f s", strings.Join(args, " "), time.Since(started).Seconds())
}

// TestChat starts the example on a real Docker engine, from what the script made, and
// uses it with two real browsers.
func TestChat(t *testing.T) {
	endToEnd(t)
	need(t, "docker", "chromium")
	l := newChat(t)
	port := freePort(t)
	l.edit("lab.star", `password = secret("database"),`, fmt.Sprintf("password = secret(\"database\"),\n    public_port = %s,", port))
	built := l.run("lab.star")
	t.Logf("labstar run: %s", built.raw)
	out := filepath.Join(l.dir, "out")
	secretsNowhere(t, out)

	startDocker(t)
	archives, err := filepath.Glob(filepath.Join(out, "archives/*"))
	if err != nil || len(archives) != 4 {
		t.Fatalf("got the archives %v, want four (%v)", archives, err)
	}
	for _, a := range archives {
		fi, err := os.Stat(a)
		if err != nil {
			t.Fatal(err)
		}
		t.Logf("docker load %s (%.1f MB): %s", filepath.Base(a), float64(fi.Size())/1e6,
			strings.Join(strings.Split(strings.TrimSpace(tool(t, "docker", "load", "-i", a)), "\n"), ", "))
	}
	p := startCompose(t, l, filepath.Join(out, "compose_file"))
	p.run("up", "-d", "--wait", "--scale", "backend=3")

	site := "127.0.0.1:" + port
	for _, c := range []struct {
		user, password string
		want           int
	}{{"", "", 401}, {"alice", "wrong", 401}, {"alice", chatSecrets["BOB"], 401}, {"alice", chatSecrets["ALICE"], 200}, {"bob", chatSecrets["BOB"], 200}} {
		if got := status(t, "http://"+site+"/", c.user, c.password); got != c.want {
			t.Errorf("login as %q with %q: got %d, want %d", c.user, c.password, got, c.want)
		}
	}

	alice, bob := startBrowser(t), startBrowser(t)
	enter := func(b *browser, user, password string) {
		t.Helper()
		b.open(fmt.Sprintf("http://%s:%s@%s/", user, password, site))
		b.wait("the connection of "+user, `document.getElementById("state")?.textContent === "connected"`)
	}
	say := func(b *browser, text string) {
		b.eval(fmt.Sprintf(`document.getElementById("text").value = %q; document.querySelector("button").click()`, text))
	}
	hears := func(b *browser, from, text string) {
		t.Helper()
		b.wait(fmt.Sprintf("%q of %s", text, from),
			fmt.Sprintf(`[...document.querySelectorAll("#messages li")].some(m => m.querySelector("b").textContent === %q && m.textContent === %q)`, from, from+text))
	}
	enter(alice, "alice", chatSecrets["ALICE"])
	enter(bob, "bob", chatSecrets["BOB"])
	say(alice, "hello <b>bob</b>")
	hears(bob, "alice", "hello <b>bob</b>")
	say(bob, "hello alice")
	hears(alice, "bob", "hello alice")
	t.Log("alice and bob heard each other")

	p.run("restart", "database")
	alice.wait("a message after the restart", `(() => {
		if (![...document.querySelectorAll("#messages li")].some(m => m.textContent.endsWith("still here"))) {
			if (document.getElementById("state").textContent === "connected") {
				document.getElementById("text").value = "still here"; document.querySelector("button").click();
			}
			return false;
		}
		return true; })()`)
	hears(bob, "alice", "still here")
	// The backends forget what they have read, so what a new page shows comes from the database.
	p.run("restart", "backend")
	enter(bob, "bob", chatSecrets["BOB"])
	hears(bob, "alice", "hello <b>bob</b>")
	hears(bob, "bob", "hello alice")
	hears(bob, "alice", "still here")
	t.Log("the messages are still there")
}

// status is what a GET with a login is answered with.
func status(t *testing.T, url, user, password string) int {
	t.Helper()
	req, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	if user != "" {
		req.SetBasicAuth(user, password)
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	return resp.StatusCode
}

// secretsNowhere looks for the values in all that was delivered.
func secretsNowhere(t *testing.T, dir string) {
	t.Helper()
	files := 0
	for _, pattern := range []string{"*", "archives/*", "images/*/*", "images/*/blobs/sha256/*"} {
		paths, err := filepath.Glob(filepath.Join(dir, pattern))
		if err != nil {
			t.Fatal(err)
		}
		for _, p := range paths {
			b, err := os.ReadFile(p)
			if err != nil {
				continue // a folder
			}
			files++
			for name, value := range chatSecrets {
				if bytes.Contains(b, []byte(value)) {
					t.Errorf("%s holds the secret %s", p, name)
				}
			}
		}
	}
	if files < 20 {
		t.Errorf("looked through %d files, want at least the blobs of four images", files)
	}
}

// mongoLab is the chat as in the reference lab: MongoDB's own image, and the cluster's
// volume on an NFS server.
const mongoLab = `
load("@stdlib//app.star", "compose_app", "k8s_app")
load("chat.star", "chat")

_chat = chat(
    users = {"alice": secret("alice")},
    password = secret("database"),
    database = "mongo",
    upstream = {"database": "mongo:4.4"},
    nfs = {"server": "192.168.56.10", "path": "/srv/nfs/chat"},
    replicas = 2,
)
compose_file = compose_app(_chat["app"])
manifests = k8s_manifest(k8s_app(_chat["app"]), k8s_version = "1.33..1.36")
`

// TestChatOnMongo: the variant with MongoDB, as far as it goes without its image.
func TestChatOnMongo(t *testing.T) {
	endToEnd(t)
	l := newChat(t)
	l.writeScript("mongo.star", mongoLab)
	l.run("mongo.star")
	manifests, err := os.ReadFile(filepath.Join(l.dir, "out/manifests"))
	if err != nil {
		t.Fatal(err)
	}
	file, err := os.ReadFile(filepath.Join(l.dir, "out/compose_file"))
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{"mongodb://chat@database:27017/chat?authSource=admin", "MONGO_INITDB_ROOT_PASSWORD_FILE", "image: mongo:4.4"} {
		if !strings.Contains(string(manifests), want) || !strings.Contains(string(file), want) {
			t.Errorf("the manifests or the compose file have no %s:\n%s\n%s", want, manifests, file)
		}
	}
	for _, want := range []string{"192.168.56.10", "volumeName: chat-messages", "claimName: messages", "nodePort: 30000"} {
		if !strings.Contains(string(manifests), want) {
			t.Errorf("the manifests have no %s:\n%s", want, manifests)
		}
	}
}

// TestChatOnMongoAccepted asks a real API server for the variant, in a dry run.
func TestChatOnMongoAccepted(t *testing.T) {
	endToEnd(t)
	cluster := startControlPlane(t)
	l := newChat(t)
	l.writeScript("mongo.star", mongoLab)
	l.env = append(l.env, "KUBECONFIG="+cluster.kubeconfig)
	out := l.output("apply", "mongo.star", "--dry-run=server")
	t.Log(out)
	for _, want := range []string{"create  PersistentVolume chat-messages", "create  Deployment default/database", "create  Service default/gate"} {
		if !strings.Contains(out, want) {
			t.Errorf("got no %q:\n%s", want, out)
		}
	}
}

// TestMongoFollows has two backends on a MongoDB server, if one is named, tell each other
// of messages: the driver and its code for real.
func TestMongoFollows(t *testing.T) {
	endToEnd(t)
	server := os.Getenv("LABSTAR_E2E_MONGO")
	if server == "" {
		t.Skip("needs a MongoDB server: set LABSTAR_E2E_MONGO to mongodb://USER@HOST:PORT/DATABASE?…, and LABSTAR_E2E_MONGO_PASSWORD")
	}
	need(t, "node")
	l := newChat(t)
	l.writeScript("modules.star", `modules = npm_packages(lock = file("backend/package-lock.json"))`)
	l.run("modules.star")
	if err := os.CopyFS(filepath.Join(l.dir, "backend"), os.DirFS(filepath.Join(l.dir, "out/modules"))); err != nil {
		t.Fatal(err)
	}
	password := filepath.Join(l.dir, "password")
	if err := os.WriteFile(password, []byte(os.Getenv("LABSTAR_E2E_MONGO_PASSWORD")), 0o600); err != nil {
		t.Fatal(err)
	}
	start := func() (port string, cmd *exec.Cmd) {
		port = freePort(t)
		cmd = exec.Command("node", "server.js")
		cmd.Dir = filepath.Join(l.dir, "backend")
		cmd.Env = append(os.Environ(), "PORT="+port, "PASSWORD_FILE="+password, "DATABASE_URL="+server)
		cmd.Stderr = os.Stderr
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() {
			_ = cmd.Process.Kill()
			_ = cmd.Wait()
		})
		for range 100 {
			if resp, err := http.Get("http://127.0.0.1:" + port + "/healthz"); err == nil {
				resp.Body.Close()
				if resp.StatusCode == http.StatusOK {
					return port, cmd
				}
			}
			time.Sleep(200 * time.Millisecond)
		}
		t.Fatal("the backend does not get ready")
		return
	}
	one, _ := start()
	two, _ := start()
	text := fmt.Sprintf("hello %d", time.Now().UnixNano())
	// A client of the second hears what a client of the first says, and one that comes later too.
	script := `
		const { WebSocket } = require('ws');
		const [one, two, text] = process.argv.slice(1);
		const hear = (port, then) => {
			const s = new WebSocket('ws://127.0.0.1:' + port + '/ws', { headers: { 'x-forwarded-user': 'alice' } });
			s.on('message', (m) => { const { name, text: t } = JSON.parse(m); if (t === text && name === 'alice') then(); });
			return s;
		};
		hear(two, () => hear(two, () => { console.log('heard'); process.exit(0); })).on('open', () => {
			const s = hear(one, () => {});
			s.on('open', () => s.send(JSON.stringify({ text })));
		});
		setTimeout(() => { console.error('not heard'); process.exit(1); }, 60000);`
	cmd := exec.Command("node", "-e", script, one, two, text)
	cmd.Dir = filepath.Join(l.dir, "backend")
	out, err := cmd.CombinedOutput()
	if err != nil || !strings.Contains(string(out), "heard") {
		t.Errorf("%v: %s", err, out)
	}
}
