package examples

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// testResults runs `labstar test --json args…` and returns how each test ended.
func (l *lab) testResults(args ...string) (map[string]map[string]any, string) {
	l.t.Helper()
	cmd := l.command(append([]string{"test", "--json"}, args...)...)
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err := cmd.Run() // whether it failed is in what it prints
	results := map[string]map[string]any{}
	for line := range strings.Lines(stdout.String()) {
		var m map[string]any
		if json.Unmarshal([]byte(line), &m) == nil && m["event"] == "test" {
			results[fmt.Sprint(m["name"])] = m
		}
	}
	if len(results) == 0 {
		l.t.Fatalf("labstar test %v: %v\n%s%s", args, err, &stdout, &stderr)
	}
	return results, stdout.String() + stderr.String()
}

// Every machine of the example does what its test says, and none runs twice.
func TestMachines(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "machine", sharedStore(t))
	first, out := l.testResults("--junit", filepath.Join(l.dir, "report.xml"), "lab.star")
	for name, r := range first {
		if r["status"] != "passed" && r["status"] != "cached" {
			t.Errorf("%s: %s: %s", name, r["status"], r["message"])
		}
	}
	if t.Failed() {
		t.Fatalf("output:\n%s", out)
	}
	report, err := os.ReadFile(filepath.Join(l.dir, "report.xml"))
	if err != nil || !strings.Contains(string(report), fmt.Sprintf(`tests="%d" failures="0"`, len(first))) {
		t.Errorf("got the report %s (%v)", report, err)
	}
	began := time.Now()
	second, _ := l.testResults("lab.star")
	for name, r := range second {
		if r["status"] != "cached" {
			t.Errorf("the second time: %s: %s", name, r["status"])
		}
	}
	t.Logf("%d tests, from the store in %v", len(second), time.Since(began))
}

// failingTests are machines that do not do what is expected of them.
const failingTests = `
load("lab.star", "linux", "initrd")
load("@stdlib//toolchains.star", "machine_tools")

def machine(name, steps, **more):
    return vm_test(toolchain = machine_tools(), kernel = linux, append = "quiet", name = name, steps = steps, **more)

panic = machine("panic", [vm_expect("login:")])
output = machine("output", [vm_login(password = "lab"), vm_run("echo one; echo two", output = "three")], initrd = initrd)
code = machine("code", [vm_login(password = "lab"), vm_run("exit_with() { return 3; }; exit_with")], initrd = initrd)
late = machine("late", [vm_expect("login: "), vm_expect("never said", timeout = 2)], initrd = initrd)
refused = machine("refused", [vm_login(password = "wrong")], initrd = initrd)
off = machine("off", [vm_login(password = "lab"), vm_send("poweroff"), vm_expect("hello")], initrd = initrd)
nothing = vm_test(toolchain = machine_tools(), disk = text("no loader here\n"), name = "nothing", steps = [vm_expect("login:")])
status = machine("status", [vm_http(80, status = 301)], initrd = initrd)
kept = machine("kept", [vm_expect("never said")], initrd = initrd, forbid = ["login: "])
good = machine("good", [vm_expect("login: ")], initrd = initrd)
`

// What a failure tells: the step, what came instead, and where the console is.
func TestMachineFailures(t *testing.T) {
	endToEnd(t)
	l := newLab(t, "machine", sharedStore(t))
	l.writeScript("fail.star", failingTests)
	results, out := l.testResults("fail.star")
	for name, want := range map[string]string{
		"panic":   `step 1 of 1, vm_expect("login:"): waiting for it: the machine said "Kernel panic - not syncing: VFS: Unable to mount root fs`,
		"output":  `step 2 of 2, vm_run("echo one; echo two"): got output "one` + "\n" + `two", want a match of three`,
		"code":    `got exit code 3, want 0; it printed ""`,
		"late":    `step 2 of 2, vm_expect("never said"): waiting for it: the time is over, and the console's last line is "machine login: "`,
		"refused": `step 1 of 1, vm_login("root"): the login was refused ("Login incorrect")`,
		"off":     `step 3 of 3, vm_expect("hello"): waiting for it: the machine powered off or reset`,
		"nothing": `waiting for it: the machine said "Boot failed: could not read the boot disk"`,
		"status":  `step 1 of 1, vm_http(80, "/"): got status 200 OK, want 301`,
		"kept":    `waiting for it: the machine said "login: "`,
	} {
		r := results[name]
		if r["status"] != "failed" || !strings.Contains(fmt.Sprint(r["message"]), want) {
			t.Errorf("%s: got %v: %v\nwant %s", name, r["status"], r["message"], want)
			continue
		}
		console, err := os.ReadFile(fmt.Sprint(r["log"]))
		if err != nil || !strings.Contains(string(console), "[labstar] step 1 of") {
			t.Errorf("%s: the log %v is no console (%v)", name, r["log"], err)
		}
	}
	if s := results["good"]["status"]; s != "passed" && s != "cached" {
		t.Errorf("the test that is right: %v\n%s", s, out)
	}
}

