//go:build linux && (amd64 || arm64)

package linux

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/sandbox"
	"golang.org/x/sys/unix"
)

func init() {
	probes["env"] = func([]string) int {
		fmt.Printf("%q\n", os.Environ())
		return 0
	}
	probes["world"] = func([]string) int { return describeWorld(os.Stdout) }
	probes["exit"] = func(args []string) int {
		code, _ := strconv.Atoi(args[0])
		return code
	}
	probes["signal"] = func(args []string) int {
		n, _ := strconv.Atoi(args[0])
		_ = syscall.Kill(os.Getpid(), syscall.Signal(n))
		time.Sleep(time.Minute)
		return 0
	}
	probes["sleep"] = func([]string) int {
		fmt.Println("sleeping")
		time.Sleep(time.Minute)
		return 0
	}
	probes["write"] = func(args []string) int {
		for _, name := range args {
			if err := os.WriteFile(name, []byte(name), 0o666); err != nil {
				fmt.Println(err)
				return 1
			}
		}
		return 0
	}
	probes["cat"] = func(args []string) int {
		for _, name := range args {
			b, err := os.ReadFile(name)
			if err != nil {
				fmt.Println(err)
				return 1
			}
			os.Stdout.Write(b)
		}
		return 0
	}
	probes["streams"] = func([]string) int {
		for i := range 50 {
			fmt.Fprintln(os.Stdout, "out", i)
			fmt.Fprintln(os.Stderr, "err", i)
		}
		return 0
	}
	probes["daemon"] = func(args []string) int { return daemons(1, args[0]) }
	probes["storm"] = func(args []string) int { return daemons(100, args[0]) }
	probes["storm-and-sleep"] = func(args []string) int {
		daemons(100, args[0])
		fmt.Println("started")
		time.Sleep(time.Minute)
		return 0
	}
}

// describeWorld prints what is to be the same on every machine.
func describeWorld(w io.Writer) int {
	var u unix.Utsname
	_ = unix.Uname(&u)
	umask := syscall.Umask(0)
	dir, _ := os.Getwd()
	null, _ := os.Stdin.Read(make([]byte, 1))
	var core, files unix.Rlimit
	_ = unix.Getrlimit(unix.RLIMIT_CORE, &core)
	_ = unix.Prlimit(os.Getppid(), unix.RLIMIT_NOFILE, nil, &files)
	aslr, _, _ := syscall.Syscall(syscall.SYS_PERSONALITY, 0xffffffff, 0, 0)
	groups, _ := syscall.Getgroups()
	own := 0
	for _, g := range groups {
		if g != 65534 {
			own++
		}
	}
	fmt.Fprintf(w, "host %s %s, user %d:%d, pid %d, parent %d, umask %03o, dir %s, stdin %d, core %d, fixed addresses %v, groups %d\n",
		unix.ByteSliceToString(u.Nodename[:]), unix.ByteSliceToString(u.Domainname[:]),
		os.Getuid(), os.Getgid(), os.Getpid(), os.Getppid(), umask, dir, null, core.Max, aslr&0x40000 != 0, own)
	for _, dir := range []string{"/", "/dev", "/etc", "/build", "/tmp", "/in"} {
		list, err := os.ReadDir(dir)
		if err != nil {
			fmt.Fprintln(w, err)
			return 1
		}
		var names []string
		for _, e := range list {
			names = append(names, e.Name())
		}
		fmt.Fprintln(w, dir, names)
	}
	return 0
}

// daemons leaves n processes behind that hold the output open.
func daemons(n int, token string) int {
	for range n {
		_, err := os.StartProcess("/proc/self/exe", []string{"/bin/probe:sleep", token}, &os.ProcAttr{
			Files: []*os.File{nil, os.Stdout, os.Stderr}, Sys: &syscall.SysProcAttr{Setsid: true},
		})
		if err != nil {
			fmt.Println(err)
			return 1
		}
	}
	return 0
}

