package compress_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"runtime"
	"testing"
	"time"

	"github.com/klauspost/compress/gzip"
	"github.com/klauspost/compress/zstd"
	"github.com/ulikunitz/xz"

	"github.com/labstar/labstar/internal/format/compress"
)

// sample is 3 MB of text that compresses about as well as programs do.
func sample() []byte {
	rng := rand.New(rand.NewPCG(1, 2))
	words := make([][]byte, 500)
	for i := range words {
		w := make([]byte, 2+rng.IntN(12))
		for j := range w {
			w[j] = byte(rng.IntN(256))
		}
		words[i] = w
	}
	var b bytes.Buffer
	for b.Len() < 3<<20 {
		b.Write(words[rng.IntN(len(words))])
	}
	return b.Bytes()
}

func pack(t testing.TB, f compress.Format, content []byte, chunk int) []byte {
	t.Helper()
	var out bytes.Buffer
	w, err := compress.NewWriter(&out, f)
	if err != nil {
		t.Fatal(err)
	}
	for len(content) > 0 {
		n := min(chunk, len(content))
		if _, err := w.Write(content[:n]); err != nil {
			t.Fatal(err)
		}
		content = content[n:]
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func unpack(t *testing.T, f compress.Format, b []byte) []byte {
	t.Helper()
	var r io.Reader = bytes.NewReader(b)
	var err error
	switch f {
	case compress.Gzip:
		r, err = gzip.NewReader(r)
	case compress.Zstd:
		r, err = zstd.NewReader(r)
	case compress.XZ:
		r, err = xz.NewReader(r)
	}
	if err != nil {
		t.Fatal(err)
	}
	out, err := io.ReadAll(r)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// TestGolden holds the bytes: when they change with a library, the Version of
// every op that compresses must be raised with the digests here.
func TestGolden(t *testing.T) {
	content := sample()
	for f, want := range map[compress.Format]string{
		compress.None: "ed7028b99e366d05334a23594c6ffcba861e86116405637bd05aef46b0939087",
		compress.Gzip: "01d92cb318c83d406de3f23dcdf4c8033851920d37a1a0396da31415063a3e0a",
		compress.Zstd: "1a24c4c4926dcb680f63defd43f0b6f99248b1199892818d0ac253e456c0dbcc",
		compress.XZ:   "bfb81db39f17739c529e670956c52a5126f43748588f5e9b69b5f7f1376a665e",
	} {
		b := pack(t, f, content, 1<<16)
		if sum := sha256.Sum256(b); hex.EncodeToString(sum[:]) != want {
			t.Errorf("%s: got sha256 %x (%d bytes), want %s", f, sum, len(b), want)
		}
		if !bytes.Equal(unpack(t, f, b), content) {
			t.Errorf("%s: content does not come back", f)
		}
	}
}

func TestSameBytesWhateverTheCoresAndWrites(t *testing.T) {
	content := sample()[:1<<20]
	for _, f := range []compress.Format{compress.Gzip, compress.Zstd, compress.XZ} {
		want := pack(t, f, content, len(content))
		old := runtime.GOMAXPROCS(1)
		one := pack(t, f, content, 777)
		runtime.GOMAXPROCS(8)
		eight := pack(t, f, content, 100_003)
		runtime.GOMAXPROCS(old)
		if !bytes.Equal(want, one) || !bytes.Equal(want, eight) {
			t.Errorf("%s: the bytes depend on GOMAXPROCS or on the size of the writes", f)
		}
	}
}

// TestReadByOthers has the streams read by the usual programs, where there are any.
func TestReadByOthers(t *testing.T) {
	content := sample()[:1<<18]
	for _, f := range []compress.Format{compress.Gzip, compress.Zstd, compress.XZ} {
		bin, err := exec.LookPath(string(f))
		if err != nil {
			t.Logf("no %s on this machine", f)
			continue
		}
		cmd := exec.Command(bin, "-dc")
		cmd.Stdin = bytes.NewReader(pack(t, f, content, 1<<16))
		out, err := cmd.Output()
		if err != nil || !bytes.Equal(out, content) {
			t.Errorf("%s -dc: %v, %d bytes, want %d", f, err, len(out), len(content))
		}
	}
}

func TestUnknownFormat(t *testing.T) {
	if _, err := compress.NewWriter(io.Discard, "rar"); err == nil {
		t.Error("got no error for rar")
	}
}

func BenchmarkWrite(b *testing.B) {
	content := sample()
	for _, f := range []compress.Format{compress.Gzip, compress.Zstd, compress.XZ} {
		b.Run(string(f), func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			for b.Loop() {
				pack(b, f, content, 1<<16)
			}
		})
	}
}

func packParallel(t testing.TB, w io.Writer, f compress.Format, content []byte, chunk int) {
	t.Helper()
	p, err := compress.NewParallel(w, f)
	if err != nil {
		t.Fatal(err)
	}
	for len(content) > 0 {
		n := min(chunk, len(content))
		if _, err := p.Write(content[:n]); err != nil {
			t.Fatal(err)
		}
		content = content[n:]
	}
	if err := p.Close(); err != nil {
		t.Fatal(err)
	}
}

// The bytes of NewParallel are a function of the content, its readers agree, and
// they are held by digests as NewWriter's are.
func TestParallel(t *testing.T) {
	long := bytes.Repeat(sample(), 4) // 12 MB: several blocks of each
	for f, want := range map[compress.Format]string{
		compress.None: "ccc082afda3187d5eda8c694215dc32311bcb1689359e4530e6208f5dc191ef8",
		compress.Gzip: "7ffb3764b577e54bacab7379d15fe50da985fcfa366c4b52354b9180125e5c14",
		compress.Zstd: "429f041bdace9debd4ac0bb66868aec0bb28cabf6a64ac6de73cf2d140638d5a",
	} {
		for _, n := range []int{0, 1, 1<<20 - 1, 1 << 20, 1<<20 + 1, 4 << 20, len(long)} {
			content := long[:n]
			var first bytes.Buffer
			packParallel(t, &first, f, content, n+1)
			if !bytes.Equal(unpack(t, f, first.Bytes()), content) {
				t.Errorf("%s: %d bytes do not come back", f, n)
			}
			for _, procs := range []int{1, 2, 8} {
				old := runtime.GOMAXPROCS(procs)
				var again bytes.Buffer
				packParallel(t, &again, f, content, 100_003)
				runtime.GOMAXPROCS(old)
				if !bytes.Equal(first.Bytes(), again.Bytes()) {
					t.Errorf("%s: the bytes of %d bytes depend on GOMAXPROCS or on the size of the writes", f, n)
				}
			}
			if n < len(long) {
				continue
			}
			if sum := sha256.Sum256(first.Bytes()); hex.EncodeToString(sum[:]) != want {
				t.Errorf("%s: got sha256 %x (%d bytes), want %s", f, sum, first.Len(), want)
			}
			bin, err := exec.LookPath(string(f))
			if err != nil {
				continue
			}
			cmd := exec.Command(bin, "-dc")
			cmd.Stdin = bytes.NewReader(first.Bytes())
			if out, err := cmd.Output(); err != nil || !bytes.Equal(out, content) {
				t.Errorf("%s -dc: %v, %d bytes, want %d", f, err, len(out), len(content))
			}
		}
	}
}

// A full disk is told, and nothing hangs.
func TestParallelWriteError(t *testing.T) {
	for _, f := range []compress.Format{compress.Gzip, compress.Zstd} {
		w, err := compress.NewParallel(&limited{left: 1 << 16}, f)
		if err != nil {
			t.Fatal(err)
		}
		_, _ = w.Write(bytes.Repeat(sample(), 4))
		if err := w.Close(); !errors.Is(err, errFull) {
			t.Errorf("%s: got %v", f, err)
		}
	}
}

var errFull = errors.New("full")

type limited struct{ left int }

func (l *limited) Write(p []byte) (int, error) {
	if l.left -= len(p); l.left < 0 {
		return 0, errFull
	}
	return len(p), nil
}

// BenchmarkParallel compares with what a user would pick, in one run: the ratio is
// of the times, below 1 ours is the faster. LABSTAR_BENCH_FILE names what is
// compressed, by default a sample.
func BenchmarkParallel(b *testing.B) {
	content := bytes.Repeat(sample(), 20)
	if name := os.Getenv("LABSTAR_BENCH_FILE"); name != "" {
		var err error
		if content, err = os.ReadFile(name); err != nil {
			b.Fatal(err)
		}
	}
	for f, argv := range map[compress.Format][]string{compress.Gzip: {"pigz", "-c"}, compress.Zstd: {"zstd", "-T0", "-c"}} {
		if _, err := exec.LookPath(argv[0]); err != nil {
			b.Skipf("no %s on this machine", argv[0])
		}
		b.Run(string(f), func(b *testing.B) {
			b.SetBytes(int64(len(content)))
			var ours, theirs time.Duration
			var size, other int64
			for b.Loop() {
				start := time.Now()
				var n count
				packParallel(b, &n, f, content, 1<<16)
				ours += time.Since(start)
				start = time.Now()
				var m count
				cmd := exec.Command(argv[0], argv[1:]...)
				cmd.Stdin, cmd.Stdout = bytes.NewReader(content), &m
				if err := cmd.Run(); err != nil {
					b.Fatal(err)
				}
				theirs += time.Since(start)
				size, other = int64(n), int64(m)
			}
			b.ReportMetric(ours.Seconds()/theirs.Seconds(), "time-ratio")
			b.ReportMetric(float64(size)/float64(other), "size-ratio")
		})
	}
}

type count int64

func (c *count) Write(p []byte) (int, error) { *c += count(len(p)); return len(p), nil }
