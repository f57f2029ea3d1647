package cluster

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/types"
)

// Two applies of one set at a time would each prune what the other brings. So who
// changes a set holds it: the parent names the holder, and a sign of life that the
// holder renews. Nobody has to clean up after one that was killed: a sign that stays the
// same for patience, by the clock of who waits, is one of a holder that is gone.

// What a parent says of its holder.
const (
	heldBy   = "labstar/held-by"
	signLife = "labstar/held-sign" // a text of the holder's own, and a number that grows
)

// How often a holder gives a sign of life, and how long others take it to live without.
const (
	renewal  = 4 * time.Second
	patience = 20 * time.Second
)

// ErrAltered is returned by Hold if a set was changed since the plan was made.
var ErrAltered = errors.New("the set was applied by somebody else meanwhile")

// Hold is the right to change some sets, until Release.
type Hold struct {
	Context context.Context // ends when somebody else took a set over

	c      *Cluster
	lose   context.CancelCauseFunc
	id     string // of this hold, in its signs of life
	done   chan struct{}
	mu     sync.Mutex
	sets   []*Set
	number int
}

// Hold waits until nobody else changes the sets, and keeps others from it. If one of
// them is not as the plan found it, the error is ErrAltered: another plan is due. A set
// whose namespace is still to come is held when it is there.
func (c *Cluster) Hold(ctx context.Context, sets []*Set, w Waiting) (*Hold, error) {
	h := &Hold{c: c, id: rand.Text()[:10], done: make(chan struct{})}
	h.Context, h.lose = context.WithCancelCause(ctx)
	sets = slices.Clone(sets)
	slices.SortFunc(sets, func(a, b *Set) int { return cmp.Compare(a.Name(), b.Name()) }) // or two would wait for each other
	go h.renew()
	for _, s := range sets {
		if err := h.take(s, w); err != nil {
			h.Release()
			return nil, err
		}
	}
	return h, nil
}

// holder names this process for people.
func holder() string {
	name := "somebody"
	if u, err := user.Current(); err == nil {
		name = u.Username
	}
	if host, err := os.Hostname(); err == nil {
		name += " on " + host
	}
	return fmt.Sprintf("%s (process %d, since %s)", name, os.Getpid(), time.Now().Format(time.RFC3339))
}

// take takes a set, as soon as nobody holds it.
func (h *Hold) take(s *Set, w Waiting) error {
	began, altered, told := time.Now(), false, ""
	sign, seen := "", time.Now()
	for {
		u, err := h.c.fetch(h.Context, parents, s.Namespace, s.Name())
		switch {
		case apierrors.IsNotFound(err):
			altered = altered || s.there
			if !altered && len(s.Objects) > 0 {
				err = h.makeParent(s)
			} else {
				err = nil
			}
			if apierrors.IsAlreadyExists(err) {
				altered = true
				continue // somebody was quicker
			}
			if apierrors.IsNotFound(err) {
				return nil // the namespace is to come
			}
			if altered {
				return ErrAltered
			}
			return h.c.explain(err, "making the ApplySet "+s.Namespace+"/"+s.Name())
		case err != nil:
			return h.c.explain(err, "reading the ApplySet "+s.Namespace+"/"+s.Name())
		}
		altered = altered || !s.there || u.GetResourceVersion() != s.version
		notes := u.GetAnnotations()
		now := notes[signLife]
		if now != sign {
			sign, seen = now, time.Now()
		}
		if now == "" || h.owns(now) || time.Since(seen) > patience {
			if altered {
				return ErrAltered
			}
			err := h.mark(s, u)
			if apierrors.IsConflict(err) {
				continue // look again
			}
			if err != nil {
				return h.c.explain(err, "holding the ApplySet "+s.Namespace+"/"+s.Name())
			}
			h.mu.Lock()
			h.sets = append(h.sets, s)
			h.mu.Unlock()
			return nil
		}
		text := "is being applied by " + notes[heldBy] + ": waiting until that has ended"
		if told != text {
			told = text
			w.Tell(Event{Kind: Waits, Object: &Object{Unstructured: u, res: parents}, Text: text})
		}
		if time.Since(began) > w.Timeout {
			return fmt.Errorf("ApplySet %s/%s is being applied by %s, and still is after %s: let that end, or stop it, and run the command again", s.Namespace, s.Name(), notes[heldBy], w.Timeout)
		}
		if err := pause(h.Context, time.Second); err != nil {
			return err
		}
	}
}

