package compile

import (
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"strings"
)

// request is what a shim says first: its command line and where it runs.
type request struct {
	tool  string // base name of the program that was executed
	dir   string // the working folder, absolute
	argv  []string
	env   []string
	umask uint32
}

const (
	requestMagic = 0x3153434c // "LCS1"
	maxRequest   = 8 << 20    // bytes; the kernel's own limit for a command line is below
	maxPrinted   = 1 << 20    // bytes that an entry keeps of what a tool printed
	maxOutput    = 512 << 20  // bytes of one output
)

var errRequest = errors.New("malformed request of a shim")

// readRequest reads a request. The sender is not trusted.
func readRequest(r io.Reader) (*request, error) {
	var head [16]byte
	if _, err := io.ReadFull(r, head[:]); err != nil {
		return nil, err
	}
	le := binary.LittleEndian
	size, argc := le.Uint32(head[4:]), le.Uint32(head[8:])
	if le.Uint32(head[:]) != requestMagic || size < 8 || size > maxRequest {
		return nil, errRequest
	}
	b := make([]byte, size-8)
	if _, err := io.ReadFull(r, b); err != nil {
		return nil, err
	}
	return parseRequest(b, argc, le.Uint32(head[12:]))
}

// parseRequest takes the strings apart.
func parseRequest(b []byte, argc, umask uint32) (*request, error) {
	if len(b) == 0 || b[len(b)-1] != 0 {
		return nil, errRequest
	}
	// One string for all: the parts share its memory.
	list := strings.Split(string(b[:len(b)-1]), "\x00")
	if uint64(argc) < 1 || uint64(argc) > uint64(len(list))-min(2, uint64(len(list))) {
		return nil, errRequest
	}
	q := &request{tool: list[0], dir: list[1], argv: list[2 : 2+argc], env: list[2+argc:], umask: umask & 0o777}
	if q.tool == "" || strings.ContainsRune(q.tool, '/') || !strings.HasPrefix(q.dir, "/") {
		return nil, errRequest
	}
	return q, nil
}

// getenv returns a variable's value.
func (q *request) getenv(name string) (string, bool) {
	for _, e := range q.env {
		if len(e) > len(name) && e[len(name)] == '=' && e[:len(name)] == name {
			return e[len(name)+1:], true
		}
	}
	return "", false
}

// shim is the other end of the socket. Its methods are the answers that shim/shim.c
// describes.
type shim struct{ rw io.ReadWriter }

func (s shim) send(op byte, words []uint32, parts ...[]byte) error {
	b := []byte{op}
	for _, w := range words {
		b = binary.LittleEndian.AppendUint32(b, w)
	}
	for _, p := range parts {
		b = append(b, p...)
	}
	_, err := s.rw.Write(b)
	return err
}

// aside has the shim execute the real tool.
func (s shim) aside() error { return s.send('P', nil) }

// same has the shim end as the tool that it ran.
func (s shim) same() error { return s.send('K', nil) }

// finish has the shim print and end.
func (s shim) finish(status int, stderr, stdout []byte) error {
	return s.send('F', []uint32{uint32(status), uint32(len(stderr)), uint32(len(stdout))}, stderr, stdout)
}

// input asks for standard input, of which the tool, should it run, still gets all.
func (s shim) input(most uint32) ([]byte, error) {
	if err := s.send('I', []uint32{most}); err != nil {
		return nil, err
	}
	var head [4]byte
	if _, err := io.ReadFull(s.rw, head[:]); err != nil {
		return nil, err
	}
	size := binary.LittleEndian.Uint32(head[:])
	if size > most {
		return nil, errTooLong
	}
	b := make([]byte, size)
	_, err := io.ReadFull(s.rw, b)
	return b, err
}

// write has the shim write a file. If replace is set what was there is unlinked first.
func (s shim) write(path string, content []byte, replace, exec bool) error {
	flags := uint32(0)
	if replace {
		flags |= 1
	}
	if exec {
		flags |= 2
	}
	return s.file(flags, path, content)
}

// add has the shim write at the end of a file.
func (s shim) add(path string, content []byte) error { return s.file(4, path, content) }

func (s shim) file(flags uint32, path string, content []byte) error {
	size := uint64(len(content))
	return s.send('W', []uint32{flags, uint32(len(path)), uint32(size), uint32(size >> 32)}, []byte(path), content)
}

// ran is how a tool ended: its wait status, and what it printed.
type ran struct {
	status         uint32
	stderr, stdout []byte
}

// run has the shim run the real tool with other arguments. Its standard output is
// the build's own unless capture is set.
func (s shim) run(argv []string, capture bool) (ran, error) {
	text := []byte(strings.Join(argv, "\x00") + "\x00")
	flags := uint32(0)
	if capture {
		flags = 1
	}
	if err := s.send('R', []uint32{uint32(len(argv)), uint32(len(text)), flags}, text); err != nil {
		return ran{}, err
	}
	var reply [12]byte
	if _, err := io.ReadFull(s.rw, reply[:]); err != nil {
		return ran{}, err
	}
	r := ran{status: binary.LittleEndian.Uint32(reply[:])}
	var long error
	for i, to := range []*[]byte{&r.stderr, &r.stdout} {
		size := binary.LittleEndian.Uint32(reply[4+4*i:])
		if size > maxPrinted {
			long = errTooLong
			if _, err := io.CopyN(io.Discard, s.rw, int64(size)); err != nil {
				return r, err
			}
			continue
		}
		*to = make([]byte, size)
		if _, err := io.ReadFull(s.rw, *to); err != nil {
			return r, err
		}
	}
	return r, long
}

var errTooLong = errors.New("more than an entry keeps")

// get asks for a file as the shim sees it; ok is false if there is none.
func (s shim) get(path string) (content []byte, ok bool, err error) {
	if err := s.send('G', []uint32{uint32(len(path))}, []byte(path)); err != nil {
		return nil, false, err
	}
	var head [8]byte
	if _, err := io.ReadFull(s.rw, head[:]); err != nil {
		return nil, false, err
	}
	size := binary.LittleEndian.Uint64(head[:])
	if size == ^uint64(0) {
		return nil, false, nil
	}
	if size > maxOutput {
		return nil, false, errRequest
	}
	var b bytes.Buffer
	if n, err := io.CopyN(&b, s.rw, int64(size)); err != nil || n != int64(size) {
		return nil, false, errors.Join(errRequest, err)
	}
	return b.Bytes(), true, nil
}
