package cluster

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/labstar/labstar/internal/kube/immutable"
)

// Verb is what is to happen to an object.
type Verb string

// The verbs.
const (
	Create  Verb = "create"
	Change  Verb = "change"
	Keep    Verb = "keep"    // it is as the script wants it
	Replace Verb = "replace" // removed and made anew, since what differs can't be changed
	Remove  Verb = "remove"
	Leave   Verb = "leave" // superfluous, but still used
)

// Step is what is to happen to one object.
type Step struct {
	Verb   Verb
	Set    *Set
	Object *Object                    // what the script wants; what there is for Remove and Leave
	Live   *unstructured.Unstructured // what there is; nil if there is nothing
	Want   *unstructured.Unstructured // what there would be, as the server says
	Why    string                     // of Replace: what can't be changed; of Leave: why it stays
	Done   bool

	asked  bool    // Want is the server's answer, and not the script's word
	ending *Object // what is still there, but on its way out
}

// Plan is what is to happen to the objects of some sets.
type Plan struct {
	Sets  []*Set
	Steps []*Step // of the script's objects, in the order in which they are applied
	Prune []*Step // Remove and Leave, in the order in which they are removed
}

// Choices are the user's answers to what would otherwise be an error.
type Choices struct {
	ForceConflicts bool // take fields over from other managers
	Recreate       bool // replace objects whose fields can't be changed
}

// Objects are those that the script wants.
func (p *Plan) Objects() []*Object {
	var list []*Object
	for _, s := range p.Steps {
		list = append(list, s.Object)
	}
	return list
}

// Count is how many steps have the verb.
func (p *Plan) Count(verb Verb) int {
	n := 0
	for _, s := range slices.Concat(p.Steps, p.Prune) {
		if s.Verb == verb {
			n++
		}
	}
	return n
}

// Plan asks the server what applying the sets would do. Everything that it would
// refuse is in the error.
func (c *Cluster) Plan(ctx context.Context, sets []*Set, choose Choices) (*Plan, error) {
	p := &Plan{Sets: sets}
	for _, s := range sets {
		if err := c.readSet(ctx, s); err != nil {
			return nil, err
		}
		for _, o := range s.Objects {
			p.Steps = append(p.Steps, &Step{Set: s, Object: o})
		}
	}
	if err := c.resolve(ctx, p); err != nil {
		return nil, err
	}
	slices.SortStableFunc(p.Steps, func(a, b *Step) int {
		return int(phaseOf(a.Object.ID().Kind)) - int(phaseOf(b.Object.ID().Kind))
	})
	if err := c.checkParents(ctx, p); err != nil {
		return nil, err
	}
	if err := each(ctx, p.Steps, func(s *Step) error { return c.ask(ctx, p, s, choose) }); err != nil {
		return nil, err
	}
	return p, c.superfluous(ctx, p)
}

// resolve finds how the cluster serves each object, and completes its namespace and
// its labels.
func (c *Cluster) resolve(ctx context.Context, p *Plan) error {
	coming := map[schema.GroupKind]bool{} // kinds that the plan defines, and whether they are in a namespace
	for _, s := range p.Steps {
		if u := s.Object; u.ID().Kind == definitionKind {
			group, _, _ := unstructured.NestedString(u.Object, "spec", "group")
			kind, _, _ := unstructured.NestedString(u.Object, "spec", "names", "kind")
			scope, _, _ := unstructured.NestedString(u.Object, "spec", "scope")
			coming[schema.GroupKind{Group: group, Kind: kind}] = scope == "Namespaced"
		}
	}
	seen := map[ID]bool{}
	var errs []error
	for _, s := range p.Steps {
		o := s.Object
		res, err := c.resourceOf(ctx, o.GroupVersionKind())
		namespaced := res.namespaced
		var none *noKindError
		if inside, ok := coming[o.ID().Kind]; ok && errors.As(err, &none) {
			namespaced, err = inside, nil
		}
		if err != nil {
			if errors.As(err, &none) {
				err = fmt.Errorf("%s: %w", o, err)
				errs = append(errs, err)
				continue
			}
			return c.explain(err, "")
		}
		o.res = res
		if !namespaced {
			unstructured.RemoveNestedField(o.Object, "metadata", "namespace")
		} else if o.GetNamespace() == "" {
			o.SetNamespace(c.Namespace)
		}
		if seen[o.ID()] {
			errs = append(errs, fmt.Errorf("%s is there twice in what is to be applied: leave one out, or rename it", o))
		}
		seen[o.ID()] = true
		labels := maps.Clone(o.GetLabels())
		if labels == nil {
			labels = map[string]string{}
		}
		labels[partOf] = s.Set.ID()
		o.SetLabels(labels)
	}
	return errors.Join(errs...)
}

// brings reports whether the plan makes the namespace.
func (p *Plan) brings(namespace string) bool {
	return slices.ContainsFunc(p.Steps, func(s *Step) bool { return s.Object.ID() == ID{Kind: namespaceKind, Name: namespace} })
}

