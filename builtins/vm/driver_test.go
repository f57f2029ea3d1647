package vm

import (
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// play runs the driver with a machine that is a perl script (testdata/guest.pl),
// and returns what it gives as the reason of a failure, and the console.
func play(t *testing.T, mode string, steps ...string) (reason, console string) {
	t.Helper()
	perl, err := exec.LookPath("perl")
	if err != nil {
		t.Skip("needs perl")
	}
	guest, err := filepath.Abs("testdata/guest.pl")
	if err != nil {
		t.Fatal(err)
	}
	dir, tmp := t.TempDir(), t.TempDir()
	args := []string{"-e", driver, "--", "arch=x86_64", "accel=tcg", "cpu_tcg=max", "tmp=" + tmp, "program=" + perl, "qemu=mode=" + mode,
		"timeout=20", "result={}\n"}
	// QEMU's arguments come after the accelerator's, which perl would take for its own.
	wrapper := filepath.Join(tmp, "qemu")
	if err := os.WriteFile(wrapper, []byte(fmt.Sprintf("#!/bin/sh\nexec %s %s \"$@\"\n", perl, guest)), 0o755); err != nil {
		t.Fatal(err)
	}
	args[7] = "program=" + wrapper
	for _, f := range fatal {
		args = append(args, "fatal="+f)
	}
	cmd := exec.Command(perl, append(args, steps...)...)
	cmd.Dir = dir
	began := time.Now()
	out, err := cmd.CombinedOutput()
	if d := time.Since(began); d > 15*time.Second {
		t.Errorf("%s: it took %v", mode, d)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return ""
		}
		return string(b)
	}
	reason, console = strings.TrimSuffix(read("reason"), "\n"), read("console")
	if passed := read("result") == "{}\n"; passed != (err == nil) || passed != (reason == "") {
		t.Errorf("%s: %v, reason %q, result %q\n%s", mode, err, reason, read("result"), out)
	}
	if !strings.Contains(string(out), console) {
		t.Errorf("%s: printed\n%s\nand the console is\n%s", mode, out, console)
	}
	return reason, console
}

var loggedIn = []string{"+login", `shown=vm_login("root")`, "user=root", "password=lab", `prompt=[#$] ?\z`}

func step(kind string, fields ...string) []string {
	return append([]string{"+" + kind, "shown=" + kind}, fields...)
}

func TestDriver(t *testing.T) {
	var steps []string
	for _, s := range [][]string{
		step("expect", "regex=^Loading kernel$"), loggedIn,
		step("run", "command=echo one; echo two", "exit=0", "equal=one\ntwo", "output=^two$"),
		step("run", "command=echo \"it's\"\nexit 3", "exit=3", "equal=it's"),
		step("run", "command=printf 'no line break'", "equal=no line break"),
		step("run", "command=true", "exit=0", "equal="),
		step("send", "text=echo hi there\n"), step("expect", "regex=^hi there$"),
		step("poweroff", "command=poweroff"),
	} {
		steps = append(steps, s...)
	}
	reason, console := play(t, "good", steps...)
	if reason != "" {
		t.Errorf("got %s\n%s", reason, console)
	}
	for _, want := range []string{"[labstar] QEMU without KVM: asked for\n", "\nLoading kernel\n", "\n[labstar] step 9 of 9: poweroff\n", "\n[labstar] passed\n"} {
		if !strings.Contains(console, want) {
			t.Errorf("got the console %q, want %q", console, want)
		}
	}
}

// A shell that is slow prompts after the next command was typed.
func TestDriverSlowShell(t *testing.T) {
	steps := append(append([]string(nil), loggedIn...), step("run", "command=echo one", "equal=one")...)
	steps = append(steps, step("run", "command=echo two; exit 3", "exit=3", "equal=two")...)
	reason, console := play(t, "slow", append(steps, step("poweroff", "command=poweroff")...)...)
	if reason != "" || !strings.Contains(console, "# labstar-begin-2\n") {
		t.Errorf("got %s\n%s", reason, console)
	}
}

func TestDriverFailures(t *testing.T) {
	after := func(s []string) []string { return append(append([]string(nil), loggedIn...), s...) }
	for _, c := range []struct {
		mode  string
		steps []string
		want  string
	}{
		{"panic", step("expect", "regex=login"), `step 1 of 1, expect: waiting for it: the machine said "Kernel panic - not syncing: VFS: no root"`},
		{"off", step("expect", "regex=login"), `step 1 of 1, expect: waiting for it: the machine powered off or reset`},
		{"crash", step("expect", "regex=login"), `step 1 of 1, expect: waiting for it: QEMU was ended by signal 11: `},
		{"broken", step("expect", "regex=login"), `step 1 of 1, expect: waiting for it: QEMU ended with exit code 1: qemu: -device nonsense: no such device`},
		{"good", step("expect", "regex=never", "timeout=1"), `step 1 of 1, expect: waiting for it: the time is over, and the console's last line is "machine login: "`},
		{"good", append(step("login", "user=root", "password=no", "prompt=# "), loggedIn...), `step 1 of 2, login: the login was refused ("Login incorrect")`},
		{"good", after(step("run", "command=echo a; (exit 4)", "exit=0")), `step 2 of 2, run: got exit code 4, want 0; it printed "a"`},
		{"good", after(step("run", "command=echo a", "output=^b")), `step 2 of 2, run: got output "a", want a match of ^b`},
		{"good", after(step("run", "command=echo a", "equal=b")), `step 2 of 2, run: got output "a", want "b"`},
		{"good", after(step("run", "command=sleep 9", "timeout=1")), `step 2 of 2, run: waiting for its end: the time is over, and `},
		{"hangs", after(step("poweroff", "command=poweroff", "timeout=1")), `step 2 of 2, poweroff: the machine is still on: the time is over`},
		{"good", step("expect", "regex=(?U)x"), `step 1 of 1, expect: compiling the regular expression (?U)x: `},
	} {
		reason, console := play(t, c.mode, c.steps...)
		if !strings.HasPrefix(reason, c.want) {
			t.Errorf("%s %q\ngot  %s\nwant %s\n%s", c.mode, c.steps, reason, c.want, console)
		}
	}
}

