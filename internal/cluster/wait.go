package cluster

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
)

// The time between two looks grows, so that what is quick is seen at once.
const (
	firstLook = 200 * time.Millisecond
	lastLook  = 2 * time.Second
)

// NotReadyError tells of objects that are not as they should be.
type NotReadyError struct {
	List    []Unready
	Elapsed time.Duration // how long they were waited for; 0 if one failed before the time was up
	Gone    bool          // they should be gone
}

// Unready is an object and why.
type Unready struct {
	Object *Object
	Reason string
	Log    []string // the last lines of what failed
	Failed bool     // it will not become ready by itself
}

func (e *NotReadyError) Error() string {
	var b strings.Builder
	verb := "not ready"
	if e.Gone {
		verb = "still there"
	}
	fmt.Fprintf(&b, "%s %s", count(len(e.List), "object is", "objects are"), verb)
	if e.Elapsed > 0 {
		fmt.Fprintf(&b, " after %v (--timeout waits longer)", e.Elapsed.Round(time.Second))
	}
	for _, u := range e.List {
		fmt.Fprintf(&b, "\n%s: %s", u.Object, u.Reason)
		for _, line := range u.Log {
			fmt.Fprintf(&b, "\n  | %s", line)
		}
	}
	return b.String()
}

func count(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}

// watched is an object that is waited for.
type watched struct {
	object *Object
	state  state
	told   string
	since  time.Time // it has been stuck
	uid    string    // that is to go
}

// waitable are those whose status says something.
func waitable(o *Object) bool {
	if phaseOf(o.ID().Kind) == customs {
		return true
	}
	switch o.ID().Kind.String() {
	case "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps", "ReplicationController", "Job.batch", "Pod",
		"PersistentVolumeClaim", "PersistentVolume", "Service", "Namespace", "CustomResourceDefinition.apiextensions.k8s.io", "APIService.apiregistration.k8s.io":
		return true
	}
	return false
}

// Wait waits until all objects are ready. It gives up when one has failed, when one was
// stuck for longer than the patience, or when the time is up: a *NotReadyError.
func (c *Cluster) Wait(ctx context.Context, objects []*Object, w Waiting) error {
	var list []*watched
	for _, o := range objects {
		if waitable(o) {
			list = append(list, &watched{object: o})
		}
	}
	return c.until(ctx, list, w, false, func(x *watched) (state, error) {
		live, err := c.fetch(ctx, x.object.res, x.object.GetNamespace(), x.object.GetName())
		if apierrors.IsNotFound(err) {
			return failing(stuck, "somebody removed it"), nil
		}
		if err != nil {
			return state{}, err
		}
		o := &Object{Unstructured: live, res: x.object.res}
		st := statusOf(o)
		if st.level != fine {
			st = c.look(ctx, o, st)
		}
		return st, nil
	})
}

// waitGone waits until what is removed is gone.
func (c *Cluster) waitGone(ctx context.Context, steps []*Step, w Waiting) error {
	var list []*watched
	for _, s := range steps {
		list = append(list, &watched{object: s.Object, uid: string(s.Object.GetUID())})
	}
	tell := w.Tell
	w.Tell = func(e Event) {
		if e.Kind == Ready {
			e.Kind, e.Verb = Done, Remove
			for _, s := range steps {
				s.Done = s.Done || s.Object == e.Object
			}
		}
		tell(e)
	}
	return c.until(ctx, list, w, true, func(x *watched) (state, error) {
		live, err := c.fetch(ctx, x.object.res, x.object.GetNamespace(), x.object.GetName())
		if apierrors.IsNotFound(err) || err == nil && string(live.GetUID()) != x.uid {
			return state{}, nil
		}
		if err != nil {
			return state{}, err
		}
		return waiting("is being removed%s", finalizers(&Object{Unstructured: live})), nil
	})
}

// finalizers tells what has to be done before an object may go.
func finalizers(o *Object) string {
	all := slices.Clone(o.GetFinalizers())
	for _, f := range o.strs("spec", "finalizers") {
		all = append(all, f+" (what is in it goes first)")
	}
	for i, f := range all {
		if f == "foregroundDeletion" {
			all[i] = "its pods"
		}
	}
	if len(all) == 0 {
		return ""
	}
	return ", which waits for " + strings.Join(all, ", ")
}

// until asks for the state of each until all are fine.
func (c *Cluster) until(ctx context.Context, list []*watched, w Waiting, gone bool, ask func(*watched) (state, error)) error {
	if len(list) == 0 {
		return nil
	}
	began := time.Now()
	deadline := began.Add(w.Timeout)
	tell := oneByOne(w.Tell)
	for look := firstLook; ; look = min(look*3/2, lastLook) {
		if err := c.lookAtAll(ctx, list, tell, ask); err != nil {
			return err
		}
		list = slices.DeleteFunc(list, func(x *watched) bool { return x.state.level == fine })
		if len(list) == 0 {
			return nil
		}
		now := time.Now()
		failed := slices.ContainsFunc(list, func(x *watched) bool { return x.failed(now, w.Patience) })
		if failed || now.After(deadline) {
			e := notReady(list, now, w.Patience)
			e.Gone = gone
			if !failed {
				e.Elapsed = now.Sub(began)
			}
			return e
		}
		if err := pause(ctx, min(look, max(time.Until(deadline), firstLook))); err != nil {
			return err
		}
	}
}

func (c *Cluster) lookAtAll(ctx context.Context, list []*watched, tell func(Event), ask func(*watched) (state, error)) error {
	var once sync.Once
	return each(ctx, list, func(x *watched) error {
		st, err := ask(x)
		if err != nil {
			if ctx.Err() == nil && passes(err, true) { // the server is away for a while
				once.Do(func() { tell(Event{Kind: Waits, Object: x.object, Text: c.explain(err, "").Error()}) })
				return nil
			}
			return c.explain(err, x.object.String())
		}
		x.state = st
		if st.level != stuck {
			x.since = time.Time{}
		} else if x.since.IsZero() {
			x.since = time.Now()
		}
		switch {
		case st.level == fine:
			tell(Event{Kind: Ready, Object: x.object})
		case st.text != x.told:
			x.told = st.text
			tell(Event{Kind: Waits, Object: x.object, Text: st.text})
		}
		return nil
	})
}

func (x *watched) failed(now time.Time, patience time.Duration) bool {
	return x.state.level == fatal || x.state.level == stuck && now.Sub(x.since) >= patience
}

// notReady lists what is not ready, what failed first.
func notReady(list []*watched, now time.Time, patience time.Duration) *NotReadyError {
	e := &NotReadyError{}
	for _, x := range list {
		e.List = append(e.List, Unready{Object: x.object, Reason: x.state.text, Log: x.state.log, Failed: x.failed(now, patience)})
	}
	slices.SortStableFunc(e.List, func(a, b Unready) int {
		switch {
		case a.Failed == b.Failed:
			return 0
		case a.Failed:
			return -1
		}
		return 1
	})
	return e
}
