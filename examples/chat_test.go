package examples

import (
	"bytes"
	"strings"
	"sync"
	"testing"
	"time"
)

// lockedBuffer keeps what a program prints while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
	at int // what was waited for ends here
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// wait waits until the text comes after what was last waited for.
func (l *lockedBuffer) wait(t testing.TB, text string) {
	t.Helper()
	for deadline := time.Now().Add(3 * time.Minute); time.Now().Before(deadline); time.Sleep(100 * time.Millisecond) {
		all := l.String()
		if i := strings.Index(all[l.at:], text); i >= 0 {
			l.at += i + len(text)
			return
		}
	}
	t.Fatalf("%q did not come:\n%s", text, l.String())
}
