package cluster

import (
	"context"
	"fmt"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// resource is a kind as the API serves it.
type resource struct {
	gvr        schema.GroupVersionResource
	kind       schema.GroupKind
	namespaced bool
}

// kinds remembers what the server said of a group's version.
type kinds struct {
	mu   sync.Mutex
	seen map[schema.GroupVersion][]metav1.APIResource
}

// noKindError is a kind that the cluster doesn't have.
type noKindError struct {
	gvk  schema.GroupVersionKind
	near string // the kind with that name in another version
}

func (e *noKindError) Error() string {
	api := e.gvk.GroupVersion().String()
	if e.near != "" {
		return fmt.Sprintf("the cluster has no %s in %s; it has it in %s", e.gvk.Kind, api, e.near)
	}
	return fmt.Sprintf("the cluster has no kind %s in %s; is its CustomResourceDefinition missing?", e.gvk.Kind, api)
}

func groupPath(group string) string {
	if group == "" {
		return "/api"
	}
	return "/apis/" + group
}

// resourceOf finds how the API serves a kind.
func (c *Cluster) resourceOf(ctx context.Context, gvk schema.GroupVersionKind) (resource, error) {
	gv := gvk.GroupVersion()
	list, err := c.resources(ctx, gv)
	if apierrors.IsNotFound(err) {
		e := &noKindError{gvk: gvk}
		if other, err := c.preferred(ctx, gvk.GroupKind()); err == nil {
			e.near = other.gvr.GroupVersion().String()
		}
		return resource{}, e
	}
	if err != nil {
		return resource{}, err
	}
	for _, r := range list {
		if r.Kind == gvk.Kind && !strings.Contains(r.Name, "/") {
			return resource{gvr: gv.WithResource(r.Name), kind: gvk.GroupKind(), namespaced: r.Namespaced}, nil
		}
	}
	return resource{}, &noKindError{gvk: gvk}
}

// preferred finds a kind in the version that the server prefers, else in any.
func (c *Cluster) preferred(ctx context.Context, kind schema.GroupKind) (resource, error) {
	versions := []string{"v1"}
	if kind.Group != "" {
		var group metav1.APIGroup
		if err := c.get(ctx, groupPath(kind.Group), &group); apierrors.IsNotFound(err) {
			return resource{}, &noKindError{gvk: kind.WithVersion("any version")}
		} else if err != nil {
			return resource{}, err
		}
		versions = []string{group.PreferredVersion.Version}
		for _, v := range group.Versions {
			versions = append(versions, v.Version)
		}
	}
	for _, v := range versions {
		list, err := c.resources(ctx, schema.GroupVersion{Group: kind.Group, Version: v})
		if err != nil {
			return resource{}, err
		}
		for _, r := range list {
			if r.Kind == kind.Kind && !strings.Contains(r.Name, "/") {
				gvr := schema.GroupVersionResource{Group: kind.Group, Version: v, Resource: r.Name}
				return resource{gvr: gvr, kind: kind, namespaced: r.Namespaced}, nil
			}
		}
	}
	return resource{}, &noKindError{gvk: kind.WithVersion("any version")}
}

func (c *Cluster) resources(ctx context.Context, gv schema.GroupVersion) ([]metav1.APIResource, error) {
	c.kinds.mu.Lock()
	list, ok := c.kinds.seen[gv]
	c.kinds.mu.Unlock()
	if ok {
		return list, nil
	}
	var answer metav1.APIResourceList
	if err := c.get(ctx, groupPath(gv.Group)+"/"+gv.Version, &answer); err != nil {
		return nil, err
	}
	c.kinds.mu.Lock()
	defer c.kinds.mu.Unlock()
	if c.kinds.seen == nil {
		c.kinds.seen = map[schema.GroupVersion][]metav1.APIResource{}
	}
	c.kinds.seen[gv] = answer.APIResources
	return answer.APIResources, nil
}

// forget drops what is known of a group: it has a new kind.
func (c *Cluster) forget(group string) {
	c.kinds.mu.Lock()
	defer c.kinds.mu.Unlock()
	for gv := range c.kinds.seen {
		if gv.Group == group {
			delete(c.kinds.seen, gv)
		}
	}
}