// keyTest is a machine that lets in who has the key, and asks for no password.
const keyTest = `
load("lab.star", "linux", "root")
load("@stdlib//toolchains.star", "machine_tools")
_public = file("id.pub")
_initrd = initramfs(rootfs([root], files = {"/root/.ssh/authorized_keys": _public},
    modes = {"/root": 0o700, "/root/.ssh": 0o700, "/root/.ssh/authorized_keys": 0o600}, overwrite = True))

def _machine(name, step):
    return vm_test(toolchain = machine_tools(), kernel = linux, initrd = _initrd, append = "quiet", name = name, steps = [step])

right = _machine("right", vm_ssh("id -un", key = file("id"), equal = "root"))
wrong = _machine("wrong", vm_ssh("id -un", key = file("other")))
`

func TestMachineKey(t *testing.T) {
	endToEnd(t)
	need(t, "ssh-keygen")
	l := newLab(t, "machine", sharedStore(t))
	for _, name := range []string{"id", "other"} {
		tool(t, "ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", filepath.Join(l.dir, name))
	}
	l.writeScript("key.star", keyTest)
	results, out := l.testResults("key.star")
	if r := results["right"]; r["status"] != "passed" {
		t.Errorf("with the key: %v: %v\n%s", r["status"], r["message"], out)
	}
	want := `step 1 of 1, vm_ssh("id -un"): ssh failed: root@127.0.0.1: Permission denied`
	if r := results["wrong"]; r["status"] != "failed" || !strings.Contains(fmt.Sprint(r["message"]), want) {
		t.Errorf("with another key: got %v: %v\nwant %s", r["status"], r["message"], want)
	}
}

// TestBoot starts a machine on a terminal of its own and uses it as a person does.
func TestBoot(t *testing.T) {
	endToEnd(t)
	need(t, "script", "pgrep")
	l := newLab(t, "machine", sharedStore(t))
	l.testResults("--list", "lab.star")
	cmd := l.command("boot", "--port", "0:80", "lab.star", "web")
	line := strings.Join(append([]string{cmd.Path}, cmd.Args[1:]...), " ")
	on := exec.Command("script", "-qefc", line, "/dev/null")
	on.Dir, on.Env = cmd.Dir, append(cmd.Env, "TERM=xterm")
	in, err := on.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out lockedBuffer
	on.Stdout, on.Stderr = &out, &out
	if err := on.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = on.Process.Kill() }()
	out.wait(t, "login: ")
	fmt.Fprint(in, "root\r")
	out.wait(t, "assword: ")
	fmt.Fprint(in, "lab\r")
	out.wait(t, "# ")
	fmt.Fprint(in, "sleep 100\r")
	out.wait(t, "sleep 100")
	time.Sleep(time.Second)                 // until it sleeps
	fmt.Fprint(in, "\x03echo $((6 * 7))\r") // Ctrl-C is the machine's
	out.wait(t, "42")
	_, after, _ := strings.Cut(out.String(), "port 80 of the machine: ")
	address := strings.Fields(after)[0]
	if page := tool(t, "curl", "-s", "http://"+address+"/"); !strings.Contains(page, "It works") {
		t.Errorf("got the page %q", page)
	}
	fmt.Fprint(in, "\x01x") // Ctrl-A X
	if err := on.Wait(); err != nil {
		t.Errorf("%v\n%s", err, out.String())
	}
	if left, err := exec.Command("pgrep", "-f", "qemu-system.*"+filepath.Base(l.dir)).Output(); err == nil {
		t.Errorf("processes were left behind: %s", left)
	}
}

