package zstd

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"os"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	klauspost "github.com/klauspost/compress/zstd"
)

// program is what layers are full of: this test's own executable.
func program(t testing.TB) []byte {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(exe)
	if err != nil {
		t.Fatal(err)
	}
	return b[:min(len(b), MaxFrame)]
}

// contents are of every kind that takes a way of its own through the encoder.
func contents(t testing.TB) map[string][]byte {
	rng := rand.New(rand.NewPCG(1, 2))
	random := func(n int) []byte {
		b := make([]byte, n)
		for i := range b {
			b[i] = byte(rng.IntN(256))
		}
		return b
	}
	exe := program(t)
	list := map[string][]byte{
		"program":            exe,
		"zeros":              make([]byte, MaxFrame),
		"random":             random(MaxFrame/4 + 7),
		"random twice":       bytes.Repeat(random(blockSize+100), 2),
		"zeros and random":   append(append(make([]byte, 3*blockSize/2), random(blockSize)...), make([]byte, blockSize)...),
		"one long match":     append(random(300), bytes.Repeat([]byte("abcdefgh"), 3*blockSize/8)...),
		"two of each":        bytes.Repeat([]byte{1, 1, 2, 2}, 1000),
		"few literals":       append(bytes.Repeat([]byte("ab"), 300), 'c'),
		"a match to the end": append([]byte("0123456789abcdef....0123456789abcdef"), "...."...),
	}
	// Sequences of one kind alone, of which a table needs no bits.
	var same []byte
	word := random(24)
	for range 3000 {
		same = append(append(same, random(4)...), word...)
	}
	list["one code"] = same
	// Blocks that can't be packed between such that can, so that tables are not carried over.
	var mixed []byte
	for i := range 12 {
		if i%3 == 1 {
			mixed = append(mixed, random(blockSize)...)
		} else {
			mixed = append(mixed, exe[i*blockSize/2:][:blockSize]...)
		}
	}
	list["mixed"] = mixed
	// Small alphabets and many lengths.
	for letters := 2; letters <= 64; letters *= 2 {
		b := make([]byte, 2*blockSize+letters)
		for i := range b {
			b[i] = byte(rng.IntN(letters))
		}
		list[fmt.Sprint("letters ", letters)] = b
	}
	for _, n := range []int{0, 1, 2, 3, 7, 8, 15, 16, 17, 24, 31, 32, 33, 255, 256, 257, 1023, 1024, 4095, 4096, 65791, 65792, blockSize - 1, blockSize, blockSize + 1, MaxFrame} {
		list[fmt.Sprint("length ", n)] = exe[len(exe)/3:][:min(n, len(exe)-len(exe)/3)]
		list[fmt.Sprint("words ", n)] = []byte(strings.Repeat("the quick brown fox. ", n/20+1))[:n]
	}
	return list
}

var decoder = sync.OnceValues(func() (*klauspost.Decoder, error) {
	return klauspost.NewReader(nil, klauspost.WithDecoderConcurrency(1))
})

func unpack(t testing.TB, frame []byte) []byte {
	d, err := decoder()
	if err != nil {
		t.Fatal(err)
	}
	b, err := d.DecodeAll(frame, nil)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// What is packed is what two other decoders unpack, and an encoder that has packed
// other things packs it no differently.
func TestFrame(t *testing.T) {
	used := NewEncoder()
	for name, data := range contents(t) {
		t.Run(name, func(t *testing.T) {
			before := bytes.Clone(data)
			frame := NewEncoder().AppendFrame([]byte("before"), data)
			if !bytes.HasPrefix(frame, []byte("before")) || !bytes.Equal(data, before) {
				t.Fatal("what was there has changed")
			}
			frame = frame[len("before"):]
			if !bytes.Equal(unpack(t, frame), data) {
				t.Error("unpacked, it is something else")
			}
			if len(frame) > len(data)+len(data)/blockSize*3+12 {
				t.Errorf("%d bytes became %d", len(data), len(frame))
			}
			if again := used.AppendFrame(nil, data); !bytes.Equal(again, frame) {
				t.Error("an encoder that was used makes another frame")
			}
			zstd, err := exec.LookPath("zstd")
			if err != nil {
				t.Log("the zstd command is not here to unpack it too")
				return
			}
			cmd := exec.Command(zstd, "-dc")
			cmd.Stdin = bytes.NewReader(frame)
			out, err := cmd.Output()
			if err != nil || !bytes.Equal(out, data) {
				t.Errorf("zstd -dc: %v, %d bytes, want %d", err, len(out), len(data))
			}
		})
	}
}

// Programs become a third to a half, a little more than with klauspost's default level.
func TestSize(t *testing.T) {
	data := program(t)
	frame := NewEncoder().AppendFrame(nil, data)
	e, err := klauspost.NewWriter(nil, klauspost.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	if theirs := e.EncodeAll(data, nil); len(frame) > len(theirs)*103/100 {
		t.Errorf("%d bytes became %d, with klauspost's default level %d", len(data), len(frame), len(theirs))
	}
}

// normalize gives every code that is there a state, and hands out them all.
func TestNormalize(t *testing.T) {
	rng := rand.New(rand.NewPCG(3, 4))
	for range 20000 {
		var count [64]uint32
		total := 0
		for range 1 + rng.IntN(53) {
			n := 1 << rng.IntN(15)
			count[rng.IntN(53)] += uint32(n)
			total += n
		}
		var tab table
		tab.normalize(&count, total, maxLog[rng.IntN(3)])
		sum := 0
		for code, n := range count {
			got := tab.norm[code]
			if code >= tab.size {
				got = 0
			}
			if (n > 0) != (got > 0) {
				t.Fatalf("%v became %v", count, tab.norm)
			}
			sum += int(got)
		}
		if sum != 1<<tab.log {
			t.Fatalf("%v became %v: %d states, want %d", count, tab.norm, sum, 1<<tab.log)
		}
	}
}

func FuzzFrame(f *testing.F) {
	for _, data := range contents(f) {
		f.Add(data[:min(len(data), 4096)], uint8(3))
	}
	e := NewEncoder()
	f.Fuzz(func(t *testing.T, data []byte, times uint8) {
		all := bytes.Repeat(data, int(times%16)+1)
		all = append(all[:min(len(all), MaxFrame-len(data))], data...)
		if !bytes.Equal(unpack(t, e.AppendFrame(nil, all)), all) {
			t.Error("unpacked, it is something else")
		}
	})
}

// Against klauspost's default level, which takes what C's level 3 does, in turn.
func BenchmarkFrame(b *testing.B) {
	data := program(b)
	e, err := klauspost.NewWriter(nil, klauspost.WithEncoderConcurrency(1))
	if err != nil {
		b.Fatal(err)
	}
	ours := NewEncoder()
	b.SetBytes(int64(len(data)))
	var dst, theirs []byte
	var took, other time.Duration
	for b.Loop() {
		begin := time.Now()
		dst = ours.AppendFrame(dst[:0], data)
		middle := time.Now()
		theirs = e.EncodeAll(data, theirs[:0])
		took, other = took+middle.Sub(begin), other+time.Since(middle)
	}
	b.ReportMetric(took.Seconds()/other.Seconds(), "time-ratio")
	b.ReportMetric(float64(len(dst))/float64(len(theirs)), "size-ratio")
}