// checkParents wants the namespaces of the parents to be there, or to come.
func (c *Cluster) checkParents(ctx context.Context, p *Plan) error {
	for _, s := range p.Sets {
		if s.there || p.brings(s.Namespace) || len(s.Objects) == 0 {
			continue
		}
		_, err := c.fetch(ctx, namespaceResource, "", s.Namespace)
		if apierrors.IsNotFound(err) {
			return fmt.Errorf("there is no namespace %s: choose one with --namespace, or have the script make it", s.Namespace)
		}
		if err != nil && !forbidden(err) { // who may not look may still write into it
			return c.explain(err, "looking for the namespace "+s.Namespace)
		}
	}
	return nil
}

var namespaceResource = resource{gvr: schema.GroupVersionResource{Version: "v1", Resource: "namespaces"}, kind: namespaceKind}

// ask finds out what applying one object would do.
func (c *Cluster) ask(ctx context.Context, p *Plan, s *Step, choose Choices) error {
	o := s.Object
	s.Want = o.Unstructured
	if o.res.gvr.Empty() {
		s.Verb = Create // the kind comes with it
		return nil
	}
	live, err := c.fetch(ctx, o.res, o.GetNamespace(), o.GetName())
	switch {
	case apierrors.IsNotFound(err):
		s.Verb = Create
		if ns := o.GetNamespace(); ns != "" && p.brings(ns) {
			return c.askInside(ctx, s, ns)
		}
	case err != nil:
		return c.explain(err, o.String())
	case live.GetDeletionTimestamp() != nil:
		s.Verb, s.ending = Create, &Object{Unstructured: live, res: o.res}
		return nil
	default:
		s.Verb, s.Live = Change, live
		if err := c.checkOwner(p, s, choose); err != nil {
			return err
		}
	}
	want, err := c.patch(ctx, o, choose.ForceConflicts, true)
	if err != nil {
		return c.refused(ctx, s, err, choose)
	}
	s.Want, s.asked = want, true
	if live != nil {
		if kept := immutable.Kept(immutable.Changes(live.Object, o.Object)); len(kept) > 0 {
			return c.unchangeable(ctx, s, kept, kept[0].Field, choose)
		}
	}
	if live != nil && reflect.DeepEqual(live.Object, want.Object) {
		s.Verb = Keep
	}
	return nil
}

// askInside asks for an object whose namespace may not be there yet.
func (c *Cluster) askInside(ctx context.Context, s *Step, ns string) error {
	want, err := c.patch(ctx, s.Object, false, true)
	if apierrors.IsNotFound(err) {
		return nil // nothing can be asked before there is the namespace
	}
	if err != nil {
		return c.explain(err, s.Object.String())
	}
	s.Want, s.asked = want, true
	return nil
}

// checkOwner refuses what another set holds.
func (c *Cluster) checkOwner(p *Plan, s *Step, choose Choices) error {
	id := s.Live.GetLabels()[partOf]
	ours := slices.ContainsFunc(p.Sets, func(s *Set) bool { return s.ID() == id })
	if id == "" || ours || choose.ForceConflicts {
		return nil
	}
	return fmt.Errorf("%s is part of another ApplySet, %s: remove it there, rename it here, or take it over with --force-conflicts", s.Object, id)
}

// refused words why the server does not take an object, and decides whether it is to
// be replaced.
func (c *Cluster) refused(ctx context.Context, s *Step, err error, choose Choices) error {
	status := apiStatus(err)
	switch {
	case status == nil:
		return c.explain(err, s.Object.String())
	case status.Code == http.StatusBadRequest && strings.Contains(status.Message, "does not support dry run"):
		return nil // a webhook: it is asked when it is meant
	case apierrors.IsConflict(err):
		return conflict(s, status)
	case s.Live == nil:
		return c.explain(err, s.Object.String())
	}
	changes := immutable.Changes(s.Live.Object, s.Object.Object)
	if !isImmutable(status) && (len(changes) == 0 || status.Code != http.StatusUnprocessableEntity) {
		return c.explain(err, s.Object.String())
	}
	return c.unchangeable(ctx, s, changes, immutableFields(status), choose)
}

// unchangeable decides whether an object is to be replaced; why names the fields.
func (c *Cluster) unchangeable(ctx context.Context, s *Step, changes []immutable.Change, why string, choose Choices) error {
	if kind := s.Object.ID().Kind; holdsData(kind) || !choose.Recreate {
		return &ImmutableError{Object: s.Object, Changes: changes, Hint: immutable.Remedy(kind.Group, kind.Kind, "--recreate"), fields: why}
	}
	if err := c.probe(ctx, s); err != nil {
		return err
	}
	s.Verb, s.Why = Replace, why
	return nil
}

// probe asks whether the object would be taken if there were none of its name: what is
// removed has to come back.
func (c *Cluster) probe(ctx context.Context, s *Step) error {
	other := s.Object.DeepCopy()
	name := s.Object.GetName()
	other.SetName(strings.TrimRight(name[:min(len(name), 40)], "-.") + "-labstar-probe")
	_, err := c.patch(ctx, &Object{Unstructured: other, res: s.Object.res}, true, true)
	return c.explain(err, s.Object.String()+" made anew")
}