func (h *Hold) owns(sign string) bool { return strings.HasPrefix(sign, h.id+" ") }

// marks are the annotations of a holder.
func (h *Hold) marks() map[string]any {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.number++
	return map[string]any{heldBy: holder(), signLife: h.id + " " + strconv.Itoa(h.number)}
}

// makeParent makes a parent that is held. What is in the set is said later.
func (h *Hold) makeParent(s *Set) error {
	u := s.parent(h.marks())
	err := h.c.retry(h.Context, func() error {
		_, err := h.c.in(parents, s.Namespace).Create(h.Context, u, metav1.CreateOptions{FieldManager: Manager + "-hold"})
		return err
	})
	if err == nil {
		h.mu.Lock()
		h.sets = append(h.sets, s)
		h.mu.Unlock()
	}
	return err
}

// mark writes a sign of life to a parent, if it is still what was read.
func (h *Hold) mark(s *Set, u *unstructured.Unstructured) error {
	return h.note(h.Context, s, u, h.marks())
}

func (h *Hold) note(ctx context.Context, s *Set, u *unstructured.Unstructured, notes map[string]any) error {
	body, err := json.Marshal(map[string]any{"metadata": map[string]any{"resourceVersion": u.GetResourceVersion(), "annotations": notes}})
	if err != nil {
		return err
	}
	_, err = h.c.in(parents, s.Namespace).Patch(ctx, s.Name(), types.MergePatchType, body, metav1.PatchOptions{FieldManager: Manager + "-hold"})
	return err
}

// renew gives signs of life until the end. Where a set has another holder, this one has
// lost it and is told so.
func (h *Hold) renew() {
	defer close(h.done)
	for pause(h.Context, renewal) == nil {
		h.mu.Lock()
		sets := slices.Clone(h.sets)
		h.mu.Unlock()
		for _, s := range sets {
			u, err := h.c.fetch(h.Context, parents, s.Namespace, s.Name())
			if err != nil {
				continue // it went with the last object, or the next time will do
			}
			if sign := u.GetAnnotations()[signLife]; sign != "" && !h.owns(sign) {
				h.lose(fmt.Errorf("ApplySet %s/%s was taken over by %s: run the command again when that has ended", s.Namespace, s.Name(), u.GetAnnotations()[heldBy]))
				return
			}
			_ = h.mark(s, u) // or the next time
		}
	}
}

// Release lets others change the sets.
func (h *Hold) Release() {
	h.lose(nil)
	<-h.done
	ctx, cancel := context.WithTimeout(context.WithoutCancel(h.Context), perRequest)
	defer cancel()
	for _, s := range h.sets {
		for range 3 {
			u, err := h.c.fetch(ctx, parents, s.Namespace, s.Name())
			if err != nil || !h.owns(u.GetAnnotations()[signLife]) {
				break
			}
			if err := h.note(ctx, s, u, map[string]any{heldBy: nil, signLife: nil}); !apierrors.IsConflict(err) {
				break // if it is not to be reached, others wait for as long as a sign is good
			}
		}
	}
}

// Cause is why a command that holds sets failed: err, or that somebody took them over.
func (h *Hold) Cause(err error) error {
	if cause := context.Cause(h.Context); err != nil && cause != nil && !errors.Is(cause, context.Canceled) {
		return cause
	}
	return err
}

// arrive holds a set whose namespace has come with the apply.
func (h *Hold) arrive(s *Set) error {
	if slices.Contains(h.sets, s) {
		return nil
	}
	err := h.makeParent(s)
	if apierrors.IsAlreadyExists(err) {
		return fmt.Errorf("ApplySet %s/%s is being applied by somebody else since a moment ago: run the command again", s.Namespace, s.Name())
	}
	return h.c.explain(err, "making the ApplySet "+s.Namespace+"/"+s.Name())
}
