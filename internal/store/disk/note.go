package disk

import (
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// noteFile returns the file of the note called name. Any name will do.
func (s *Store) noteFile(name string) string {
	file := strings.ReplaceAll(url.QueryEscape(name), ".", "%2E")
	if file == "" {
		file = "%"
	}
	if len(file) > 200 {
		file = file[:100] + "-" + action.Of([]byte(name)).Hex()
	}
	return s.path("notes", file)
}

// PutNote keeps b under name, for this and other processes.
func (s *Store) PutNote(name string, b []byte) error {
	tmp, err := s.tmp.name(s)
	if err == nil {
		err = writeFile(tmp, s.noteFile(name), b, false)
	}
	return s.explain("writing a note to", err)
}

// Note returns what PutNote kept last; wrapped ErrNotFound if nothing.
func (s *Store) Note(name string) ([]byte, error) {
	b, err := os.ReadFile(s.noteFile(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("note %q: %w", name, store.ErrNotFound)
	}
	return b, s.explain("reading a note of", err)
}

// logFile takes what an action prints. The file is made at the first byte.
type logFile struct {
	s    *Store
	path string
	f    *os.File
}

// LogFile starts the log of the action with the given key; that of an earlier
// run goes. An action that prints nothing has no file.
func (s *Store) LogFile(key action.Digest) (store.Log, error) {
	if err := s.writeable("writing a log to"); err != nil {
		return nil, err
	}
	l := &logFile{s: s, path: s.path("logs", key.Hex()+".log")}
	if err := os.Remove(l.path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, s.explain("writing a log to", err)
	}
	return l, nil
}

func (l *logFile) Path() string { return l.path }

func (l *logFile) Write(p []byte) (int, error) {
	if l.f == nil {
		f, err := os.Create(l.path)
		if err != nil {
			return 0, l.s.explain("writing a log to", err)
		}
		l.f = f
	}
	n, err := l.f.Write(p)
	return n, l.s.explain("writing a log to", err)
}

func (l *logFile) Close() error {
	if l.f == nil {
		return nil
	}
	err := l.f.Close()
	l.f = nil
	return l.s.explain("writing a log to", err)
}
