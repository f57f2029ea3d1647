package cluster

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

// superfluous finds the members of the sets that the script no longer has.
func (c *Cluster) superfluous(ctx context.Context, p *Plan) error {
	wanted := map[ID]bool{}
	for _, s := range p.Steps {
		wanted[s.Object.ID()] = true
	}
	for _, set := range p.Sets {
		members, err := c.members(ctx, set)
		if err != nil {
			return err
		}
		for _, o := range members {
			if !wanted[o.ID()] && o.GetDeletionTimestamp() == nil {
				p.Prune = append(p.Prune, &Step{Verb: Remove, Set: set, Object: o, Live: o.Unstructured})
			}
		}
	}
	slices.SortStableFunc(p.Prune, func(a, b *Step) int {
		return int(phaseOf(b.Object.ID().Kind)) - int(phaseOf(a.Object.ID().Kind))
	})
	return c.leaveUsed(ctx, p)
}

// users are the kinds whose objects refer to ConfigMaps and Secrets, and where. A
// ReplicaSet is a revision that one can go back to, so it counts as long as it is kept.
var users = []schema.GroupKind{
	{Group: "apps", Kind: "Deployment"}, {Group: "apps", Kind: "StatefulSet"}, {Group: "apps", Kind: "DaemonSet"},
	{Group: "batch", Kind: "CronJob"}, {Group: "batch", Kind: "Job"}, {Group: "apps", Kind: "ReplicaSet"}, podKind,
}

// leaveUsed keeps ConfigMaps and Secrets that something still uses: with a hash of the
// content in their names there is a new one for each content, and pods that run, or
// revisions that may be gone back to, are of an old one.
func (c *Cluster) leaveUsed(ctx context.Context, p *Plan) error {
	spaces := map[string]bool{}
	for _, s := range p.Prune {
		if isConfig(s.Object.ID().Kind) {
			spaces[s.Object.GetNamespace()] = true
		}
	}
	for ns := range spaces {
		used, err := c.used(ctx, p, ns)
		if err != nil && !forbidden(err) {
			return err
		}
		for _, s := range p.Prune {
			switch by := used[s.Object.ID()]; {
			case by != "":
				s.Verb, s.Why = Leave, by+" uses it"
			case err != nil && s.Object.GetNamespace() == ns && isConfig(s.Object.ID().Kind):
				s.Verb, s.Why = Leave, "you may not see whether something uses it"
			}
		}
	}
	return nil
}

func isConfig(kind schema.GroupKind) bool { return kind == configMapKind || kind == secretKind }

// used tells which ConfigMaps and Secrets of a namespace are used, and by what. What is
// to be removed, and what goes with it, does not count; and of what is to be changed
// counts what it will be.
func (c *Cluster) used(ctx context.Context, p *Plan, ns string) (map[ID]string, error) {
	doomed := map[types.UID]bool{}
	for _, s := range p.Prune {
		doomed[s.Object.GetUID()] = true
	}
	will := map[ID]map[string]any{}
	for _, s := range p.Steps {
		will[s.Object.ID()] = s.Want.Object
		if s.Verb == Replace {
			doomed[s.Live.GetUID()] = true
		}
	}
	var all []*Object
	for _, kind := range users {
		res, err := c.preferred(ctx, kind)
		var none *noKindError
		if errors.As(err, &none) {
			continue
		}
		if err != nil {
			return nil, c.explain(err, "")
		}
		found, err := c.list(ctx, res, ns, "")
		if err != nil {
			return nil, c.explain(err, fmt.Sprintf("looking for what still uses ConfigMaps and Secrets of %s", ns))
		}
		all = append(all, found...)
	}
	for range users { // as deep as the chain of owners may be
		for _, o := range all {
			for _, owner := range o.GetOwnerReferences() {
				if doomed[owner.UID] {
					doomed[o.GetUID()] = true
				}
			}
		}
	}
	used := map[ID]string{}
	for _, o := range all {
		if doomed[o.GetUID()] {
			continue
		}
		content := o.Object
		if w := will[o.ID()]; w != nil {
			content = w
		}
		for _, id := range references(podSpec(o.ID().Kind, content), ns) {
			if used[id] == "" {
				used[id] = o.ID().Kind.Kind + " " + o.GetName()
			}
		}
	}
	return used, nil
}

// Prune removes what the script no longer has, last things first, and makes the sets
// name what is left.
func (c *Cluster) Prune(ctx context.Context, p *Plan, w Waiting) error {
	if err := c.takeOut(ctx, p.Prune, w); err != nil {
		return err
	}
	for _, set := range p.Sets {
		if err := c.narrow(ctx, p, set); err != nil {
			return err
		}
	}
	return nil
}

// takeOut removes objects phase by phase.
func (c *Cluster) takeOut(ctx context.Context, steps []*Step, w Waiting) error {
	for ph := phases - 1; ph >= 0; ph-- {
		var now []*Step
		for _, s := range steps {
			if s.Verb == Remove && phaseOf(s.Object.ID().Kind) == ph {
				now = append(now, s)
			}
		}
		err := each(ctx, now, func(s *Step) error {
			if err := c.remove(ctx, s.Object, propagation(ph)); err != nil && !apierrors.IsNotFound(err) && !apierrors.IsConflict(err) {
				return c.explain(err, "removing "+s.Object.String())
			}
			return nil
		})
		if err != nil {
			return err
		}
		if w.NoGone {
			for _, s := range now {
				s.Done = true
				w.Tell(Event{Kind: Done, Object: s.Object, Verb: Remove})
			}
			continue
		}
		if err := c.waitGone(ctx, now, w); err != nil {
			return err
		}
	}
	return nil
}

// propagation is how what an object owns goes with it: a workload is gone when its pods
// are.
func propagation(ph phase) metav1.DeletionPropagation {
	if ph == workloads {
		return metav1.DeletePropagationForeground
	}
	return metav1.DeletePropagationBackground
}

// narrow makes a parent name what the script has and what was left; a set of nothing
// needs no parent.
func (c *Cluster) narrow(ctx context.Context, p *Plan, set *Set) error {
	kinds, names := set.wanted()
	names[set.Namespace] = true
	for _, s := range p.Prune {
		if s.Set == set && s.Verb == Leave {
			kinds[s.Object.ID().Kind] = true
			names[s.Object.GetNamespace()] = true
		}
	}
	if len(kinds) == 0 {
		return c.removeParent(ctx, set)
	}
	if slices.Equal(sortedKinds(kinds), sortedKinds(set.kinds)) && len(names) == len(set.namespaces) {
		return nil
	}
	return c.record(ctx, set, kinds, names)
}

func sortedKinds(kinds map[schema.GroupKind]bool) []string {
	var list []string
	for k := range kinds {
		list = append(list, k.String())
	}
	slices.SortFunc(list, strings.Compare)
	return list
}

func (c *Cluster) removeParent(ctx context.Context, set *Set) error {
	u, err := c.fetch(ctx, parents, set.Namespace, set.Name())
	if apierrors.IsNotFound(err) {
		return nil // gone with its namespace
	}
	if err == nil {
		err = c.remove(ctx, &Object{Unstructured: u, res: parents}, metav1.DeletePropagationBackground)
	}
	if apierrors.IsNotFound(err) {
		return nil
	}
	return c.explain(err, "removing the ApplySet "+set.Namespace+"/"+set.Name())
}
