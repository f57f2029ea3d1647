//go:build linux

package flash

import (
	"bytes"
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// loop makes a loop device over a file of some size, filled with what was there
// before; only root can.
func loop(t *testing.T, size int64) (device, file string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("needs root to make a loop device")
	}
	losetup, err := exec.LookPath("losetup")
	if err != nil {
		t.Skip("needs losetup")
	}
	file = filepath.Join(t.TempDir(), "device")
	if err := os.WriteFile(file, bytes.Repeat([]byte("old! "), int(size/5)+1)[:size], 0o600); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command(losetup, "--find", "--show", "--partscan", file).CombinedOutput()
	if err != nil {
		t.Skipf("no loop devices here: %s", out)
	}
	device = strings.TrimSpace(string(out))
	t.Cleanup(func() { _ = exec.Command(losetup, "--detach", device).Run() })
	return device, file
}

// content is an image of random bytes with no partition table.
func content(t *testing.T, size int) (name string, b []byte) {
	t.Helper()
	b = make([]byte, size)
	r := rand.NewChaCha8([32]byte{1})
	_, _ = r.Read(b)
	name = filepath.Join(t.TempDir(), "image")
	if err := os.WriteFile(name, b, 0o600); err != nil {
		t.Fatal(err)
	}
	return name, b
}

func inspect(t *testing.T, device string) *Device {
	t.Helper()
	d, err := Inspect(device)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func TestWrite(t *testing.T) {
	for _, size := range []int{700, 512 << 10, 1 << 20, 9<<20 + 12345} {
		device, file := loop(t, 16<<20)
		image, want := content(t, size)
		var last int64
		err := Write(context.Background(), inspect(t, device), image, func(p Phase, done, total int64) {
			if p == Reading {
				last = done
			}
		})
		if err != nil {
			t.Fatalf("%d bytes: %v", size, err)
		}
		got, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got[:size], want) {
			t.Errorf("%d bytes: the device has others", size)
		}
		if size > head && last < int64(size) {
			t.Errorf("got %d bytes read back, want %d", last, size)
		}
		// What is beyond the image and not near the end is left alone.
		if middle := got[15<<20-4096 : 15<<20-4000]; !bytes.Contains(middle, []byte("old! ")) {
			t.Errorf("%d bytes: wrote past the image", size)
		}
	}
}

// gptImage makes an image with a GPT of two partitions by sfdisk.
func gptImage(t *testing.T) string {
	t.Helper()
	sfdisk, err := exec.LookPath("sfdisk")
	if err != nil {
		t.Skip("needs sfdisk")
	}
	name, _ := content(t, 8<<20)
	cmd := exec.Command(sfdisk, "--quiet", name)
	cmd.Stdin = strings.NewReader("label: gpt\nsize=2MiB, name=EFI\nname=root\n")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	return name
}

func TestSecondTableGoesToTheEnd(t *testing.T) {
	device, file := loop(t, 40<<20)
	image := gptImage(t)
	if err := Write(context.Background(), inspect(t, device), image, nil); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("sfdisk", "--verify", file).CombinedOutput()
	if err != nil || !strings.Contains(string(out), "No errors") {
		t.Errorf("sfdisk --verify: %v\n%s", err, out)
	}
	if sgdisk, err := exec.LookPath("sgdisk"); err == nil {
		if out, err := exec.Command(sgdisk, "-v", file).CombinedOutput(); err != nil || !strings.Contains(string(out), "No problems found") {
			t.Errorf("sgdisk -v: %v\n%s", err, out)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(image)
	if err != nil {
		t.Fatal(err)
	}
	if from, to := 34*512, len(want)-34*512; !bytes.Equal(got[from:to], want[from:to]) {
		t.Error("the partitions are not those of the image")
	}
	if !bytes.Equal(got[len(got)-512:][:8], []byte("EFI PART")) {
		t.Error("there is no second table at the device's end")
	}
	if bytes.Contains(got[len(want)-33*512:len(want)], []byte("EFI PART")) {
		t.Error("the image's own second table is still there")
	}
}

// A device that keeps other bytes than it was given: its file is changed behind its back.
func TestDeviceThatForgets(t *testing.T) {
	device, file := loop(t, 16<<20)
	image, _ := content(t, 12<<20)
	spoiled := false
	err := Write(context.Background(), inspect(t, device), image, func(p Phase, done, _ int64) {
		if p == Reading && !spoiled {
			spoiled = true
			f, err := os.OpenFile(file, os.O_WRONLY, 0)
			if err != nil {
				t.Error(err)
				return
			}
			defer f.Close()
			if _, err := f.WriteAt([]byte("forgotten"), 10<<20); err != nil {
				t.Error(err)
			}
		}
	})
	var bad *CompareError
	if !errors.As(err, &bad) || bad.Offset != 10<<20 {
		t.Fatalf("got %v, want a difference at %d", err, 10<<20)
	}
	noTable(t, file)
}

// noTable checks that nothing at the start of the device can be taken for a table.
func noTable(t *testing.T, file string) {
	t.Helper()
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got[:head], make([]byte, head)) {
		t.Error("the first MiB has something in it")
	}
	if bytes.Contains(got[len(got)-512:], []byte("EFI PART")) && bytes.Equal(got[512:520], []byte("EFI PART")) {
		t.Error("both tables are there")
	}
}

func TestInterrupted(t *testing.T) {
	for _, phase := range []Phase{Writing, Reading} {
		device, file := loop(t, 40<<20)
		image := gptImage(t)
		ctx, cancel := context.WithCancel(context.Background())
		err := Write(ctx, inspect(t, device), image, func(p Phase, _, _ int64) {
			if p == phase {
				cancel()
			}
		})
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("%s: got %v, want the context's end", phase, err)
		}
		noTable(t, file)
	}
}

