package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/term"
)

// app is one call of labstar: its streams and the flags that all commands have.
type app struct {
	out, err io.Writer
	term     term.Term // of standard error, where progress and errors go
	outTerm  term.Term // of standard output
	in       *interrupts
	started  time.Time

	command   string
	color     string
	cache     string
	json      bool
	quiet     bool     // nothing but errors
	secrets   []string // NAME=FILE
	file      string   // the script, once it is known
	targets   []labstar.Target
	events    *jsonSink
	transfers transfers
	ended     sync.Once              // by a signal
	opened    func(*labstar.Labstar) // if set, called before the script is evaluated

	mu       sync.Mutex
	progress *term.Progress // while it is on the screen
}

func newApp(in *interrupts) *app {
	a := &app{out: os.Stdout, err: os.Stderr, in: in, started: time.Now()}
	a.term = term.Of(os.Stderr, "auto")
	a.outTerm = term.Of(os.Stdout, "auto")
	in.atExit(func() { a.restore(); a.interrupted() })
	return a
}

func (a *app) commonFlags(fs *pflag.FlagSet) {
	fs.StringVar(&a.color, "color", "auto", "`when` to colour the output: auto, always or never")
	fs.BoolP("help", "h", false, "show this help")
}

func (a *app) cacheFlag(fs *pflag.FlagSet) {
	fs.StringVar(&a.cache, "cache", "", "`folder` of the store (default $LABSTAR_CACHE, or labstar in the user's cache folder)")
}

func (a *app) jsonFlag(fs *pflag.FlagSet) {
	fs.BoolVar(&a.json, "json", false, "print one JSON object a line on standard output, for programs")
}

func (a *app) quietFlag(fs *pflag.FlagSet) {
	fs.BoolVarP(&a.quiet, "quiet", "q", false, "print nothing but errors")
}

func (a *app) secretFlag(fs *pflag.FlagSet) {
	fs.StringArrayVar(&a.secrets, "secret", nil, "`NAME=FILE`: the file that holds the secret NAME of the script")
}

// start applies the common flags.
func (a *app) start(command string) error {
	a.command = command
	if err := oneOf(command, "color", a.color, "auto", "always", "never"); err != nil {
		return err
	}
	a.term = term.Of(os.Stderr, a.color)
	a.outTerm = term.Of(os.Stdout, a.color)
	if a.json {
		a.events = newJSONSink(a.out)
	}
	if dir, err := a.storeDir(); err == nil {
		a.in.uses(dir)
	}
	return nil
}

// seconds is how long the command has run.
func (a *app) seconds() float64 { return time.Since(a.started).Seconds() }

// printf writes to standard output.
func (a *app) printf(format string, args ...any) { fmt.Fprintf(a.out, format, args...) }

// buffered collects standard output for the time of f, for what prints much.
func (a *app) buffered(f func(w io.Writer) error) error {
	w := bufio.NewWriterSize(a.out, 64<<10)
	if err := f(w); err != nil {
		_ = w.Flush() // the first error tells more
		return err
	}
	return w.Flush()
}

// say writes a line for people to standard error, above the progress.
func (a *app) say(format string, args ...any) {
	text := fmt.Sprintf(format, args...)
	a.mu.Lock()
	p := a.progress
	a.mu.Unlock()
	if p != nil {
		p.Print(text)
		return
	}
	fmt.Fprintln(a.err, text)
}

// showProgress makes p what say writes above, and what is taken off the screen
// whatever happens.
func (a *app) showProgress(p *term.Progress) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.progress = p
}

// restore takes the progress off the screen.
func (a *app) restore() {
	a.mu.Lock()
	p := a.progress
	a.progress = nil
	a.mu.Unlock()
	if p != nil {
		p.Close()
	}
}
