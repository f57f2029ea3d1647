//go:build linux

package disk

import (
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// The test binary runs itself as another process of a store: the environment
// variable names what it does, its arguments follow.
const helperEnv = "LABSTAR_STORE_TEST_HELPER"

func TestMain(m *testing.M) {
	if name := os.Getenv(helperEnv); name != "" {
		helpers[name](os.Args[1:])
		os.Exit(0)
	}
	os.Exit(m.Run())
}

var helpers = map[string]func(args []string){"write": helperWrite, "lock": helperLock, "full": helperFull, "readonly": helperReadOnly, "steps": helperSteps}

func fatal(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func helper(name string, args ...string) *exec.Cmd {
	cmd := exec.Command("/proc/self/exe", args...)
	cmd.Env = append(os.Environ(), helperEnv+"="+name)
	return cmd
}

// helperWrite stores blobs, trees and results without end, and syncs, compacts
// and collects garbage now and then.
func helperWrite(args []string) {
	seed, err := strconv.Atoi(args[1])
	fatal(err)
	for round := 0; ; round++ {
		s, err := Open(args[0], Options{})
		fatal(err)
		for i := range 4 {
			n := (seed+round*4+i)%50 + 1000
			fatal(writeOne(s, n))
			if i == 2 {
				fatal(s.Sync(ctx))
			}
		}
		if round%5 == 4 {
			_, err := s.GC(ctx, Policy{MaxBytes: 400_000})
			fatal(err)
		}
		fatal(s.Close())
	}
}

func writeOne(s *Store, n int) error {
	unlock, err := s.Lock(ctx, keyOf(n))
	if err != nil {
		return err
	}
	defer unlock()
	w, err := s.CreateTree(ctx)
	if err != nil {
		return err
	}
	for j, size := range []int{10, 5000, 40_000} {
		if _, err := w.File(fmt.Sprintf("d%d/f%d", j%2, j), action.Attr{Mode: 0o644}, bytes.NewReader(fillSeed(n%7*10+j, size))); err != nil {
			return err
		}
	}
	if _, err := w.File("own", action.Attr{Mode: 0o755}, bytes.NewReader(fillSeed(n, 6000))); err != nil {
		return err
	}
	root, err := w.Commit()
	if err != nil {
		return err
	}
	dir, err := s.Directory(ctx, root)
	if err != nil {
		return err
	}
	composed, err := s.PutDirectory(ctx, &action.Directory{Attr: action.Attr{Mode: 0o700}, Nodes: dir.Nodes[:2]})
	if err != nil {
		return err
	}
	if _, err := s.TreePath(ctx, composed); err != nil {
		return err
	}
	large, err := takeIn(s, fillSeed(n, 70_000), fillSeed(n, 200))
	if err != nil {
		return err
	}
	scratch, err := s.Scratch(ctx)
	if err != nil {
		return err
	}
	out := filepath.Join(scratch, "out")
	if err := os.Mkdir(out, 0o700); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(out, "f"), fillSeed(n, 3000), 0o600); err != nil {
		return err
	}
	adopted, err := s.Adopt(ctx, out)
	if err != nil {
		return err
	}
	r := &action.Result{Outputs: []action.OutputDigest{{Name: "l", Kind: action.File, Digest: large},
		{Name: "t", Kind: action.Tree, Digest: root}, {Name: "c", Kind: action.Tree, Digest: composed}, {Name: "a", Kind: action.Tree, Digest: adopted}}}
	return s.PutResult(ctx, r, keyOf(n))
}

// takeIn takes contents in, and returns the digest of the first.
func takeIn(s *Store, contents ...[]byte) (action.Digest, error) {
	var list []store.Intake
	for _, b := range contents {
		list = append(list, store.Intake{Digest: action.Of(b),
			Open:    func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil },
			Differs: func(got action.Digest) error { return fmt.Errorf("got %s", got) }})
	}
	return list[0].Digest, s.TakeIn(ctx, list)
}

// TestKilled kills writers at random moments, and verifies what they leave.
func TestKilled(t *testing.T) {
	kills := 60
	if testing.Short() {
		kills = 20
	}
	dir := t.TempDir()
	check(t, open(t, dir).Close())
	rnd := rand.New(rand.NewPCG(1, uint64(time.Now().UnixNano())))
	found := 0
	for i := 0; i < kills; i += 2 {
		var cmds []*exec.Cmd
		var errs []*bytes.Buffer
		for k := range 2 {
			cmd := helper("write", dir, strconv.Itoa(i*7+k*20))
			errs = append(errs, new(bytes.Buffer))
			cmd.Stderr = errs[k]
			check(t, cmd.Start())
			cmds = append(cmds, cmd)
		}
		for k, cmd := range cmds {
			time.Sleep(time.Duration(5+rnd.IntN(50)) * time.Millisecond)
			check(t, cmd.Process.Kill())
			_ = cmd.Wait()
			if errs[k].Len() > 0 {
				t.Fatalf("writer failed by itself: %s", errs[k])
			}
		}
		s := open(t, dir)
		wantClean(t, s)
		found = 0
		for n := 1000; n < 1050; n++ {
			if r, err := s.Result(ctx, keyOf(n)); err == nil {
				found++
				for _, o := range r.Outputs[1:] {
					must[string](t)(s.TreePath(ctx, o.Digest))
				}
			}
		}
		check(t, s.Close())
		if t.Failed() {
			t.FailNow()
		}
	}
	if found == 0 {
		t.Error("no writer came to publish a result")
	}
	s := open(t, dir)
	defer s.Close()
	for _, sub := range []string{"tmp"} {
		if list := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(dir, sub))); len(list) > 1 {
			t.Errorf("left in %s: %v", sub, list)
		}
	}
	must[*Report](t)(s.GC(ctx, Policy{}))
	wantClean(t, s)
}