func port(t *testing.T, address string) string {
	t.Helper()
	_, p, err := net.SplitHostPort(address)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// Ports are checked over the sandbox' own network, where QEMU forwards them.
func TestDriverPorts(t *testing.T) {
	starting := 2
	web := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/slow" && starting > 0 { // a server whose backend is not up yet
			starting--
			http.Error(w, "not yet", http.StatusBadGateway)
			return
		}
		if r.URL.Path == "/nothing" {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("X-Lab", "yes")
		fmt.Fprintf(w, "%s %s %s\n<h1>It works</h1>\n", r.Method, r.URL.Path, r.Header.Get("X-Test"))
	}))
	defer web.Close()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			fmt.Fprint(c, "SSH-2.0-test\r\n")
			defer c.Close()
		}
	}()
	closed, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	none := port(t, closed.Addr().String())
	closed.Close()
	at := "port=" + port(t, web.Listener.Addr().String())
	ask := func(path string, more ...string) []string {
		return step("http", append([]string{at, "path=" + path, "method=GET", "data=", "header=Host: x", "header=X-Test: t", "timeout=5"}, more...)...)
	}
	var good []string
	for _, s := range [][]string{
		ask("/", "status=200", "body=^GET / t$", "body=It works", "headers=^x-lab: yes"),
		ask("/slow", "status=200"), ask("/nothing", "status=404"),
		step("tcp", "port="+port(t, l.Addr().String()), "guest=22", "banner=^SSH-2"),
		step("tcp", "port="+port(t, l.Addr().String()), "guest=22", "banner="),
	} {
		good = append(good, s...)
	}
	if reason, console := play(t, "good", good...); reason != "" {
		t.Errorf("got %s\n%s", reason, console)
	}
	for _, c := range []struct {
		steps []string
		want  string
	}{
		{ask("/", "status=301"), `got status 200 OK, want 301`},
		{ask("/", "status=200", "body=broken"), "got the body \"GET / t\n<h1>It works</h1>\n\", want a match of broken"},
		{ask("/", "status=200", "headers=^X-Lab: no"), `want a match of ^X-Lab: no`},
		{step("tcp", "port="+none, "guest=80", "banner=", "timeout=1"), `step 1 of 1, tcp: the time is over: nothing listens`},
		{step("tcp", "port="+port(t, l.Addr().String()), "guest=22", "banner=^HTTP", "timeout=1"), "the time is over: got \"SSH-2.0-test\r\n\", want a match of ^HTTP"},
	} {
		if reason, console := play(t, "good", c.steps...); !strings.Contains(reason, c.want) {
			t.Errorf("%q\ngot  %s\nwant %s\n%s", c.steps, reason, c.want, console)
		}
	}
}

// A password that is a secret is typed, and is in nothing that is printed or kept,
// however the machine says it.
func TestDriverSecret(t *testing.T) {
	t.Setenv("LABSTAR_SECRET_ROOT", "sesame-1")
	login := step("login", "user=root", "secret=LABSTAR_SECRET_ROOT", `prompt=[#$] ?\z`)
	say := step("run", `command=echo "<ses""ame-1>"; printf "<ses"; sleep 0.3; echo "ame-1>"; printf "sesa"; sleep 0.3; echo ; env | grep -c LABSTAR_SECRET_ROOT`, "exit=1", "output=^<sesame-1>$", `output=^<sesame-1>\nsesa$`)
	reason, console := play(t, "good", append(login, say...)...)
	if reason != "" {
		t.Fatalf("got %s\n%s", reason, console)
	}
	if strings.Contains(console, "sesame-1") || strings.Count(console, "<********>\n") != 2 || !strings.Contains(console, "\nsesa\n") {
		t.Errorf("got the console\n%s", console)
	}
	reason, console = play(t, "good", append(login, step("run", `command=echo "ses""ame-1"`, "equal=no")...)...)
	if want := `step 2 of 2, run: got output "********", want "no"`; reason != want || strings.Contains(console, "sesame-1") {
		t.Errorf("got %s\nwant %s\n%s", reason, want, console)
	}
}
