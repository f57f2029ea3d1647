package term

import (
	"io"
	"slices"
	"strings"
	"sync"
	"time"
)

// Interval is the time between two frames.
const Interval = 100 * time.Millisecond

// Quiet is how long a Progress waits before it draws at all, so that what is
// over at once leaves no trace.
const Quiet = 150 * time.Millisecond

// Progress shows what is running. It is safe for use by several goroutines.
type Progress struct {
	mu      sync.Mutex
	term    Term
	live    *Live
	start   time.Time
	tasks   []*task
	done    int
	total   int
	stop    chan struct{}
	stopped sync.WaitGroup
}

// task is one line.
type task struct {
	key     any
	title   string
	start   time.Time
	waiting bool
	bytes   meter
}

// meter follows a transfer.
type meter struct {
	done, size int64
	rate       float64 // bytes a second, smoothed
	at         time.Time
	from       int64 // done at that time
}

// NewProgress starts drawing on t, through out.
func NewProgress(t Term, out io.Writer) *Progress {
	p := &Progress{term: t, live: NewLive(t, out), start: time.Now(), stop: make(chan struct{})}
	p.stopped.Add(1)
	go p.loop()
	return p
}

func (p *Progress) loop() {
	defer p.stopped.Done()
	select {
	case <-p.stop:
		return
	case <-time.After(Quiet):
	}
	tick := time.NewTicker(Interval)
	defer tick.Stop()
	for {
		p.live.Draw(p.frame(time.Now()))
		select {
		case <-p.stop:
			return
		case <-tick.C:
		}
	}
}

// Total adds n to the number of tasks in all.
func (p *Progress) Total(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.total += n
}

// Settled counts n tasks as done that were never started.
func (p *Progress) Settled(n int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done += n
}

// Start adds a line. Starting a key that waits makes it run.
func (p *Progress) Start(key any, title string) { p.add(key, title, false) }

// Wait adds a line for what another process does.
func (p *Progress) Wait(key any, title string) { p.add(key, title, true) }

func (p *Progress) add(key any, title string, waiting bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	t := p.find(key)
	if t == nil {
		t = &task{key: key, title: Clean(title)}
		p.tasks = append(p.tasks, t)
	}
	t.start, t.waiting = time.Now(), waiting
}

// Title changes what a line says; a key without one gets one.
func (p *Progress) Title(key any, title string) {
	p.mu.Lock()
	t := p.find(key)
	if t != nil {
		t.title = Clean(title)
	}
	p.mu.Unlock()
	if t == nil {
		p.Start(key, title)
	}
}

// Bytes tells how far a transfer is; size is 0 if it is not known.
func (p *Progress) Bytes(key any, done, size int64) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if t := p.find(key); t != nil {
		t.bytes.update(time.Now(), done, size)
	}
}

// update smooths the rate over about two seconds.
func (m *meter) update(now time.Time, done, size int64) {
	if m.at.IsZero() || done < m.done { // begun, or begun anew
		m.at, m.from, m.rate = now, done, 0
	}
	m.done, m.size = done, size
	if d := now.Sub(m.at); d >= 250*time.Millisecond {
		rate := float64(done-m.from) / d.Seconds()
		if m.rate == 0 {
			m.rate = rate
		} else {
			m.rate += (rate - m.rate) * min(1, d.Seconds()/2)
		}
		m.at, m.from = now, done
	}
}

// End removes a line and counts the task as done. A key without a line is only
// counted.
func (p *Progress) End(key any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.done++
	p.tasks = slices.DeleteFunc(p.tasks, func(t *task) bool { return t.key == key })
}

// Drop removes a line without counting it: what it waited for was found.
func (p *Progress) Drop(key any) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.tasks = slices.DeleteFunc(p.tasks, func(t *task) bool { return t.key == key })
}

// Has reports whether the key has a line.
func (p *Progress) Has(key any) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.find(key) != nil
}

func (p *Progress) find(key any) *task {
	for _, t := range p.tasks {
		if t.key == key {
			return t
		}
	}
	return nil
}

// Print writes a line that stays, above the live ones.
func (p *Progress) Print(text string) { p.live.Print(strings.TrimSuffix(text, "\n") + "\n") }

// Close takes the live lines off the screen and shows the cursor. It may be
// called more than once, from a signal's goroutine too.
func (p *Progress) Close() {
	p.mu.Lock()
	select {
	case <-p.stop:
	default:
		close(p.stop)
	}
	p.mu.Unlock()
	p.stopped.Wait()
	p.live.Close()
}
