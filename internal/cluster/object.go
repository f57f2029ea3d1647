package cluster

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	utilyaml "k8s.io/apimachinery/pkg/util/yaml"
	"sigs.k8s.io/yaml"
)

// Object is one object, as the script has it or as the cluster does.
type Object struct {
	*unstructured.Unstructured
	res resource // zero as long as the cluster has no such kind
}

// ID names an object in a cluster, whatever the version it is read in.
type ID struct {
	Kind            schema.GroupKind
	Namespace, Name string
}

func (id ID) String() string {
	if id.Namespace == "" {
		return id.Kind.Kind + " " + id.Name
	}
	return id.Kind.Kind + " " + id.Namespace + "/" + id.Name
}

// ID returns the object's.
func (o *Object) ID() ID {
	return ID{o.GroupVersionKind().GroupKind(), o.GetNamespace(), o.GetName()}
}

func (o *Object) String() string { return o.ID().String() }

// hashedLabel is what k8s_hashed marks objects with: their names have a hash of what
// they hold.
const hashedLabel = "labstar/hashed"

// Hashed reports whether the object's name follows from what it holds, so that nothing
// but the script's own revisions refer to it.
func (o *Object) Hashed() bool { return o.GetLabels()[hashedLabel] != "" }

// Parse reads a file of YAML documents; a List counts as its items.
func Parse(b []byte) ([]*Object, error) {
	var list []*Object
	r := utilyaml.NewYAMLReader(bufio.NewReader(bytes.NewReader(b)))
	for n := 1; ; n++ {
		doc, err := r.Read()
		if errors.Is(err, io.EOF) {
			return list, nil
		}
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		found, err := parseDocument(doc)
		if err != nil {
			return nil, fmt.Errorf("document %d: %w", n, err)
		}
		list = append(list, found...)
	}
}

func parseDocument(doc []byte) ([]*Object, error) {
	text, err := yaml.YAMLToJSONStrict(doc)
	if err != nil {
		return nil, err
	}
	if string(bytes.TrimSpace(text)) == "null" {
		return nil, nil // comments only
	}
	var kind struct {
		Items    []json.RawMessage
		Kind     string
		Metadata struct{ Name string }
	}
	if err := json.Unmarshal(text, &kind); err != nil {
		return nil, fmt.Errorf("got no Kubernetes object: %w", err)
	}
	if kind.Kind == "List" {
		var list []*Object
		for _, item := range kind.Items {
			found, err := parseDocument(item)
			if err != nil {
				return nil, err
			}
			list = append(list, found...)
		}
		return list, nil
	}
	if kind.Kind == "" || kind.Metadata.Name == "" {
		return nil, errors.New("got an object without kind or metadata.name, want both")
	}
	u := &unstructured.Unstructured{}
	if err := u.UnmarshalJSON(text); err != nil {
		return nil, err
	}
	return []*Object{{Unstructured: u}}, nil
}
