package vdisk_test

import (
	"bytes"
	"crypto/sha256"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/labstar/labstar/internal/format/vdisk"
)

// disk is mostly zeros, with something here and there.
func disk(size int64) []byte {
	b := make([]byte, size)
	r := rand.New(rand.NewPCG(1, 2))
	for range 40 {
		at := r.Int64N(size)
		for i := at; i < min(size, at+r.Int64N(200000)); i++ {
			b[i] = byte(r.Uint32())
		}
	}
	b[0], b[size-1] = 1, 2
	return b
}

var formats = map[string]func(io.Writer, io.ReaderAt, int64) error{
	"qcow2": vdisk.QCOW2,
	"vmdk": func(w io.Writer, r io.ReaderAt, n int64) error {
		return vdisk.VMDK(w, r, n, 7)
	},
	"vmdk-stream": func(w io.Writer, r io.ReaderAt, n int64) error {
		return vdisk.StreamVMDK(w, r, n, 7)
	},
}

// qemu-img finds no fault, and gives back what was written.
func TestReaders(t *testing.T) {
	qemu, err := exec.LookPath("qemu-img")
	if err != nil {
		t.Skip("qemu-img is not installed")
	}
	for name, write := range formats {
		for _, size := range []int64{1 << 20, 130<<20 + 512*3, 260 << 20} {
			raw := disk(size)
			at := filepath.Join(t.TempDir(), "image")
			f, err := os.Create(at)
			if err != nil {
				t.Fatal(err)
			}
			if err := write(f, bytes.NewReader(raw), size); err != nil {
				t.Fatal(err)
			}
			fi, err := f.Stat()
			if err != nil || size > 100<<20 && fi.Size() > 20<<20 {
				t.Errorf("%s: got %v, %v: zeros are written", name, fi.Size(), err)
			}
			f.Close()
			format := name[:min(len(name), 5)]
			if format != "qcow2" {
				format = "vmdk"
			}
			if out, err := exec.Command(qemu, "check", "-f", format, at).CombinedOutput(); err != nil {
				t.Errorf("%s of %d: %v\n%s", name, size, err, out)
			}
			back := at + ".raw"
			if out, err := exec.Command(qemu, "convert", "-f", format, "-O", "raw", at, back).CombinedOutput(); err != nil {
				t.Fatalf("%s of %d: %v\n%s", name, size, err, out)
			}
			got, err := os.ReadFile(back)
			if err != nil || sha256.Sum256(got) != sha256.Sum256(raw) {
				t.Errorf("%s: got %d other bytes and %v, want the %d that were written", name, len(got), err, size)
			}
		}
	}
}

// An empty disk, and one that ends before its size.
func TestEdges(t *testing.T) {
	for name, write := range formats {
		if err := write(io.Discard, bytes.NewReader(make([]byte, 512)), 512); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := write(io.Discard, bytes.NewReader(nil), 1<<20); err == nil {
			t.Errorf("%s: got no error for a disk that ends early", name)
		}
	}
}
