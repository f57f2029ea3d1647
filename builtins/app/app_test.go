package app

import (
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/go-crypt/x/bcrypt"
	"go.starlark.net/starlark"

	"github.com/labstar/labstar/internal/buildtest"
	"github.com/labstar/labstar/starlark/schema"
)

func predeclared(lab *buildtest.Lab) starlark.StringDict {
	return starlark.StringDict{
		"alice": &schema.Secret{Name: "alice"}, "bob": &schema.Secret{Name: "bob"},
		"html":  lab.File("<a>\n<script>new WebSocket(new URL('{{CHAT}}', location.href))</script>\n"),
		"fixed": lab.File("<script>\nnew WebSocket('ws://backend:3000/ws')</script>\n"),
		"built": schema.NewArtifact(lab.Tree(nil).Artifact, "tree", nil),
	}
}

const endpoints = `
backend = endpoint("backend", 3000)
database = endpoint("database", 5432, scheme = "postgres")
gate = endpoint("gate", 8080, public_port = 80, node_port = 30000)
`

func eval(t *testing.T, script string) (*buildtest.Lab, starlark.StringDict, error) {
	t.Helper()
	lab := buildtest.New(t)
	g, err := lab.TryEval(Builtins(), endpoints+script, predeclared(lab))
	return lab, g, err
}

func TestLinks(t *testing.T) {
	for script, want := range map[string]string{
		`"plain"`:     `[]`,
		`backend.url`: `["backend"]`,
		`{"A": "x%s/y" % database.address, "B": ["http://" + backend.host, 1]}`: `["backend", "database"]`,
		`gate`: `["gate"]`,
		`page("{{A}}", {"A": gate.browser_url + "ws"})`: `[]`,
		`gate.public_port`: `[]`,
	} {
		_, g, err := eval(t, "l = links_in("+script+")")
		if err != nil || g["l"].String() != want {
			t.Errorf("%s: got %v, %v, want %s", script, g["l"], err, want)
		}
	}
	_, g, err := eval(t, `r = [backend.name, backend.port, backend.exposed, backend.public_port, gate.node_port, gate.browser_url + "ws", type(gate.browser_url), "%s" % gate.browser_url]`)
	if err != nil || g["r"].String() != `["backend", 3000, False, None, 30000, /ws, "browser_url", "/"]` {
		t.Errorf("got %v, %v", g["r"], err)
	}
}

func TestPage(t *testing.T) {
	lab, g, err := eval(t, `p = page(html, {"CHAT": gate.browser_url + "ws"}, name = "index.html")`)
	if err != nil {
		t.Fatal(err)
	}
	if got, want := lab.Text(g["p"]), "<a>\n<script>new WebSocket(new URL('/ws', location.href))</script>\n"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestErrors(t *testing.T) {
	for script, want := range map[string]string{
		`endpoint("My_App", 80)`:                          `name: got "My_App", want lower-case letters`,
		`endpoint("a", 0)`:                                `port: got 0, want a port`,
		`endpoint("a", 70000)`:                            `port: got 70000`,
		`endpoint("a", 1, node_port = 80)`:                `node_port: got 80, want a port from 30000 to 32767`,
		`backend.browser_url`:                             `endpoint "backend" is not reached from outside`,
		`backend.adress`:                                  `did you mean .address?`,
		`page(html, {"CHAT": backend.url})`:               `values["CHAT"]: got the address of "backend", which is a name inside of the application that no browser can resolve`,
		`page(html, {"CHAT": "ws://" + backend.address})`: `got the address of "backend"`,
		`page(html, {"CHAT": backend})`:                   `got an endpoint, want the browser_url`,
		`page(html, {"CHAT": 1.5})`:                       `got float, want a string`,
		`page(html)`:                                      `got no value for {{CHAT}} of the page`,
		`page(html, {"CHAT": "x", "CHATT": "y"})`:         `the page has no {{CHATT}}, so it has no effect (did you mean "CHAT"?)`,
		`page(fixed)`:                                     `source: line 2: got ws://backend, which no browser can resolve`,
		`page("http://192.168.1.4:3000/")`:                `line 1: got http://192.168.1.4, which is the address of one machine`,
		`page("http://localhost/")`:                       `which is the machine of whoever looks at the page`,
		`page("https://example.org/ wss://a.b")`:          ``,
		`page(built)`:                                     `want a file of the lab's own or a string`,
		`page(1)`:                                         `source: got int, want a file or a string`,
		`htpasswd({})`:                                    `users: got none`,
		`htpasswd({"a:b": alice})`:                        `got the user name "a:b"`,
		`htpasswd({"a": "clear"})`:                        `users["a"]: got string, want secret`,
		`htpasswd({"a": alice}, cost = 4)`:                `cost: got 4, want 5 to 16`,
	} {
		_, _, err := eval(t, "x = "+script)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", script, err, want)
		}
	}
}

func TestBcrypt(t *testing.T) {
	one, err := bcryptHash("pass word", "htpasswd of alice", 5)
	if err != nil {
		t.Fatal(err)
	}
	if err := bcrypt.CompareHashAndPassword([]byte(one), []byte("pass word")); err != nil {
		t.Error(err)
	}
	const golden = "$2y$05$"
	again, _ := bcryptHash("pass word", "htpasswd of alice", 5)
	bob, _ := bcryptHash("pass word", "htpasswd of bob", 5)
	other, _ := bcryptHash("password", "htpasswd of alice", 5)
	if one != again || one[:29] == bob[:29] || one[:29] == other[:29] || !strings.HasPrefix(one, golden) {
		t.Errorf("got %s, %s, %s, %s, want the first two alike and three salts", one, again, bob, other)
	}
	for _, bad := range []string{"", strings.Repeat("x", 73)} {
		if _, err := bcryptHash(bad, "x", 5); err == nil {
			t.Errorf("%d bytes: got no error", len(bad))
		}
	}
	// What the C library makes of the hash is what nginx goes by.
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("needs perl, which is not installed")
	}
	out, err := exec.Command(perl, "-e", `print crypt($ARGV[0], $ARGV[1])`, "pass word", one).Output()
	if err != nil || string(out) != one {
		t.Errorf("crypt(3) gives %q (%v), want %q", out, err, one)
	}
}

func TestHtpasswd(t *testing.T) {
	values := map[string]string{"alice": "one", "bob": "one"}
	build := func() string {
		lab := buildtest.New(t)
		lab.Secrets = values
		g, err := lab.TryEval(Builtins(), `h = htpasswd({"alice": alice, "bob": bob}, cost = 5)`, predeclared(lab))
		if err != nil {
			t.Fatal(err)
		}
		return lab.Text(g["h"])
	}
	text := build()
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if len(lines) != 2 {
		t.Fatalf("got %q, want two lines", text)
	}
	for i, user := range []string{"alice", "bob"} {
		name, hash, _ := strings.Cut(lines[i], ":")
		if err := bcrypt.CompareHashAndPassword([]byte(hash), []byte("one")); name != user || err != nil {
			t.Errorf("got line %q: %v", lines[i], err)
		}
	}
	if again := build(); again != text {
		t.Errorf("got %q, then %q", text, again)
	}
	values["bob"] = "two"
	if changed := build(); strings.Split(changed, "\n")[0] != lines[0] || changed == text {
		t.Errorf("got %q after a change of one password of %q", changed, text)
	}
}

func ExampleBrowserURL() {
	fmt.Println(BrowserURL{"/ws"})
	// Output: /ws
}
