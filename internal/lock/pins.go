package lock

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/labstar/labstar/action"
)

// Request is something that a script uses and the lock hasn't got.
type Request struct {
	Kind, Name string
	Site       []action.Frame // where the script first asked for it, innermost first
}

// Pins gives an evaluation what the file says and remembers what it asked for.
// It is a schema.Pins, safe for use by several goroutines.
type Pins struct {
	file  *File
	mu    sync.Mutex
	used  map[[2]string]bool
	wants map[[2]string]Request
}

// NewPins returns the pins of f, which must not change while they are used.
func NewPins(f *File) *Pins {
	return &Pins{file: f, used: map[[2]string]bool{}, wants: map[[2]string]Request{}}
}

// Get returns the fields locked for name.
func (p *Pins) Get(kind, name string) ([]string, bool) {
	fields, ok := p.file.Get(kind, name)
	if ok {
		p.mu.Lock()
		p.used[[2]string{kind, name}] = true
		p.mu.Unlock()
	}
	return fields, ok
}

// Want records that name is not locked.
func (p *Pins) Want(kind, name string, site []action.Frame) {
	p.mu.Lock()
	defer p.mu.Unlock()
	k := [2]string{kind, name}
	if _, ok := p.wants[k]; !ok {
		p.wants[k] = Request{Kind: kind, Name: name, Site: site}
	}
}

// Wants returns what was asked for and is not locked, sorted.
func (p *Pins) Wants() []Request {
	p.mu.Lock()
	defer p.mu.Unlock()
	var list []Request
	for _, r := range p.wants {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b Request) int {
		return cmp.Or(strings.Compare(a.Kind, b.Kind), strings.Compare(a.Name, b.Name))
	})
	return list
}

// Used reports whether the evaluation read the entry. After one without Wants,
// File.Keep(pins.Used) leaves what the script needs.
func (p *Pins) Used(kind, name string) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.used[[2]string{kind, name}]
}

// Resolver turns requests of one kind into entries. It is the only part of
// labstar that chooses versions.
type Resolver interface {
	// Resolve adds to f what wants and what those need in turn. Entries that are
	// there stay as they are unless they no longer fit. update are the names that
	// the user asked to renew; their old entries are gone from f already.
	// An error about one request is a *RequestError.
	Resolve(ctx context.Context, env Env, wants []Request, f *File, update []string) error
}

// Env is what a Resolver may use of the machine. Zero fields have defaults.
type Env struct {
	// Config returns a setting of this machine, "" if unset; see internal/config.
	Config func(key string) string
	// Progress is told what is being fetched, in bytes; total is 0 if unknown.
	Progress func(what string, done, total int64)
	// Note is told what the user should know of a choice, a line at a time.
	Note func(string)
	// Client makes the requests.
	Client *http.Client
	// Now is the wall clock, for judging the age of an index.
	Now func() time.Time
	// Dir is a folder for indexes, which may be kept from one run to the next;
	// "" means a temporary one.
	Dir string
}

// Setting returns the setting key.
func (e Env) Setting(key string) string {
	if e.Config == nil {
		return ""
	}
	return e.Config(key)
}

// Clock returns the time.
func (e Env) Clock() time.Time {
	if e.Now == nil {
		return time.Now()
	}
	return e.Now()
}

// RequestError is why one request can't be resolved; the host shows it at the
// request's line of the script.
type RequestError struct {
	Request Request
	Err     error
	Hint    string
}

func (e *RequestError) Error() string {
	s := e.Err.Error()
	if len(e.Request.Site) > 0 {
		s = e.Request.Site[0].String() + ": " + s
	}
	if e.Hint != "" {
		s += "\n  hint: " + e.Hint
	}
	return s
}

func (e *RequestError) Unwrap() error { return e.Err }
