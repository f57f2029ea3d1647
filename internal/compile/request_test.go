package compile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
)

// encodeRequest is what shim.c sends.
func encodeRequest(q *request) []byte {
	text := []byte(strings.Join(slices.Concat([]string{q.tool, q.dir}, q.argv, q.env), "\x00") + "\x00")
	var b []byte
	for _, w := range []uint32{requestMagic, uint32(8 + len(text)), uint32(len(q.argv)), q.umask} {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	return append(b, text...)
}

func TestReadRequest(t *testing.T) {
	want := &request{tool: "gcc", dir: "/build", argv: []string{"gcc", "", "-c"}, env: []string{"A=b", "EMPTY="}, umask: 0o22}
	got, err := readRequest(bytes.NewReader(encodeRequest(want)))
	if err != nil {
		t.Fatal(err)
	}
	if got.tool != want.tool || got.dir != want.dir || !slices.Equal(got.argv, want.argv) || !slices.Equal(got.env, want.env) || got.umask != want.umask {
		t.Errorf("got %+v, want %+v", got, want)
	}
	if v, ok := got.getenv("A"); v != "b" || !ok {
		t.Errorf("got %q, %v", v, ok)
	}
	if _, ok := got.getenv("B"); ok {
		t.Error("got a variable that is not there")
	}
}

func TestReadRequestRefuses(t *testing.T) {
	good := &request{tool: "gcc", dir: "/build", argv: []string{"gcc"}}
	change := func(f func(b []byte)) []byte {
		b := encodeRequest(good)
		f(b)
		return b
	}
	le := binary.LittleEndian
	for name, b := range map[string][]byte{
		"magic":       change(func(b []byte) { b[0]++ }),
		"huge":        change(func(b []byte) { le.PutUint32(b[4:], 1<<31) }),
		"small":       change(func(b []byte) { le.PutUint32(b[4:], 7) }),
		"no strings":  change(func(b []byte) { le.PutUint32(b[4:], 8) })[:16],
		"argc":        change(func(b []byte) { le.PutUint32(b[8:], 2) }),
		"argc huge":   change(func(b []byte) { le.PutUint32(b[8:], 1<<32-1) }),
		"no argv":     change(func(b []byte) { le.PutUint32(b[8:], 0) }),
		"no end":      change(func(b []byte) { b[len(b)-1] = 'x' }),
		"tool's path": encodeRequest(&request{tool: "../gcc", dir: "/build", argv: []string{"gcc"}}),
		"folder":      encodeRequest(&request{tool: "gcc", dir: "build", argv: []string{"gcc"}}),
		"no tool":     encodeRequest(&request{tool: "", dir: "/build", argv: []string{"gcc"}}),
	} {
		if q, err := readRequest(bytes.NewReader(b)); !errors.Is(err, errRequest) {
			t.Errorf("%s: got %+v, %v, want it refused", name, q, err)
		}
	}
	if _, err := readRequest(bytes.NewReader(encodeRequest(good)[:20])); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("cut: got %v", err)
	}
}

// A shim that lies about sizes makes the server neither wait for ever nor allocate.
func TestShimLies(t *testing.T) {
	reply := func(words ...uint32) shim {
		var b []byte
		for _, w := range words {
			b = binary.LittleEndian.AppendUint32(b, w)
		}
		return shim{struct {
			io.Reader
			io.Writer
		}{bytes.NewReader(b), io.Discard}}
	}
	if _, err := reply(0, 100, 0).run([]string{"gcc"}, true); err == nil {
		t.Error("run: got no error for messages that do not come")
	}
	if _, err := reply(0, 1<<31, 0).run([]string{"gcc"}, true); err == nil {
		t.Error("run: got no error for more messages than there are")
	}
	if _, _, err := reply(0, 1<<20).get("x"); !errors.Is(err, errRequest) {
		t.Errorf("get: got %v, want it refused", err)
	}
	if _, _, err := reply(1<<20, 0).get("x"); !errors.Is(err, errRequest) {
		t.Errorf("get: got %v, want it refused", err)
	}
	if _, ok, err := reply(1<<32-1, 1<<32-1).get("x"); ok || err != nil {
		t.Errorf("get: got %v, %v, want no file", ok, err)
	}
}

func FuzzReadRequest(f *testing.F) {
	f.Add(encodeRequest(&request{tool: "gcc", dir: "/build", argv: []string{"gcc", "-c"}, env: []string{"A=b"}}))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		q, err := readRequest(bytes.NewReader(b))
		if err != nil {
			return
		}
		again, err := readRequest(bytes.NewReader(encodeRequest(q)))
		if err != nil || again.tool != q.tool || !slices.Equal(again.argv, q.argv) || !slices.Equal(again.env, q.env) {
			t.Errorf("got %+v, %v, want %+v", again, err, q)
		}
	})
}
