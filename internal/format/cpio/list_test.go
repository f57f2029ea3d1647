package cpio_test

import (
	"bytes"
	"errors"
	"io"
	"slices"
	"testing"

	"github.com/labstar/labstar/internal/format/cpio"
)

func TestList(t *testing.T) {
	var b bytes.Buffer
	w := cpio.NewWriter(&b)
	want := []string{".", "a", "lib/modules/6.12/ext4.ko"}
	for i, name := range want {
		mode := uint32(cpio.TypeRegular | 0o644)
		if i == 0 {
			mode = cpio.TypeDir | 0o755
		}
		size := int64(i * 3)
		if err := w.Entry(cpio.Header{Name: name, Mode: mode, Size: size}); err != nil {
			t.Fatal(err)
		}
		if _, err := w.Write(make([]byte, size)); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	whole := b.Bytes()
	var got []string
	n, err := cpio.List(bytes.NewReader(append(whole[:len(whole):len(whole)], "more"...)), func(s string) { got = append(got, s) })
	if err != nil || n != int64(len(whole)) || !slices.Equal(got, want) {
		t.Errorf("got %v, %d, %v, want %v and %d", got, n, err, want, len(whole))
	}
	if _, err := cpio.List(bytes.NewReader(nil), nil); !errors.Is(err, io.EOF) {
		t.Errorf("got %v, want EOF", err)
	}
	if _, err := cpio.List(bytes.NewReader(make([]byte, 200)), nil); !errors.Is(err, cpio.ErrNoArchive) {
		t.Errorf("got %v, want ErrNoArchive", err)
	}
	for i := 1; i < len(whole); i++ {
		if _, err := cpio.List(bytes.NewReader(whole[:i]), func(string) {}); err == nil {
			t.Fatalf("got no error for the first %d of %d bytes", i, len(whole))
		}
	}
}

func FuzzList(f *testing.F) {
	f.Add([]byte("070701"))
	f.Fuzz(func(t *testing.T, b []byte) {
		n, _ := cpio.List(bytes.NewReader(b), func(string) {})
		if n > int64(len(b)) {
			t.Errorf("got %d bytes of %d", n, len(b))
		}
	})
}
