package k8s

import (
	"encoding/base64"
	"encoding/json"
	"fmt"

	"k8s.io/apimachinery/pkg/util/validation"
)

// maxData is how many bytes a ConfigMap or a Secret may have.
const maxData = 1 << 20

// dataKeys checks the keys of ConfigMaps and Secrets, and how much they hold.
func (a at) dataKeys(d dict, fields ...string) {
	size := 0
	in := map[string]string{}
	for _, f := range fields {
		for _, e := range sub(d, f) {
			here := a.keys(f, e.Key)
			here.name(e.Key, "letters, digits, '-', '_' and '.', at most 253", validation.IsConfigMapKey)
			if first := in[e.Key]; first != "" && f == "binaryData" {
				here.fail("leave one of them out", "got the key %q twice: it is in %s too", e.Key, first)
			}
			in[e.Key] = f
			if s, ok := e.Value.(string); ok {
				size += len(s)
			}
		}
	}
	if size > maxData {
		a.fail("put it into an image or a volume", "got %d bytes, want at most %d", size, maxData)
	}
}

func checkConfigMap(a at, d dict) { a.dataKeys(d, "data", "binaryData") }

// secretKeys are the keys that a Secret of a type has to have.
var secretKeys = map[string][]string{
	"kubernetes.io/tls":              {"tls.crt", "tls.key"},
	"kubernetes.io/dockerconfigjson": {".dockerconfigjson"},
	"kubernetes.io/dockercfg":        {".dockercfg"},
	"kubernetes.io/ssh-auth":         {"ssh-privatekey"},
}

func checkSecret(a at, d dict) {
	a.dataKeys(d, "data", "stringData")
	typ := str(d, "type")
	plain, encoded := sub(d, "stringData"), sub(d, "data")
	for _, k := range secretKeys[typ] {
		if !has(plain, k) && !has(encoded, k) {
			a.fail("", "the key %q is missing: a Secret of type %s has it", k, typ)
		}
	}
	if typ == "kubernetes.io/basic-auth" && !has(plain, "username") && !has(plain, "password") && !has(encoded, "username") && !has(encoded, "password") {
		a.fail("", "the keys username and password are missing: a Secret of type %s has one of them", typ)
	}
	if typ == "kubernetes.io/dockerconfigjson" {
		text, place := str(plain, ".dockerconfigjson"), a.keys("stringData", ".dockerconfigjson")
		if text == "" {
			b, _ := base64.StdEncoding.DecodeString(str(encoded, ".dockerconfigjson"))
			text, place = string(b), a.keys("data", ".dockerconfigjson")
		}
		var doc struct {
			Auths map[string]any `json:"auths"`
		}
		if text != "" && !a.c.late(text) && (json.Unmarshal([]byte(text), &doc) != nil || len(doc.Auths) == 0) {
			place.fail("it is what `docker login` writes into ~/.docker/config.json", "got no JSON with \"auths\"")
		}
	}
}

func checkRole(a at, d dict) {
	a.each(d, "rules", func(r at, d dict) {
		resources, urls := list(d, "resources"), list(d, "nonResourceURLs")
		switch {
		case len(list(d, "verbs")) == 0:
			if has(d, "verbs") { // that it is missing the schema says
				r.key("verbs").fail("give it some, as \"get\", or \"*\"", "verbs is empty")
			}
		case len(urls) > 0 && a.o.kind == "Role":
			r.key("nonResourceURLs").fail("make it a ClusterRole", "got nonResourceURLs in a Role, which is of one namespace")
		case len(urls) > 0 && len(resources) > 0:
			r.key("nonResourceURLs").fail("make two rules of it", "got resources and nonResourceURLs in one rule")
		case len(urls) > 0:
		case len(resources) == 0:
			r.fail("", "resources is missing or empty")
		case len(list(d, "apiGroups")) == 0:
			r.fail(`the core kinds are in the group ""`, "apiGroups is missing or empty")
		}
	})
}

const rbacGroup = "rbac.authorization.k8s.io"

func checkBinding(a at, d dict) {
	ref := sub(d, "roleRef")
	if g := str(ref, "apiGroup"); has(ref, "apiGroup") && g != rbacGroup {
		a.keys("roleRef", "apiGroup").fail("", "got %q, want %q", g, rbacGroup)
	}
	kinds := []string{"ClusterRole"}
	if a.o.kind == "RoleBinding" {
		kinds = []string{"Role", "ClusterRole"}
	}
	if k := str(ref, "kind"); k != "" && k != "ClusterRole" && (k != "Role" || a.o.kind != "RoleBinding") {
		a.keys("roleRef", "kind").fail("", "got %q, want %s", k, quotedOr(kinds))
	}
	a.each(d, "subjects", func(s at, d dict) {
		group, given := get[string](d, "apiGroup")
		switch k := str(d, "kind"); k {
		case "ServiceAccount":
			if str(d, "namespace") == "" {
				s.fail("give it the namespace of the account", "namespace is missing")
			}
			if group != "" {
				s.key("apiGroup").fail("leave it out", "got %q, want \"\": a ServiceAccount is of the core group", group)
			}
		case "User", "Group":
			if given && group != rbacGroup {
				s.key("apiGroup").fail("", "got %q, want %q", group, rbacGroup)
			}
			if has(d, "namespace") {
				s.key("namespace").fail("leave it out", "got a namespace of a %s, which has none", k)
			}
		case "":
		default:
			s.key("kind").fail("", "got %q, want %s", k, fmt.Sprintf("%q, %q or %q", "ServiceAccount", "User", "Group"))
		}
	})
}
