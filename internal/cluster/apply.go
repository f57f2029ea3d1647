package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// Event tells that something happened to an object.
type Event struct {
	Kind   EventKind
	Object *Object
	Verb   Verb   // of Done
	Text   string // of Waits: what for
}

// EventKind says what an Event tells.
type EventKind int

// The kinds of events.
const (
	Done  EventKind = iota // the verb was carried out
	Waits                  // it is not ready, or not gone; told once for each text
	Ready                  // it was waited for, and is as it should be
)

// Waiting says how long to wait, and who is told.
type Waiting struct {
	Timeout  time.Duration
	Patience time.Duration // for what seldom mends itself: an image that can't be pulled, a crash loop
	NoGone   bool          // don't wait until what is removed is gone
	Tell     func(Event)   // from one goroutine at a time
}

// Apply carries out the steps of a plan whose sets are held, phase by phase. Those that
// were carried out are marked as done, whatever the error.
func (c *Cluster) Apply(h *Hold, p *Plan, choose Choices, w Waiting) error {
	ctx := h.Context
	for _, set := range p.Sets {
		if set.there || !p.brings(set.Namespace) {
			if err := c.begin(ctx, set); err != nil {
				return err
			}
		}
	}
	for ph := range phases {
		if err := c.applyPhase(ctx, p, ph, choose, w); err != nil {
			return err
		}
		if ph != namespaces {
			continue
		}
		for _, set := range p.Sets {
			if set.there || len(set.Objects) == 0 {
				continue
			}
			if err := h.arrive(set); err != nil {
				return err
			}
			if err := c.begin(ctx, set); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin makes the parent name what is to come.
func (c *Cluster) begin(ctx context.Context, set *Set) error {
	if len(set.Objects) == 0 {
		return nil
	}
	return c.widen(ctx, set)
}

func (c *Cluster) applyPhase(ctx context.Context, p *Plan, ph phase, choose Choices, w Waiting) error {
	var now []*Step
	var objects []*Object
	for _, s := range p.Steps {
		if phaseOf(s.Object.ID().Kind) == ph {
			now = append(now, s)
			objects = append(objects, s.Object)
		}
	}
	tell := oneByOne(w.Tell)
	err := each(ctx, now, func(s *Step) error {
		if s.Verb == Keep {
			s.Done = true
			return nil
		}
		if err := c.carryOut(ctx, s, choose, w); err != nil {
			return err
		}
		s.Done = true
		tell(Event{Kind: Done, Object: s.Object, Verb: s.Verb})
		return nil
	})
	if err != nil {
		return err
	}
	switch ph {
	case namespaces:
		return c.Wait(ctx, objects, w)
	case definitions:
		if err := c.Wait(ctx, objects, w); err != nil {
			return err
		}
		return c.meet(ctx, p, objects)
	}
	return nil
}

// carryOut applies one object.
func (c *Cluster) carryOut(ctx context.Context, s *Step, choose Choices, w Waiting) error {
	if s.Verb == Replace {
		old := &Object{Unstructured: s.Live, res: s.Object.res}
		if err := c.remove(ctx, old, propagation(phaseOf(old.ID().Kind))); err != nil {
			return c.explain(err, "removing "+old.String())
		}
		s.ending = old
	}
	if s.ending != nil {
		if err := c.waitGone(ctx, []*Step{{Verb: Remove, Object: s.ending}}, Waiting{Timeout: w.Timeout, Tell: func(Event) {}}); err != nil {
			return err
		}
	}
	_, err := c.patch(ctx, s.Object, choose.ForceConflicts, false)
	if err == nil {
		return nil
	}
	if status := apiStatus(err); status != nil && status.Code == 409 {
		return conflict(s, status)
	}
	return c.explain(err, s.Object.String())
}

// meet finds how the cluster serves the kinds that it has got to know just now. Each of
// its API servers learns of them in its own time.
func (c *Cluster) meet(ctx context.Context, p *Plan, definitions []*Object) error {
	for _, d := range definitions {
		group, _, _ := unstructured.NestedString(d.Object, "spec", "group")
		c.forget(group)
	}
	for _, s := range p.Steps {
		var err error
		var none *noKindError
		for try := 0; s.Object.res.gvr.Empty(); try++ {
			s.Object.res, err = c.resourceOf(ctx, s.Object.GroupVersionKind())
			if err != nil && (!errors.As(err, &none) || try == 20) {
				return c.explain(fmt.Errorf("%s: %w", s.Object, err), "")
			}
			if err == nil {
				break
			}
			c.forget(s.Object.GroupVersionKind().Group)
			if err := pause(ctx, 250*time.Millisecond); err != nil {
				return err
			}
		}
	}
	return nil
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}
