package archive

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"runtime"
	"strings"
	"sync"

	"github.com/labstar/labstar/action"
)

// smallFile is the size up to which a file is read into memory and written by
// one of the writers.
const smallFile = 1 << 20

// writers put small files into the tree side by side. What is on its way is
// known by path, so that entries which touch each other stay in order.
type writers struct {
	w     action.TreeWriter
	jobs  chan *job
	idle  chan *job // to use again; their number bounds the memory
	all   []*job
	wait  sync.WaitGroup
	mu    sync.Mutex
	first error
}

// job is one small file, or room for one.
type job struct {
	path, name string
	attr       action.Attr
	buf        []byte
	busy       bool // used by the reader's goroutine only
}

func newWriters(w action.TreeWriter) *writers {
	n := runtime.GOMAXPROCS(0) + 1
	p := &writers{w: w, jobs: make(chan *job, n), idle: make(chan *job, 3*n)}
	for range 3 * n {
		j := new(job)
		p.all = append(p.all, j)
		p.idle <- j
	}
	for range n {
		p.wait.Add(1)
		go func() {
			defer p.wait.Done()
			for j := range p.jobs {
				if _, err := w.File(j.path, j.attr, bytes.NewReader(j.buf)); err != nil {
					p.fail(&MemberError{j.name, err})
				}
				p.idle <- j
			}
		}()
	}
	return p
}

func (p *writers) fail(err error) {
	p.mu.Lock()
	if p.first == nil {
		p.first = err
	}
	p.mu.Unlock()
}

func (p *writers) err() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.first
}

// file reads the content of m and has it written at path.
func (p *writers) file(path string, m *member, content io.Reader) error {
	if err := p.settle(path); err != nil {
		return err
	}
	body := &exact{r: content, left: m.size}
	if m.size > smallFile {
		if _, err := p.w.File(path, m.attr, body); err != nil {
			return err
		}
		return body.end()
	}
	j := <-p.idle
	if cap(j.buf) < int(m.size) {
		j.buf = make([]byte, max(int(m.size), 16<<10))
	}
	j.buf = j.buf[:m.size]
	if _, err := io.ReadFull(body, j.buf); err != nil {
		p.idle <- j
		return err
	}
	if err := body.end(); err != nil {
		p.idle <- j
		return err
	}
	j.path, j.name, j.attr, j.busy = path, m.name, m.attr, true
	p.jobs <- j
	return nil
}

// settle waits for files on their way to path, above it or below it: entries of
// one path keep their order. It returns the first error of any writer.
func (p *writers) settle(path string) error {
	for _, j := range p.all {
		if j.busy && (j.path == path || under(j.path, path) || under(path, j.path)) {
			p.drain()
			break
		}
	}
	return p.err()
}

// under reports whether p is below the directory dir.
func under(p, dir string) bool {
	return dir == "" || len(p) > len(dir) && p[len(dir)] == '/' && strings.HasPrefix(p, dir)
}

// drain waits until nothing is on its way.
func (p *writers) drain() {
	jobs := make([]*job, 0, len(p.all))
	for range p.all {
		jobs = append(jobs, <-p.idle)
	}
	for _, j := range jobs {
		j.busy = false
		p.idle <- j
	}
}

// close waits for the writers and returns their first error.
func (p *writers) close() error {
	close(p.jobs)
	p.wait.Wait()
	return p.first
}

// exact reads a member's content, which has to be just as long as its header says.
type exact struct {
	r    io.Reader
	left int64
}

func (e *exact) Read(b []byte) (int, error) {
	if e.left == 0 {
		return 0, io.EOF
	}
	n, err := e.r.Read(b[:min(int64(len(b)), e.left)])
	e.left -= int64(n)
	if errors.Is(err, io.EOF) && e.left > 0 {
		err = fmt.Errorf("truncated: %d bytes are missing: %w", e.left, io.ErrUnexpectedEOF)
	} else if errors.Is(err, io.EOF) {
		err = nil
	}
	return n, err
}

var errTooLong = errors.New("content is longer than its header says")

// end checks that nothing is left; for a zip this is where its check sum is verified.
func (e *exact) end() error {
	var one [1]byte
	n, err := e.r.Read(one[:])
	if n > 0 {
		return errTooLong
	}
	if err != nil && err != io.EOF {
		return err
	}
	return nil
}
