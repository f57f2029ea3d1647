package xz

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	rootxz "github.com/therootcompany/xz"
)

// decode reads all of b.
func decode(b []byte, opt Options) ([]byte, error) {
	r, err := NewReader(bytes.NewReader(b), int64(len(b)), opt)
	if err != nil {
		return nil, err
	}
	defer r.Close()
	return io.ReadAll(r)
}

// numbers is what the fixtures hold: `seq 1 4000; echo end`.
func numbers() []byte {
	var buf bytes.Buffer
	for i := range 4000 {
		buf.WriteString(strconv.Itoa(i+1) + "\n")
	}
	buf.WriteString("end\n")
	return buf.Bytes()
}

func TestFixtures(t *testing.T) {
	want := map[string][]byte{
		"empty.xz":   {},
		"streams.xz": append(numbers(), numbers()...),
	}
	files, err := filepath.Glob("testdata/*.xz")
	if err != nil || len(files) < 7 {
		t.Fatalf("got %d fixtures (%v), want at least 7", len(files), err)
	}
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		base := filepath.Base(name)
		w, ok := want[base]
		if !ok {
			w = numbers()
		}
		if base == "stored.xz" { // random bytes: ask the other decoder
			r, err := rootxz.NewReader(bytes.NewReader(b), 0)
			if err != nil {
				t.Fatal(err)
			}
			if w, err = io.ReadAll(r); err != nil {
				t.Fatal(err)
			}
		}
		// Little memory makes every block one that is decoded as it is read.
		for _, opt := range []Options{{}, {Workers: 1}, {Workers: 8}, {Memory: 1}, {Memory: 10000, Workers: 4}} {
			got, err := decode(b, opt)
			if err != nil || !bytes.Equal(got, w) {
				t.Errorf("%s with %+v: got %d bytes and %v, want %d", base, opt, len(got), err, len(w))
			}
		}
		s, err := NewStream(bytes.NewReader(b), Options{})
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(s); err != nil || !bytes.Equal(got, w) {
			t.Errorf("%s as a stream: got %d bytes and %v, want %d", base, len(got), err, len(w))
		}
	}
}

// TestDamage flips every bit of every byte in turn, and cuts at every length:
// none may be decoded to other bytes without an error, and none may panic.
func TestDamage(t *testing.T) {
	for _, name := range []string{"blocks.xz", "sha256.xz", "x86.xz"} {
		good, err := os.ReadFile("testdata/" + name)
		if err != nil {
			t.Fatal(err)
		}
		step := max(1, len(good)/400)
		for i := 0; i < len(good); i += step {
			bad := bytes.Clone(good)
			bad[i] ^= 1 << (i % 8)
			if got, err := decode(bad, Options{}); err == nil && !bytes.Equal(got, numbers()) {
				t.Errorf("%s with byte %d damaged: decoded to other bytes without an error", name, i)
			}
			if _, err := decode(good[:i], Options{}); err == nil {
				t.Errorf("%s cut at %d: no error", name, i)
			}
		}
	}
}

func TestErrors(t *testing.T) {
	good, err := os.ReadFile("testdata/blocks.xz")
	if err != nil {
		t.Fatal(err)
	}
	mutate := func(f func(b []byte) []byte) []byte { return f(bytes.Clone(good)) }
	for _, c := range []struct {
		name, want string
		in         []byte
	}{
		{"no xz", "not an xz file", []byte("PK\x03\x04 and more of it")},
		{"nothing", "not an xz file", nil},
		{"cut", "truncated or corrupt: no stream footer", good[:len(good)-400&^3]},
		{"cut oddly", "want a multiple of 4", good[:len(good)-3]},
		{"rubbish behind", "no stream footer", append(bytes.Clone(good), "abcd"...)},
		{"data", "block 1 of", mutate(func(b []byte) []byte { b[100] ^= 4; return b })},
		{"footer", "corrupt stream footer", mutate(func(b []byte) []byte { b[len(b)-7] ^= 1; return b })},
		{"index", "index: corrupt data", mutate(func(b []byte) []byte { b[len(b)-20] ^= 1; return b })},
	} {
		_, err := decode(c.in, Options{})
		if err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got error %v, want one with %q", c.name, err, c.want)
		}
	}
	if _, err := decode(nil, Options{}); !errors.Is(err, ErrFormat) {
		t.Errorf("got %v, want ErrFormat", err)
	}
	if _, err := decode(good, Options{MaxDict: 1 << 20}); err == nil || !strings.Contains(err.Error(), "needs a dictionary of 8 MiB, want at most 1 MiB") {
		t.Errorf("dictionary limit: got %v", err)
	}
}