// helperLock builds one action if nobody else has.
func helperLock(args []string) {
	s, err := Open(args[0], Options{})
	fatal(err)
	defer s.Close()
	for i := range 5 {
		unlock, err := s.Lock(ctx, keyOf(i))
		fatal(err)
		if _, err := s.Result(ctx, keyOf(i)); err != nil {
			time.Sleep(5 * time.Millisecond)
			d, err := s.PutBlob(ctx, fillSeed(i, 100))
			fatal(err)
			fatal(s.PutResult(ctx, &action.Result{Outputs: []action.OutputDigest{{Name: "o", Kind: action.File, Digest: d}}}, keyOf(i)))
			fmt.Println("ran", i)
		}
		unlock()
	}
}

// TestSixteenProcesses: of many processes that want the same actions one runs each.
func TestSixteenProcesses(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "made", "by", "them")
	var cmds []*exec.Cmd
	outs := make([]bytes.Buffer, 16)
	for i := range outs {
		cmd := helper("lock", dir)
		cmd.Stdout, cmd.Stderr = &outs[i], &outs[i]
		check(t, cmd.Start())
		cmds = append(cmds, cmd)
	}
	all := ""
	for i, cmd := range cmds {
		if err := cmd.Wait(); err != nil {
			t.Errorf("process %d: %v: %s", i, err, &outs[i])
		}
		all += outs[i].String()
	}
	for i := range 5 {
		if n := strings.Count(all, fmt.Sprintln("ran", i)); n != 1 {
			t.Errorf("action %d ran %d times, want once", i, n)
		}
	}
	s := open(t, dir)
	defer s.Close()
	wantClean(t, s)
	if list := must[[]os.DirEntry](t)(os.ReadDir(filepath.Join(dir, "locks"))); len(list) > 1 {
		t.Errorf("left in locks: %v", list)
	}
}

// helperSteps goes through everything that changes a store, and kills itself
// before the step of the given number. It prints what must be found afterwards.
func helperSteps(args []string) {
	last, err := strconv.Atoi(args[1])
	fatal(err)
	var n atomic.Int32
	o := Options{step: func() {
		if n.Add(1) == int32(last) {
			_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
			select {}
		}
	}}
	var s *Store
	with := func(f func()) {
		s, err = Open(args[0], o)
		fatal(err)
		f()
		fatal(s.Close())
	}
	write := func(ns ...int) {
		for _, n := range ns {
			fatal(writeOne(s, n))
			fmt.Println("have", n)
		}
	}
	with(func() { write(0, 1) })
	with(func() { write(2); fatal(s.Sync(ctx)); write(3) })
	for i := range fanIn {
		with(func() { write(10 + i) })
	}
	with(func() {
		r, err := s.Result(ctx, keyOf(0))
		fatal(err)
		first, err := s.Directory(ctx, r.Outputs[1].Digest)
		fatal(err)
		fmt.Println("drop") // all but 0 and a part of its first tree
		_, err = s.GC(ctx, Policy{Roots: []action.Digest{r.Outputs[0].Digest, r.Outputs[2].Digest, r.Outputs[3].Digest, first.Nodes[0].Digest}})
		fatal(err)
		write(0, 4)
		fatal(s.Sync(ctx))
	})
	with(func() { write(5) })
	fmt.Println("done")
}

// TestKilledAtEachStep kills a writer between any two changes that it makes to
// the store (a third of them each time).
func TestKilledAtEachStep(t *testing.T) {
	stride := 3
	if testing.Short() {
		stride = 19
	}
	// In memory where there is a place for it: what a disk adds is waiting.
	parent, err := os.MkdirTemp("/dev/shm", "labstar-test-")
	if err != nil {
		parent = t.TempDir()
	}
	defer os.RemoveAll(parent)
	done := false
	kills := 0
	for step := 1 + rand.IntN(stride); !done; step += stride {
		dir := filepath.Join(parent, "store")
		out, err := helper("steps", dir, strconv.Itoa(step)).CombinedOutput()
		done = bytes.HasSuffix(out, []byte("done\n"))
		if err != nil && !done && !strings.Contains(err.Error(), "killed") {
			t.Fatalf("step %d: %v: %s", step, err, out)
		}
		if !done {
			kills++
		}
		s := open(t, dir)
		wantClean(t, s)
		_, after, dropped := strings.Cut(string(out), "drop\n")
		if !dropped {
			after = string(out)
		}
		for line := range strings.Lines(after) {
			var n int
			if _, err := fmt.Sscanf(line, "have %d\n", &n); err == nil {
				wantResult(t, s, n, true)
				r := must[*action.Result](t)(s.Result(ctx, keyOf(n)))
				for _, o := range r.Outputs[1:] {
					must[string](t)(s.TreePath(ctx, o.Digest))
				}
			}
		}
		check(t, writeOne(s, 1)) // it goes on
		check(t, writeOne(s, 20))
		wantClean(t, s)
		check(t, s.Close())
		if t.Failed() {
			t.Fatalf("at step %d; it printed:\n%s", step, out)
		}
		os.RemoveAll(dir)
	}
	t.Logf("%d kills", kills)
}
