package cluster

import (
	"context"
	"fmt"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
)

// fetch reads one object.
func (c *Cluster) fetch(ctx context.Context, r resource, namespace, name string) (u *unstructured.Unstructured, err error) {
	err = c.retry(ctx, func() error {
		u, err = c.in(r, namespace).Get(ctx, name, metav1.GetOptions{})
		return err
	})
	return u, err
}

// page is how many objects one answer of a list holds.
const page = 500

// list reads the objects of a kind with a label; namespace "" is all of them.
func (c *Cluster) list(ctx context.Context, r resource, namespace, selector string) ([]*Object, error) {
	var found []*Object
	for next := ""; ; {
		var l *unstructured.UnstructuredList
		err := c.retry(ctx, func() (err error) {
			l, err = c.in(r, namespace).List(ctx, metav1.ListOptions{LabelSelector: selector, Limit: page, Continue: next})
			return err
		})
		if err != nil {
			return nil, err
		}
		for i := range l.Items {
			found = append(found, &Object{Unstructured: &l.Items[i], res: r})
		}
		if next = l.GetContinue(); next == "" {
			return found, nil
		}
	}
}

// patch applies an object on the server's side and returns what it is then. An
// unknown field is an error, as the script can't mean it.
func (c *Cluster) patch(ctx context.Context, o *Object, force, dryRun bool) (u *unstructured.Unstructured, err error) {
	body, err := o.MarshalJSON()
	if err != nil {
		return nil, fmt.Errorf("writing %s: %w", o, err)
	}
	opts := metav1.PatchOptions{FieldManager: Manager, Force: &force, FieldValidation: metav1.FieldValidationStrict}
	if dryRun {
		opts.DryRun = []string{metav1.DryRunAll}
	}
	err = c.retry(ctx, func() error {
		u, err = c.in(o.res, o.GetNamespace()).Patch(ctx, o.GetName(), types.ApplyPatchType, body, opts)
		return err
	})
	return u, err
}

// remove deletes the very object that was read, not one of its name that came since.
func (c *Cluster) remove(ctx context.Context, o *Object, how metav1.DeletionPropagation) error {
	uid := o.GetUID()
	return c.retry(ctx, func() error {
		return c.in(o.res, o.GetNamespace()).Delete(ctx, o.GetName(), metav1.DeleteOptions{
			Preconditions: &metav1.Preconditions{UID: &uid}, PropagationPolicy: &how,
		})
	})
}

// fromMap reads a part of an object into a type of the API.
func fromMap(m map[string]any, v any) error {
	return runtime.DefaultUnstructuredConverter.FromUnstructured(m, v)
}
