package term

import (
	"strings"
	"sync"
	"testing"
	"time"
)

// still makes a Progress that does not draw by itself.
func still(t *testing.T, cols, rows int) *Progress {
	s := newScreen(t, cols, rows)
	return &Progress{term: s.term(), live: NewLive(s.term(), s), start: time.Now(), stop: make(chan struct{})}
}

func TestFrame(t *testing.T) {
	p := still(t, 80, 24)
	p.Total(10)
	p.Settled(4)
	p.Start("a", "busybox 1.37.0")
	p.Start("b", "fetch linux_6.12.tar.xz")
	p.Wait("c", "gcc\x1b[2Jtrap")
	p.Bytes("b", 25_000_000, 100_000_000)
	for _, task := range p.tasks {
		task.start = p.start
	}
	p.tasks[1].bytes.rate = 12_100_000
	got := strings.Join(p.frame(p.start.Add(12300*time.Millisecond)), "\n")
	want := strings.TrimPrefix(`
  busybox 1.37.0                                                         12.3 s
  fetch linux_6.12.tar…  ━━━━────────────  25.0 MB of 100 MB  12.1 MB/s  12.3 s
  gcctrap                                             another labstar builds it
━━━━━━━━━━━━━━━━────────────────────────  4 of 10, 3 running, 12.3 s`, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	p.End("a")
	p.Drop("c")
	if got := p.frame(p.start.Add(13 * time.Second)); len(got) != 2 || !strings.Contains(got[1], "5 of 10, 1 running, 13.0 s") {
		t.Errorf("got %q", got)
	}
}

// No line of any frame may be wider than the terminal, however narrow it is.
func TestFrameFits(t *testing.T) {
	for cols := 1; cols < 130; cols++ {
		p := still(t, cols, 8)
		p.Total(1000)
		for i := range 20 {
			p.Start(i, "日本語 a rather long title of an action that goes on")
			p.Bytes(i, 999_000_000, 1_000_000_000)
		}
		frame := p.frame(time.Now().Add(time.Hour))
		if len(frame) > 7 {
			t.Errorf("%d columns: got %d lines on a terminal of 8 rows", cols, len(frame))
		}
		s := newScreen(t, cols, 8)
		l := NewLive(s.term(), s)
		l.Draw(frame)
		l.Draw(append(frame, "x"))
		if cols > 1 && len(s.scrolled) > 0 {
			t.Errorf("%d columns: the frame scrolled the screen", cols)
		}
		if cols < 20 {
			continue
		}
		for _, line := range frame {
			if Width(line) > cols {
				t.Errorf("%d columns: got a line of %d: %q", cols, Width(line), line)
			}
		}
	}
}

func TestProgressLeavesNothing(t *testing.T) {
	s := newScreen(t, 60, 10)
	p := NewProgress(s.term(), s)
	p.Total(1)
	p.Start(1, "short")
	p.End(1)
	p.Close()
	if s.writes != 0 {
		t.Errorf("got %d writes for what was over at once", s.writes)
	}

	p = NewProgress(s.term(), s)
	p.Total(2)
	var wg sync.WaitGroup
	for i := range 2 {
		wg.Add(1)
		go func() {
			defer wg.Done()
			p.Start(i, "task")
			for n := range int64(20) {
				p.Bytes(i, n, 20)
				time.Sleep(20 * time.Millisecond)
			}
			p.Print("done")
			p.End(i)
		}()
	}
	wg.Wait()
	p.Close()
	p.Close()
	s.want("after the end", "done\ndone")
	if s.hidden {
		t.Error("the cursor is hidden after the end")
	}
	if s.writes > 8 {
		t.Errorf("got %d writes in 0.4 s, want at most ten a second", s.writes)
	}
}

func TestMeter(t *testing.T) {
	var m meter
	now := time.Now()
	for i := range int64(100) {
		m.update(now.Add(time.Duration(i)*100*time.Millisecond), i*1_000_000, 0)
	}
	if m.rate < 9_500_000 || m.rate > 10_500_000 {
		t.Errorf("got a rate of %.0f, want 10 MB/s", m.rate)
	}
	m.update(now.Add(11*time.Second), 0, 0) // a retry from the start
	if m.rate != 0 {
		t.Errorf("got a rate of %.0f after a restart, want 0", m.rate)
	}
}
