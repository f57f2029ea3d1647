package cluster

import (
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
)

// podSpec returns the pod that an object is, or makes; nil if it makes none.
func podSpec(kind schema.GroupKind, o map[string]any) map[string]any {
	path := []string{"spec", "template", "spec"}
	switch kind.Kind {
	case "Pod":
		path = path[:1]
	case "CronJob":
		path = []string{"spec", "jobTemplate", "spec", "template", "spec"}
	}
	spec, _, err := unstructured.NestedMap(o, path...)
	if err != nil {
		return nil
	}
	return spec
}

// references lists the ConfigMaps and Secrets that a pod refers to: whatever object in
// it is called as such a reference is. The API knows few names for them, and a name more
// than there is keeps an object that nobody needs, and no more.
func references(spec map[string]any, namespace string) []ID {
	var found []ID
	add := func(kind schema.GroupKind, name any) {
		if s, ok := name.(string); ok && s != "" {
			found = append(found, ID{kind, namespace, s})
		}
	}
	var walk func(key string, v any)
	walk = func(key string, v any) {
		switch v := v.(type) {
		case []any:
			for _, e := range v {
				walk(key, e)
			}
		case map[string]any:
			switch key {
			case "configMap", "configMapRef", "configMapKeyRef":
				add(configMapKind, v["name"])
			case "secret", "secretRef", "secretKeyRef", "imagePullSecrets", "nodePublishSecretRef":
				add(secretKind, v["name"])
				add(secretKind, v["secretName"])
			}
			for k, e := range v {
				walk(k, e)
			}
		}
	}
	walk("", spec)
	return found
}
