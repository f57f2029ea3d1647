package k8s

import (
	"path"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/labstar/labstar/internal/kube/openapi"
)

// volumes checks the volumes of a pod and returns their names, those that a
// StatefulSet claims among them.
func (a at) volumes(spec dict) map[string]bool {
	names := map[string]bool{}
	if a.o.kind == "StatefulSet" {
		for _, x := range list(sub(a.o.value, "spec"), "volumeClaimTemplates") {
			if d, ok := x.(dict); ok {
				names[str(sub(d, "metadata"), "name")] = true
			}
		}
	}
	a.each(spec, "volumes", func(v at, d dict) {
		if n := str(d, "name"); n != "" {
			names[n] = true
			v.key("name").name(n, dnsLabel, validation.IsDNS1123Label)
		}
		var given []string
		for _, e := range d {
			if e.Key != "name" && e.Value != nil {
				given = append(given, e.Key)
			}
		}
		if len(given) > 1 {
			v.key(given[1]).fail("make two volumes of it", "got %s in one volume, want one of them", strings.Join(given, " and "))
			return
		}
		for _, g := range given {
			v.key(g).volumeSource(g, sub(d, g))
		}
	})
	return names
}

// volumeSource checks one kind of volume, of a pod or of a PersistentVolume.
func (a at) volumeSource(kind string, d dict) {
	need := func(field string) {
		if str(d, field) == "" && has(d, field) {
			a.key(field).fail("", "got an empty string")
		}
	}
	switch kind {
	case "nfs":
		need("server")
		if p := str(d, "path"); p != "" && !path.IsAbs(p) && !a.c.late(p) {
			a.key("path").fail("", "got %q, want a path that starts with \"/\": the export of the server", clip(p))
		}
	case "hostPath", "local":
		p := str(d, "path")
		if slices.Contains(strings.Split(p, "/"), "..") {
			a.key("path").fail("", "got %q, want a path without \"..\"", clip(p))
		}
		need("path")
	case "configMap", "secret":
		name := "name"
		if kind == "secret" {
			name = "secretName"
		}
		if str(d, name) == "" {
			a.fail("", "%s is missing", name)
		}
		a.items(d)
		a.mode(d, "defaultMode")
	case "persistentVolumeClaim":
		need("claimName")
	case "emptyDir":
		if q, ok := parseQuantity(d, "sizeLimit"); ok && q.Sign() < 0 {
			a.key("sizeLimit").fail("", "got a negative size")
		}
	case "projected":
		a.mode(d, "defaultMode")
		a.each(d, "sources", func(s at, d dict) {
			for _, k := range []string{"configMap", "secret"} {
				if has(d, k) {
					s.key(k).items(sub(d, k))
				}
			}
			if n, ok := number(sub(d, "serviceAccountToken"), "expirationSeconds"); ok && n < 600 {
				s.keys("serviceAccountToken", "expirationSeconds").fail("", "got %d, want 600 or more", n)
			}
			s.one(d, []string{"configMap", "secret", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate"})
		})
	}
}

func (a at) items(d dict) {
	a.each(d, "items", func(i at, d dict) {
		p := str(d, "path")
		if path.IsAbs(p) || slices.Contains(strings.Split(p, "/"), "..") {
			i.key("path").fail("", "got %q, want a path inside the volume", clip(p))
		}
		i.mode(d, "mode")
	})
}

func (a at) mode(d dict, field string) {
	if n, ok := number(d, field); ok && (n < 0 || n > 0o777) {
		hint := "write it in octal: 0o644"
		a.key(field).fail(hint, "got %d, want permission bits from 0 to 0o777", n)
	}
}

func (a at) accessModes(spec dict) {
	modes := list(spec, "accessModes")
	if len(modes) == 0 {
		a.fail("give it accessModes = [\"ReadWriteOnce\"], say", "accessModes is missing or empty")
		return
	}
	if slices.Contains(modes, any("ReadWriteOncePod")) && len(modes) > 1 {
		a.key("accessModes").fail("", "got ReadWriteOncePod with others, want it alone")
	}
}

func checkClaim(a at, d dict) { a.key("spec").claim(sub(d, "spec")) }

// claim checks the spec of a PersistentVolumeClaim.
func (a at) claim(spec dict) {
	a.accessModes(spec)
	requests := sub(spec, "resources", "requests")
	at := a.keys("resources", "requests")
	if q, ok := parseQuantity(requests, "storage"); !has(requests, "storage") {
		a.fail(`give it resources = {"requests": {"storage": "1Gi"}}, say`, "resources.requests.storage is missing")
	} else if ok && q.Sign() <= 0 {
		at.key("storage").fail("", "got %s, want more than nothing", q.String())
	}
	at.storageSizes(requests)
	a.key("storageClassName").name(str(spec, "storageClassName"), dnsSubdomain, validation.IsDNS1123Subdomain)
	a.key("volumeName").name(str(spec, "volumeName"), dnsSubdomain, validation.IsDNS1123Subdomain)
}

// storageSizes looks for sizes that are meant otherwise: "10m" are ten thousandths.
func (a at) storageSizes(d dict) {
	for _, e := range d {
		if s, ok := e.Value.(string); ok {
			a.key(e.Key).bytesQuantity(e.Key, s)
		}
	}
}

// volumeKinds are the sources that a PersistentVolume can have.
func volumeKinds() []string {
	t := openapi.Lookup("v1", "PersistentVolume").Type().Field("spec").Type.Object()
	var out []string
	for _, f := range t.Fields {
		if f.Type.Base == openapi.Object && f.Name != "claimRef" && f.Name != "nodeAffinity" {
			out = append(out, f.Name)
		}
	}
	return out
}

func checkVolume(a at, d dict) {
	spec := sub(d, "spec")
	a = a.key("spec")
	a.accessModes(spec)
	capacity := sub(spec, "capacity")
	if q, ok := parseQuantity(capacity, "storage"); !has(capacity, "storage") {
		a.fail(`give it capacity = {"storage": "10Gi"}, say`, "capacity.storage is missing")
	} else if ok && q.Sign() <= 0 {
		a.keys("capacity", "storage").fail("", "got %s, want more than nothing", q.String())
	}
	a.key("capacity").storageSizes(capacity)
	var given []string
	for _, k := range volumeKinds() {
		if has(spec, k) {
			given = append(given, k)
		}
	}
	switch len(given) {
	case 1:
		a.key(given[0]).volumeSource(given[0], sub(spec, given[0]))
	case 0:
		a.fail("give it nfs, csi, local, hostPath or the like", "the volume has no source")
	default:
		a.key(given[1]).fail("make two volumes of it", "got %s in one volume, want one of them", strings.Join(given, " and "))
	}
	if str(spec, "persistentVolumeReclaimPolicy") == "Recycle" && !has(spec, "nfs") && !has(spec, "hostPath") {
		a.key("persistentVolumeReclaimPolicy").fail("write \"Retain\" or \"Delete\"", "got \"Recycle\", which only nfs and hostPath know")
	}
	if has(spec, "local") && !has(sub(spec, "nodeAffinity"), "required") {
		a.fail("give it nodeAffinity, which names the node that has the disk", "nodeAffinity is missing: a local volume is on one node")
	}
}
