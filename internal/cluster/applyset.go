package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// What KEP-3659 calls things, and what labstar adds to a parent so that it finds the
// sets of a script.
const (
	partOf      = "applyset.kubernetes.io/part-of"
	setID       = "applyset.kubernetes.io/id"
	setTooling  = "applyset.kubernetes.io/tooling"
	setKinds    = "applyset.kubernetes.io/contains-group-kinds"
	setMore     = "applyset.kubernetes.io/additional-namespaces"
	managedBy   = "app.kubernetes.io/managed-by"
	labLabel    = "labstar/lab"
	targetLabel = "labstar/target"
)

// Set is a target of a script in a cluster.
type Set struct {
	Lab, Target string
	Namespace   string    // of the parent
	Objects     []*Object // that the script has; none if it has the target no longer

	there      bool   // the parent is
	version    string // of the parent, as it was read
	kinds      map[schema.GroupKind]bool
	namespaces map[string]bool // of members
}

var parents = resource{
	gvr: schema.GroupVersionResource{Version: "v1", Resource: "configmaps"}, kind: configMapKind, namespaced: true,
}

// NewSet names the set of a target. The lab's name and the target's are all that it
// depends on, so that another checkout finds it again.
func NewSet(lab, target, namespace string, objects []*Object) *Set {
	return &Set{Lab: lab, Target: target, Namespace: namespace, Objects: objects}
}

// Name is the parent's.
func (s *Set) Name() string { return "labstar." + LabelValue(s.Lab) + "." + LabelValue(s.Target) }

// ID is the value of the members' label, as KEP-3659 computes it.
func (s *Set) ID() string {
	sum := sha256.Sum256([]byte(s.Name() + "." + s.Namespace + ".ConfigMap."))
	return "applyset-" + base64.RawURLEncoding.EncodeToString(sum[:]) + "-v1"
}

// LabelValue makes a value of a label, and a part of a name, out of any text.
func LabelValue(text string) string {
	var b strings.Builder
	for _, r := range strings.ToLower(text) {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			b.WriteRune(r)
		} else {
			b.WriteByte('-')
		}
	}
	v := strings.Trim(b.String(), "-")
	if v == text && len(v) <= 63 && v != "" {
		return v
	}
	sum := sha256.Sum256([]byte(text)) // what was changed could be the name of another
	return strings.Trim(v[:min(len(v), 54)]+"-"+hex.EncodeToString(sum[:4]), "-")
}

// read takes in what the parent says.
func (c *Cluster) readSet(ctx context.Context, s *Set) error {
	u, err := c.fetch(ctx, parents, s.Namespace, s.Name())
	if apierrors.IsNotFound(err) {
		s.there, s.version, s.kinds, s.namespaces = false, "", map[schema.GroupKind]bool{}, map[string]bool{}
		return nil
	}
	if err != nil {
		return c.explain(err, "reading the ApplySet "+s.Namespace+"/"+s.Name())
	}
	if got := u.GetLabels()[setID]; got != s.ID() {
		return fmt.Errorf("ConfigMap %s/%s is no ApplySet of labstar's (its %s is %q): remove or rename it", s.Namespace, s.Name(), setID, got)
	}
	s.take(u)
	return nil
}

func (s *Set) take(u *unstructured.Unstructured) {
	s.there, s.version = true, u.GetResourceVersion()
	s.kinds, s.namespaces = map[schema.GroupKind]bool{}, map[string]bool{}
	for k := range strings.SplitSeq(u.GetAnnotations()[setKinds], ",") {
		if k != "" {
			s.kinds[schema.ParseGroupKind(k)] = true
		}
	}
	for ns := range strings.SplitSeq(u.GetAnnotations()[setMore], ",") {
		if ns != "" {
			s.namespaces[ns] = true
		}
	}
	s.namespaces[s.Namespace] = true
}

