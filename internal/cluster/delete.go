package cluster

import (
	"context"
	"slices"
)

// Held lists what the sets hold, in the order in which it is removed.
func (c *Cluster) Held(ctx context.Context, sets []*Set) ([]*Step, error) {
	var steps []*Step
	for _, set := range sets {
		members, err := c.members(ctx, set)
		if err != nil {
			return nil, err
		}
		for _, o := range members {
			steps = append(steps, &Step{Verb: Remove, Set: set, Object: o, Live: o.Unstructured})
		}
	}
	slices.SortStableFunc(steps, func(a, b *Step) int {
		return int(phaseOf(b.Object.ID().Kind)) - int(phaseOf(a.Object.ID().Kind))
	})
	return steps, nil
}

// Delete removes what Held listed, waits until it is gone, and then forgets the sets.
func (c *Cluster) Delete(ctx context.Context, sets []*Set, steps []*Step, w Waiting) error {
	if err := c.takeOut(ctx, steps, w); err != nil {
		return err
	}
	for _, set := range sets {
		if err := c.removeParent(ctx, set); err != nil {
			return err
		}
	}
	return nil
}
