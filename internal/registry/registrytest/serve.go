package registrytest

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
)

// Serve starts a real server's program and returns when up says that it answers. It
// ends with the test, interrupted, and is killed if that takes half a minute. What it
// printed is told if the test fails.
func Serve(t testing.TB, cmd *exec.Cmd, up func() bool) {
	t.Helper()
	name := filepath.Base(cmd.Path)
	log, err := os.Create(filepath.Join(t.TempDir(), "log"))
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		late := time.AfterFunc(30*time.Second, func() { _ = cmd.Process.Kill() })
		_ = cmd.Wait()
		late.Stop()
		if text, err := os.ReadFile(log.Name()); err == nil && t.Failed() {
			t.Logf("%s said:\n%s", name, text)
		}
	})
	for end := time.Now().Add(30 * time.Second); !up(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			t.Fatalf("%s does not answer", name)
		}
	}
}