// Sets lists the sets of a lab whose parents are in the cluster's namespace.
func (c *Cluster) Sets(ctx context.Context, lab string) ([]*Set, error) {
	var list *unstructured.UnstructuredList
	err := c.retry(ctx, func() (err error) {
		list, err = c.in(parents, c.Namespace).List(ctx, metav1.ListOptions{LabelSelector: labLabel + "=" + LabelValue(lab) + "," + setID})
		return err
	})
	if err != nil {
		return nil, c.explain(err, "looking for what was applied of "+lab)
	}
	var sets []*Set
	for i := range list.Items {
		u := &list.Items[i]
		s := NewSet(lab, u.GetAnnotations()[targetLabel], c.Namespace, nil)
		if s.Name() != u.GetName() || s.ID() != u.GetLabels()[setID] {
			continue // not labstar's, whatever its labels
		}
		s.take(u)
		sets = append(sets, s)
	}
	return sets, nil
}

// record writes the parent, which names kinds and namespaces.
func (c *Cluster) record(ctx context.Context, s *Set, kinds map[schema.GroupKind]bool, names map[string]bool) error {
	var groupKinds, more []string
	for k := range kinds {
		groupKinds = append(groupKinds, k.String())
	}
	for ns := range names {
		if ns != s.Namespace {
			more = append(more, ns)
		}
	}
	slices.Sort(groupKinds)
	slices.Sort(more)
	annotations := map[string]any{
		setTooling: Manager + "/v" + c.version, setKinds: strings.Join(groupKinds, ","),
		setMore: strings.Join(more, ","),
	}
	o := &Object{Unstructured: s.parent(annotations), res: parents}
	if _, err := c.patch(ctx, o, true, false); err != nil {
		return c.explain(err, "writing the ApplySet "+o.String())
	}
	s.there, s.kinds, s.namespaces = true, kinds, names
	return nil
}

// parent is the object that stands for the set.
func (s *Set) parent(annotations map[string]any) *unstructured.Unstructured {
	annotations[targetLabel] = s.Target
	return &unstructured.Unstructured{Object: map[string]any{
		"apiVersion": "v1", "kind": "ConfigMap",
		"metadata": map[string]any{
			"name": s.Name(), "namespace": s.Namespace, "annotations": annotations,
			"labels": map[string]any{setID: s.ID(), managedBy: Manager, labLabel: LabelValue(s.Lab), targetLabel: LabelValue(s.Target)},
		},
	}}
}

// wanted are the kinds and namespaces of what the script has.
func (s *Set) wanted() (kinds map[schema.GroupKind]bool, names map[string]bool) {
	kinds, names = map[schema.GroupKind]bool{}, map[string]bool{}
	for _, o := range s.Objects {
		kinds[o.ID().Kind] = true
		if ns := o.GetNamespace(); ns != "" {
			names[ns] = true
		}
	}
	return kinds, names
}

// widen makes the parent name what is there and what is to come.
func (c *Cluster) widen(ctx context.Context, s *Set) error {
	kinds, names := s.wanted()
	maps.Copy(kinds, s.kinds)
	maps.Copy(names, s.namespaces)
	if s.there && maps.Equal(kinds, s.kinds) && len(names) <= len(s.namespaces) {
		return nil
	}
	return c.record(ctx, s, kinds, names)
}

// members lists what bears the set's label.
func (c *Cluster) members(ctx context.Context, s *Set) ([]*Object, error) {
	type place struct {
		res       resource
		namespace string
	}
	var places []place
	for kind := range s.kinds {
		res, err := c.preferred(ctx, kind)
		var none *noKindError
		if errors.As(err, &none) {
			continue // gone with its definition, and all objects with it
		}
		if err != nil {
			return nil, c.explain(err, "looking for "+kind.String())
		}
		if !res.namespaced {
			places = append(places, place{res, ""})
			continue
		}
		for ns := range s.namespaces {
			places = append(places, place{res, ns})
		}
	}
	var mu sync.Mutex
	var found []*Object
	err := each(ctx, places, func(p place) error {
		list, err := c.list(ctx, p.res, p.namespace, partOf+"="+s.ID())
		mu.Lock()
		defer mu.Unlock()
		found = append(found, list...)
		return c.explain(err, "")
	})
	slices.SortFunc(found, func(a, b *Object) int { return strings.Compare(a.String(), b.String()) })
	return found, err
}