// TestAgainstXz compresses all sorts of data with the xz program.
func TestAgainstXz(t *testing.T) {
	if _, err := exec.LookPath("xz"); err != nil {
		t.Skip("no xz program here")
	}
	rng := rand.New(rand.NewPCG(1, 2))
	random := make([]byte, 1<<20)
	for i := range random {
		random[i] = byte(rng.Uint32())
	}
	mixed := bytes.Repeat(append(numbers(), random[:5000]...), 40)
	self, err := os.ReadFile(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	inputs := map[string][]byte{
		"zeros": make([]byte, 5<<20), "random": random, "mixed": mixed, "program": self[:min(len(self), 2<<20)], "byte": {7},
	}
	for name, in := range inputs {
		for _, args := range [][]string{
			{"-1"}, {"-6", "-T2", "--block-size=300000"}, {"-0", "--block-size=1000000", "-C", "sha256"},
			{"--lzma2=preset=3,lc=0,lp=4,pb=0,dict=64KiB"}, {"--lzma2=preset=1,lc=4,lp=0,pb=4,nice=5,mode=fast"},
			{"--x86", "--lzma2=preset=0"}, {"--delta=dist=4", "--lzma2=preset=0"},
		} {
			cmd := exec.Command("xz", append([]string{"-c"}, args...)...)
			cmd.Stdin = bytes.NewReader(in)
			packed, err := cmd.Output()
			if err != nil {
				t.Fatalf("xz %v: %v", args, err)
			}
			for _, opt := range []Options{{}, {Memory: 1}} {
				got, err := decode(packed, opt)
				if err != nil || !bytes.Equal(got, in) {
					t.Errorf("%s, xz %v, %+v: got %d bytes and %v, want %d", name, args, opt, len(got), err, len(in))
				}
			}
		}
	}
}

// TestCloseEarly reads little of many blocks: no goroutine may stay behind.
func TestCloseEarly(t *testing.T) {
	b, err := os.ReadFile("testdata/blocks.xz")
	if err != nil {
		t.Fatal(err)
	}
	before := runtime.NumGoroutine()
	for range 50 {
		r, err := NewReader(bytes.NewReader(b), int64(len(b)), Options{Workers: 4})
		if err != nil {
			t.Fatal(err)
		}
		if r.Size() != int64(len(numbers())) || r.Blocks() < 4 {
			t.Fatalf("got size %d in %d blocks", r.Size(), r.Blocks())
		}
		if _, err := io.CopyN(io.Discard, r, 100); err != nil {
			t.Fatal(err)
		}
		r.Close()
		if _, err := r.Read(make([]byte, 1)); err == nil {
			t.Fatal("reading after Close: no error")
		}
	}
	for i := 0; runtime.NumGoroutine() > before; i++ {
		if i == 100 {
			t.Fatalf("got %d goroutines, want %d", runtime.NumGoroutine(), before)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func FuzzReader(f *testing.F) {
	files, _ := filepath.Glob("testdata/*.xz")
	for _, name := range files {
		b, err := os.ReadFile(name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := NewReader(bytes.NewReader(b), int64(len(b)), Options{Memory: 1 << 20, MaxDict: 1 << 24})
		if err != nil {
			return
		}
		defer r.Close()
		n, err := io.Copy(io.Discard, io.LimitReader(r, 8<<20))
		if err == nil && n < 8<<20 && n != r.Size() {
			t.Errorf("got %d bytes, the index says %d", n, r.Size())
		}
	})
}

// FuzzChunks feeds the LZMA2 decoder itself, which check sums would keep the
// fuzzer from reaching.
func FuzzChunks(f *testing.F) {
	f.Add([]byte("\x01\x00\x02abc\x00"))
	f.Add([]byte("\xe0\x00\x10\x00\x20\x5d\x00abcdefghijklmnopqrstuvwxyz0123456789"))
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, fixed := range []bool{true, false} {
			z, r, n := new(lzma2), bytes.NewReader(b), 0
			z.init(4096, make([]byte, 0, 1<<16), fixed)
			for !z.end && n < 16<<20 {
				p, err := z.chunk(r)
				if err != nil {
					break
				}
				n += len(p)
			}
		}
	})
}