func TestRefused(t *testing.T) {
	device, _ := loop(t, 16<<20)
	d := inspect(t, device)
	if d.Size != 16<<20 || !strings.HasPrefix(d.Model, "loop device on ") || len(d.Uses) != 0 {
		t.Errorf("got %+v", d)
	}
	for _, c := range []struct {
		size   int64
		forced string
		want   string
	}{
		{1 << 20, d.Name, ""},
		{1 << 20, "", "is no removable device; if it is the right one all the same, name it again: --force " + d.Name},
		{1 << 20, "sdz", "--force names sdz, and the device is " + d.Name},
		{17 << 20, d.Name, "is too small: it has 16777216 bytes, and the image 17825792"},
	} {
		err := d.Refuse(c.size, c.forced)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%d bytes, %q: got %v, want %q", c.size, c.forced, err, c.want)
		}
	}
	image, _ := content(t, 17<<20)
	if err := Write(context.Background(), d, image, nil); err == nil || !strings.Contains(err.Error(), "for a device of") {
		t.Errorf("a large image: got %v", err)
	}
	if _, err := Inspect("/dev/null"); err == nil || !strings.Contains(err.Error(), "is no block device") {
		t.Errorf("/dev/null: got %v", err)
	}
	if _, err := Inspect(image); err == nil || !strings.Contains(err.Error(), "is no block device") {
		t.Errorf("a file: got %v", err)
	}
}

func TestInUse(t *testing.T) {
	device, _ := loop(t, 16<<20)
	mkfs, err := exec.LookPath("mkfs.ext4")
	if err != nil {
		t.Skip("needs mkfs.ext4")
	}
	if out, err := exec.Command(mkfs, "-q", device).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	image, _ := content(t, 1<<20)
	before := inspect(t, device)
	at := filepath.Join(t.TempDir(), "with blank")
	if err := os.Mkdir(at, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount(device, at, "ext4", 0, ""); err != nil {
		t.Skip("can't mount here: ", err)
	}
	d := inspect(t, device)
	refused := d.Refuse(1, d.Name)
	// The kernel itself refuses too, should something be mounted in between.
	written := Write(context.Background(), before, image, nil)
	if err := unix.Unmount(at, 0); err != nil {
		t.Fatal(err)
	}
	if refused == nil || !strings.Contains(refused.Error(), "is in use: "+d.Name+" is mounted at "+at) {
		t.Errorf("got %v, want that it is mounted", refused)
	}
	if written == nil || !strings.Contains(written.Error(), "something uses it") {
		t.Errorf("got %v, want that it is in use", written)
	}
	if err := exec.Command("fsck.ext4", "-fn", device).Run(); err != nil {
		t.Errorf("the refused device was touched: %v", err)
	}
}

func TestPartition(t *testing.T) {
	device, _ := loop(t, 40<<20)
	if err := Write(context.Background(), inspect(t, device), gptImage(t), nil); err != nil {
		t.Fatal(err)
	}
	d := inspect(t, device)
	if len(d.Partitions) != 2 {
		t.Skip("the kernel makes no partitions of loop devices here")
	}
	if p := d.Partitions[0]; p.Name != d.Name+"p1" || p.Size != 2<<20 || p.Label != "EFI" {
		t.Errorf("got the partition %+v", p)
	}
	_, err := Inspect("/dev/" + d.Partitions[0].Name)
	if err != nil && os.IsNotExist(errors.Unwrap(err)) {
		t.Skip("no udev makes the nodes of partitions here")
	}
	if err == nil || !strings.Contains(err.Error(), "is a partition, want the whole device, "+device) {
		t.Errorf("got %v, want that it is a partition", err)
	}
}