func TestWorld(t *testing.T) {
	t.Setenv("SECRET", "of the host")
	spec, out := probe(t, "env")
	spec.Env = []string{"B=2", "A=1"}
	if got := mustRun(t, runner(t), spec, out); got != "[\"B=2\" \"A=1\"]\n" {
		t.Errorf("got environment %s", got)
	}
	old := syscall.Umask(0o077)
	defer syscall.Umask(old)
	spec, out = probe(t, "world")
	want := `host labstar (none), user 0:0, pid 2, parent 1, umask 022, dir /build, stdin 0, core 0, fixed addresses true, groups 0
/ [bin build dev etc in proc tmp]
/dev [fd full null ptmx pts random shm stderr stdin stdout tty urandom zero]
/etc [group hosts nsswitch.conf passwd resolv.conf]
/build []
/tmp []
/in []
`
	if got := mustRun(t, runner(t), spec, out); got != want && len(spec.Inputs) == 0 {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

func TestExit(t *testing.T) {
	r := runner(t)
	for _, c := range []struct {
		probe, arg string
		argv0      string
		code       int
		signal     string
		prints     string
	}{
		{"exit", "0", "", 0, "", ""},
		{"exit", "3", "", 3, "", ""},
		{"signal", "15", "", 143, "SIGTERM", ""},
		{"signal", "9", "", 137, "SIGKILL", ""},
		{"hello", "", "probe:hello", 0, "", "hello \n"},
		{"", "", "nothing", 127, "", "looking for nothing in PATH (/none:/bin)"},
		{"", "", "/bin/nothing", 127, "", "executing /bin/nothing: no such file"},
		{"", "", "/etc/passwd", 126, "", "executing /etc/passwd: permission denied"},
		{"", "", "/in/script", 127, "", "what runs it is not: the program in its #! line"},
		{"", "", "/in/data", 126, "", "exec format error"},
	} {
		t.Run(c.probe+c.arg+c.argv0, func(t *testing.T) {
			spec, out := probe(t, c.probe, c.arg)
			if c.argv0 != "" {
				spec.Argv[0] = c.argv0
			}
			spec.Env = []string{"PATH=/none:/bin"}
			dir := scratch(t)
			for name, content := range map[string]string{"script": "#!/usr/bin/none\n", "data": "data\n"} {
				if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
					t.Fatal(err)
				}
				spec.Inputs = append(spec.Inputs, sandbox.Mount{Source: filepath.Join(dir, name), Target: "/in/" + name})
			}
			res, err := r.Run(t.Context(), spec)
			if err != nil {
				t.Fatal(err)
			}
			if res.ExitCode != c.code || res.Signal != c.signal || !strings.Contains(out.String(), c.prints) {
				t.Errorf("got code %d, signal %q, output %q; want %d, %q, %q", res.ExitCode, res.Signal, out, c.code, c.signal, c.prints)
			}
		})
	}
}

func TestOutputIsInOrder(t *testing.T) {
	spec, out := probe(t, "streams")
	got := mustRun(t, runner(t), spec, out)
	var want strings.Builder
	for i := range 50 {
		fmt.Fprintf(&want, "out %d\nerr %d\n", i, i)
	}
	if got != want.String() {
		t.Errorf("got %q", got)
	}
}

// TestOutputStreams checks that output arrives while the command runs.
func TestOutputStreams(t *testing.T) {
	spec, _ := probe(t, "sleep")
	r, w := io.Pipe()
	spec.Output = w
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := runner(t).Run(ctx, spec); done <- err }()
	if line, err := bufio.NewReader(r).ReadString('\n'); err != nil || line != "sleeping\n" {
		t.Errorf("got %q, %v", line, err)
	}
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
}

// leftovers lists the processes that have token in their arguments.
func leftovers(token string) []string {
	list, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	var found []string
	for _, name := range list {
		b, err := os.ReadFile(name)
		if err == nil && bytes.Contains(b, []byte(token)) {
			found = append(found, name+" "+string(bytes.ReplaceAll(b, []byte{0}, []byte{' '})))
		}
	}
	return found
}

func token(t *testing.T) string { return fmt.Sprintf("token-%d-%s", os.Getpid(), t.Name()) }

// TestDaemonsEnd: processes left behind, which hold the output open, neither
// survive nor delay the end.
func TestDaemonsEnd(t *testing.T) {
	r := runner(t)
	for _, name := range []string{"daemon", "storm"} {
		spec, out := probe(t, name, token(t))
		start := time.Now()
		mustRun(t, r, spec, out)
		if d := time.Since(start); d > 10*time.Second {
			t.Errorf("%s: took %v", name, d)
		}
		if left := leftovers(token(t)); len(left) > 0 {
			t.Errorf("%s: left %v", name, left)
		}
	}
}

func TestTimeout(t *testing.T) {
	spec, _ := probe(t, "storm-and-sleep", token(t))
	spec.Timeout = 1500 * time.Millisecond
	start := time.Now()
	res, err := runner(t).Run(t.Context(), spec)
	if err != nil {
		t.Fatal(err)
	}
	if !res.TimedOut || res.ExitCode != 137 || time.Since(start) > 3*time.Second {
		t.Errorf("got %+v after %v", res, time.Since(start))
	}
	if left := leftovers(token(t)); len(left) > 0 {
		t.Errorf("left %v", left)
	}
}

// TestCancel is Ctrl-C: nothing runs any more when Run returns, within a second.
func TestCancel(t *testing.T) {
	r := runner(t)
	spec, _ := probe(t, "storm-and-sleep", token(t))
	pr, pw := io.Pipe()
	spec.Output = pw
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error)
	go func() { _, err := r.Run(ctx, spec); done <- err }()
	lines := bufio.NewReader(pr)
	for line := ""; line != "started\n"; line, _ = lines.ReadString('\n') {
	}
	go func() { _, _ = io.Copy(io.Discard, lines) }()
	if n := len(leftovers(token(t))); n < 100 {
		t.Errorf("before the end got %d processes, want the storm of 100", n)
	}
	start := time.Now()
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Errorf("got %v, want canceled", err)
	}
	if d := time.Since(start); d > time.Second {
		t.Errorf("ending took %v, want at most a second", d)
	}
	if left := leftovers(token(t)); len(left) > 0 {
		t.Errorf("left %v", left)
	}
	if m := mountsOf(t, spec.Scratch); len(m) > 0 {
		t.Errorf("left mounts %v", m)
	}
	spec, out := probe(t, "hello")
	mustRun(t, r, spec, out) // the runner goes on
}

// mountsOf lists the mounts of any process on this machine that name dir.
func mountsOf(t *testing.T, dir string) []string {
	t.Helper()
	list, _ := filepath.Glob("/proc/[0-9]*/mountinfo")
	var found []string
	for _, name := range list {
		b, _ := os.ReadFile(name)
		for line := range strings.SplitSeq(string(b), "\n") {
			if strings.Contains(line, dir) {
				found = append(found, name+": "+line)
			}
		}
	}
	return found
}
