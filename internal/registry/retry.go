package registry

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"syscall"
	"time"

	"github.com/labstar/labstar/internal/download"
)

// patience counts the tries of one thing.
type patience struct {
	h     *host
	doing string
	tries int
	pause time.Duration
}

func (h *host) patience(doing string) *patience {
	return &patience{h: h, doing: doing, pause: h.client.opts.Policy.Pause}
}

// progress says that something got done: what comes is a new trouble.
func (p *patience) progress() { p.tries, p.pause = 0, p.h.client.opts.Policy.Pause }

// after waits before the next try, or returns the error that ends it.
func (p *patience) after(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	policy := p.h.client.opts.Policy
	p.tries++
	if !transient(err) {
		return p.final(err)
	}
	var e *Error
	asked := time.Duration(0)
	if errors.As(err, &e) {
		asked = e.after
	}
	most := policy.Tries
	if errors.Is(err, syscall.ECONNREFUSED) {
		most = min(most, 3) // it may be starting; more likely it isn't there
	}
	if p.tries >= most || asked > policy.MaxPause {
		return p.final(err)
	}
	// The pauses of several uploads must not end at the same moment.
	pause := max(asked, p.pause/2+rand.N(p.pause/2+1))
	p.pause = min(2*p.pause, policy.MaxPause)
	p.h.client.opts.Waiting(p.doing, err, pause)
	return sleep(ctx, pause)
}

// final says what was being done and how often it was tried.
func (p *patience) final(err error) error {
	doing := p.doing
	if p.tries > 1 {
		doing += fmt.Sprintf(" (tried %d times)", p.tries)
	}
	var e *Error
	if errors.As(err, &e) && e.Doing == "" {
		told := *e
		told.Doing = doing
		if told.after > p.h.client.opts.Policy.MaxPause {
			told.Hint = fmt.Sprintf("%s asks to wait %s: run it again then", p.h.reg.RegistryStr(), told.after.Round(time.Second))
		}
		return &told
	}
	return fmt.Errorf("%s: %w", doing, err)
}

// do makes a request until it is answered.
func (r *Repository) do(ctx context.Context, doing string, c call) (*answer, error) {
	c.scopes = append(c.scopes, r.scope())
	p := r.host.patience(doing)
	for {
		a, err := r.host.once(ctx, c)
		if err == nil {
			return a, nil
		}
		if err := p.after(ctx, err); err != nil {
			return nil, err
		}
	}
}

// downloads is the policy for package download.
func (p Policy) downloads() download.Policy {
	return download.Policy{Rounds: p.Tries, Pause: p.Pause, MaxPause: p.MaxPause, Stall: p.Stall}
}

// again waits before another try of what failed for a reason that the next try
// does not meet.
func (p *patience) again(ctx context.Context, err error) error {
	p.tries++
	if p.tries >= p.h.client.opts.Policy.Tries {
		return p.final(err)
	}
	return sleep(ctx, p.pause/2)
}
