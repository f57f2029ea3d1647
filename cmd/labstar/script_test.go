package main

import (
	"context"
	"errors"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"cuelabs.dev/go/oci/ociregistry/ocimem"
	"cuelabs.dev/go/oci/ociregistry/ociserver"
	"github.com/rogpeppe/go-internal/testscript"

	"github.com/labstar/labstar/internal/store/disk"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"labstar": main, "leave-scratch": leaveScratch})
}

// TestScript runs testdata/script/*.txtar: a script of commands and the files it
// works on, one for each command of labstar and case. Besides testscript's own
// there are
//
//	exits CODE COMMAND…       runs it; the exit code must be CODE
//	scrub stdout|stderr FILE  writes what was printed, its times replaced, to FILE
//	empties FOLDER            waits until there is nothing in it
//	leave-scratch STORE       is a run that has to end before its scratch is gone
//	interrupt SIGNAL COMMAND… runs it until it asks $STALL for something, sends the
//	                          signal, and wants its end with 130 within a second
func TestScript(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			stall := newStall()
			env.Defer(stall.server.Close)
			env.Values[stallKey{}] = stall
			env.Setenv("STALL", stall.server.URL)
			env.Setenv("STALLED", stall.server.Listener.Addr().String())
			images := httptest.NewServer(ociserver.New(ocimem.New(), nil))
			env.Defer(images.Close)
			env.Setenv("REGISTRY", images.Listener.Addr().String())
			env.Setenv("DOCKER_CONFIG", filepath.Join(env.WorkDir, "docker"))
			env.Setenv("HOME", filepath.Join(env.WorkDir, "home"))
			env.Setenv("LABSTAR_CACHE", filepath.Join(env.WorkDir, "cache"))
			env.Setenv("LABSTAR_DEBIAN_MIRROR", stall.server.URL+"/empty")
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "scrub": scrub, "interrupt": interrupt, "empties": empties,
		},
		UpdateScripts: os.Getenv("UPDATE_SCRIPTS") != "",
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE COMMAND…")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	got := 0
	var exit *exec.ExitError
	switch err := ts.Exec(args[1], args[2:]...); {
	case errors.As(err, &exit):
		got = exit.ExitCode()
	case err != nil:
		ts.Fatalf("%v", err)
	}
	if got != want {
		ts.Fatalf("got exit code %d, want %d", got, want)
	}
}

var times = []struct {
	pattern *regexp.Regexp
	with    string
}{
	{regexp.MustCompile(`\b[0-9]+\.[0-9]+ s\b`), "T s"},
	{regexp.MustCompile(`"(seconds|estimated)":[0-9.e-]+`), `"$1":0`},
	{regexp.MustCompile(`/logs/[0-9a-f]{64}`), "/logs/KEY"},
	{regexp.MustCompile(`go[0-9]+\.[0-9.]+`), "goVERSION"},
	{regexp.MustCompile(`(linux|darwin)/[a-z0-9]+`), "OS/ARCH"},
}

func scrub(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: scrub stdout|stderr FILE")
	}
	text := ts.ReadFile(args[0])
	for _, r := range times {
		text = r.pattern.ReplaceAllString(text, r.with)
	}
	ts.Check(os.WriteFile(ts.MkAbs(args[1]), []byte(text), 0o600))
}

type stallKey struct{}

// stall is a server that begins every answer and never ends it, but below /empty,
// where there is nothing.
type stall struct {
	server *httptest.Server
	asked  chan struct{}
}

func newStall() *stall {
	s := &stall{asked: make(chan struct{}, 100)}
	s.server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.URL.Path, "/empty/") {
			http.NotFound(w, r)
			return
		}
		w.Header().Set("Content-Length", "1000000")
		if r.Method == http.MethodHead {
			return
		}
		_, _ = w.Write(make([]byte, 1000))
		w.(http.Flusher).Flush()
		s.asked <- struct{}{}
		<-r.Context().Done()
	}))
	return s
}

func interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: interrupt SIGNAL COMMAND…")
	}
	sig := map[string]syscall.Signal{"INT": syscall.SIGINT, "TERM": syscall.SIGTERM}[args[0]]
	ctx, cancel := context.WithTimeout(context.Background(), 30*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, find(ts, args[1]), args[2:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = append(os.Environ(), "PATH="+ts.Getenv("PATH"), "HOME="+ts.Getenv("HOME"),
		"LABSTAR_CACHE="+ts.Getenv("LABSTAR_CACHE"), "LABSTAR_DEBIAN_MIRROR="+ts.Getenv("LABSTAR_DEBIAN_MIRROR"), "STALL="+ts.Getenv("STALL"))
	var out, errs strings.Builder
	cmd.Stdout, cmd.Stderr = &out, &errs
	ts.Check(cmd.Start())
	select {
	case <-ts.Value(stallKey{}).(*stall).asked:
	case <-ctx.Done():
		ts.Fatalf("the command asked for nothing; it printed:\n%s%s", &out, &errs)
	}
	time.Sleep(50 * time.Millisecond) // into the middle of the transfer
	sent := time.Now()
	ts.Check(cmd.Process.Signal(sig))
	err := cmd.Wait()
	if d := time.Since(sent); d > 1200*time.Millisecond { // a second, and some for a loaded machine
		ts.Fatalf("it took %v to end after the signal", d)
	}
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 130 {
		ts.Fatalf("got %v, want exit code 130; it printed:\n%s%s", err, &out, &errs)
	}
	_, err = io.WriteString(ts.Stdout(), out.String())
	ts.Check(err)
	_, err = io.WriteString(ts.Stderr(), errs.String())
	ts.Check(err)
}

// leaveScratch is a command that was interrupted, is out of patience, and has not
// begun to remove what it has unpacked.
func leaveScratch() {
	os.Args[0] = "labstar"
	_, in := interruptible(context.Background())
	folder := filepath.Join(os.Args[1], "..", ".folders", "boot")
	in.removes(folder)
	in.removes("/nowhere")
	a := newApp(in)
	a.json, a.color, a.cache = true, "never", os.Args[1]
	if err := a.start("run"); err != nil {
		log.Fatal(err)
	}
	in.atExit(func() { // what removes it has to wait for the end
		time.Sleep(5 * time.Millisecond)
		a.interrupted()
		a.interrupted()
		_ = a.events.write(actionEvent{Event: "start"})
	})
	s, err := disk.Open(os.Args[1], disk.Options{})
	if err != nil {
		log.Fatal(err)
	}
	scratch, err := s.Scratch(context.Background())
	if err == nil {
		err = os.MkdirAll(filepath.Join(folder, "sockets"), 0o755)
	}
	for i := 0; err == nil && i < 200; i++ {
		sub := filepath.Join(scratch, "linux", strconv.Itoa(i%20), strconv.Itoa(i))
		if err = os.MkdirAll(sub, 0o755); err == nil {
			err = os.WriteFile(filepath.Join(sub, "file"), nil, 0o644)
		}
	}
	if err != nil {
		log.Fatal(err)
	}
	in.exit()
}

func empties(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: empties FOLDER")
	}
	for end := time.Now().Add(removeWithin); ; time.Sleep(10 * time.Millisecond) {
		list, err := os.ReadDir(ts.MkAbs(args[0]))
		ts.Check(err)
		if len(list) == 0 {
			return
		}
		if time.Now().After(end) {
			ts.Fatalf("left in %s: %v", args[0], list)
		}
	}
}

// find looks a program up in the script's own PATH.
func find(ts *testscript.TestScript, name string) string {
	for _, dir := range filepath.SplitList(ts.Getenv("PATH")) {
		if path := filepath.Join(dir, name); isExecutable(path) {
			return path
		}
	}
	ts.Fatalf("there is no %s", name)
	return ""
}

func isExecutable(path string) bool {
	fi, err := os.Stat(path)
	return err == nil && fi.Mode().IsRegular() && fi.Mode()&0o111 != 0
}