// From power-on to the login prompt of a tiny kernel, with the start of labstar and QEMU.
func BenchmarkLogin(b *testing.B) {
	need(b, "script")
	l := benchLab(b)
	must(b, l.dir, "sh", "-c", "rm -r ./*")
	if err := os.CopyFS(l.dir, os.DirFS("machine")); err != nil {
		b.Fatal(err)
	}
	l.run("lab.star") // all that the machine is made of
	var took []time.Duration
	for b.Loop() {
		for range 5 {
			cmd := l.command("boot", "lab.star", "ssh")
			on := exec.Command("script", "-qefc", strings.Join(append([]string{cmd.Path}, cmd.Args[1:]...), " "), "/dev/null")
			on.Dir, on.Env = cmd.Dir, append(cmd.Env, "TERM=xterm")
			in, err := on.StdinPipe()
			if err != nil {
				b.Fatal(err)
			}
			var out lockedBuffer
			on.Stdout, on.Stderr = &out, &out
			start := time.Now()
			if err := on.Start(); err != nil {
				b.Fatal(err)
			}
			out.wait(b, "login: ")
			took = append(took, time.Since(start))
			fmt.Fprint(in, "\x01x") // Ctrl-A X
			if err := on.Wait(); err != nil {
				b.Errorf("%v\n%s", err, out.String())
			}
		}
	}
	slices.Sort(took)
	b.ReportMetric(took[len(took)/2].Seconds(), "median-s")
	b.ReportMetric(took[len(took)-1].Seconds(), "longest-s")
	b.ReportMetric(0, "ns/op")
}

// secretTest is a machine whose password is not in the script.
const secretTest = `
load("lab.star", "linux", "root")
load("@stdlib//toolchains.star", "machine_tools")
_root = rootfs([root], files = {"/etc/motd": "in\n"}, users = [user("root", password = secret("root"))], overwrite = True)

def _machine(name, steps):
    return vm_test(toolchain = machine_tools(), kernel = linux, initrd = initramfs(_root), append = "quiet", name = name, steps = steps)

console = _machine("console", [vm_login(password = secret("root")), vm_run("id -un", equal = "root")])
ssh = _machine("ssh", [vm_ssh("id -un", password = secret("root"), equal = "root")])
told = _machine("told", [vm_login(password = secret("root")), vm_run("echo correct'-'horse-42", equal = "no")])
`

// A secret logs in on the console and over ssh, and nobody finds it afterwards: not
// in a log, not in a message, not in the store.
func TestMachineSecret(t *testing.T) {
	endToEnd(t)
	need(t, "grep")
	const password = "correct-horse-42"
	l := newLab(t, "machine", sharedStore(t))
	l.writeScript("secret.star", secretTest)
	l.writeScript("password.txt", password+"\n")
	results, out := l.testResults("--secret", "root=password.txt", "secret.star")
	for _, name := range []string{"console", "ssh"} {
		if s := results[name]["status"]; s != "passed" && s != "cached" {
			t.Errorf("%s: %v: %v", name, s, results[name]["message"])
		}
	}
	told := results["told"]
	if want := `step 2 of 2, vm_run("echo correct'-'horse-42"): got output "********", want "no"`; told["status"] != "failed" || !strings.Contains(fmt.Sprint(told["message"]), want) {
		t.Errorf("got %v: %v\nwant %s", told["status"], told["message"], want)
	}
	console, err := os.ReadFile(fmt.Sprint(told["log"]))
	if err != nil || strings.Contains(string(console)+out, password) || !strings.Contains(string(console), "********") {
		t.Errorf("the log (%v):\n%s\n%s", err, console, out)
	}
	// What grep finds in the store by its content. The script of this test has pieces of it.
	if found, err := exec.Command("grep", "-rlaF", password, filepath.Join(l.store, "packs"), filepath.Join(l.store, "logs"), filepath.Join(l.store, "notes")).Output(); err == nil {
		t.Errorf("the store has the password in %s", found)
	}
	l.writeScript("password.txt", fmt.Sprintf("another-%d\n", time.Now().UnixNano())) // that no store has seen
	if again, _ := l.testResults("--secret", "root=password.txt", "secret.star", "console"); again["console"]["status"] != "passed" {
		t.Errorf("with another password: %v", again["console"])
	}
}
