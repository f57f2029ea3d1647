package k8s

import (
	"fmt"
	"strings"
)

// This file holds what pods refer to against the other objects: accounts, ConfigMaps,
// Secrets and their keys, claims.

func (p pods) account() {
	name := str(p.spec, "serviceAccountName")
	if name != "" && name != "default" {
		p.at.keys("spec", "serviceAccountName").exists("ServiceAccount", name)
	}
}

// references are those to ConfigMaps, Secrets and claims.
func (p pods) references() {
	p.containers(func(c at, d dict) {
		c.each(d, "env", func(e at, d dict) {
			from := sub(d, "valueFrom")
			e.key("valueFrom").keyRef(from, "configMapKeyRef", "ConfigMap")
			e.key("valueFrom").keyRef(from, "secretKeyRef", "Secret")
		})
		c.each(d, "envFrom", func(e at, d dict) {
			e.key("configMapRef").ref(sub(d, "configMapRef"), "name", "ConfigMap")
			e.key("secretRef").ref(sub(d, "secretRef"), "name", "Secret")
		})
	})
	spec := p.at.key("spec")
	spec.each(p.spec, "imagePullSecrets", func(s at, d dict) { s.key("name").exists("Secret", str(d, "name")) })
	spec.each(p.spec, "volumes", func(v at, d dict) {
		v.key("configMap").withItems(sub(d, "configMap"), "name", "ConfigMap")
		v.key("secret").withItems(sub(d, "secret"), "secretName", "Secret")
		v.key("projected").each(sub(d, "projected"), "sources", func(s at, d dict) {
			s.key("configMap").withItems(sub(d, "configMap"), "name", "ConfigMap")
			s.key("secret").withItems(sub(d, "secret"), "name", "Secret")
		})
	})
}

// ref checks a reference by name and returns what it names.
func (a at) ref(d dict, field, kind string) *object {
	if truth(d, "optional") || str(d, field) == "" {
		return nil
	}
	return a.key(field).exists(kind, str(d, field))
}

func (a at) keyRef(from dict, field, kind string) {
	d := sub(from, field)
	a = a.key(field)
	if o := a.ref(d, "name", kind); o != nil {
		a.dataKey(o, d, "key")
	}
}

func (a at) withItems(d dict, field, kind string) {
	o := a.ref(d, field, kind)
	if o == nil {
		return
	}
	a.each(d, "items", func(i at, d dict) { i.dataKey(o, d, "key") })
}

// dataKey checks that a ConfigMap or Secret has the key.
func (a at) dataKey(o *object, d dict, field string) {
	key := str(d, field)
	if key == "" {
		return
	}
	var keys []string
	for _, f := range []string{"data", "stringData", "binaryData"} {
		for _, e := range sub(o.value, f) {
			if e.Key == key {
				return
			}
			keys = append(keys, e.Key)
		}
	}
	hint := "it is empty"
	if len(keys) > 0 {
		hint = "its keys are " + strings.Join(keys, ", ")
	}
	a.key(field).fail(hint, "%s has no key %q%s", a.c.describe(o), key, didYouMean(key, keys))
}

// describe names an object, without the tokens in its name.
func (c *checker) describe(o *object) string { return fmt.Sprintf("%s %s", o.kind, c.readable(o.name)) }
