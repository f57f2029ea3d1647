package k8s

import (
	"fmt"
	"path"
	"slices"
	"strings"
)

// use is a place where pods use a claim.
type use struct {
	p  pods
	at at
}

// storage checks claims, volumes and who mounts them.
func (c *checker) storage(all []pods) {
	uses := map[*object][]use{}
	for _, p := range all {
		p.at.key("spec").each(p.spec, "volumes", func(v at, d dict) {
			name := str(sub(d, "persistentVolumeClaim"), "claimName")
			place := v.keys("persistentVolumeClaim", "claimName")
			if name == "" {
				return
			}
			if o := c.find("PersistentVolumeClaim", p.o.namespace, name); o != nil {
				uses[o] = append(uses[o], use{p, place})
			} else if !p.o.noticed {
				place.exists("PersistentVolumeClaim", name)
			}
		})
	}
	volumes := c.volumesBySource()
	for _, p := range all {
		if !p.o.noticed {
			p.behindTheBack(volumes, uses)
		}
	}
	for _, o := range c.objects {
		if o.kind != "PersistentVolumeClaim" || o.noticed {
			continue
		}
		a := at{c, o, nil}
		if len(uses[o]) == 0 && !c.external.has("Pod", o.namespace, "*") {
			a.fail(fmt.Sprintf("give a pod a volume with persistentVolumeClaim = {\"claimName\": %q} and mount it, or leave the claim out; if pods of the cluster use it, say external = [\"Pod/*\"]", o.name),
				"no pod mounts the claim")
		}
		a.satisfied()
		c.shared(o, uses[o])
	}
	for _, p := range all {
		if !p.o.noticed {
			p.mountsAll(uses)
		}
	}
}

// source names what a volume is on, "" for what others may share.
func source(d dict) string {
	if n := sub(d, "nfs"); len(n) > 0 {
		return "NFS " + str(n, "server") + ":" + path.Clean(str(n, "path"))
	}
	return ""
}

// volumesBySource finds the volumes, and reports two on one NFS path.
func (c *checker) volumesBySource() map[string]*object {
	out := map[string]*object{}
	for _, o := range c.objects {
		if o.kind != "PersistentVolume" {
			continue
		}
		s := source(sub(o.value, "spec"))
		if s == "" {
			continue
		}
		if first := out[s]; first != nil && !o.noticed {
			at{c, o, nil}.keys("spec", "nfs", "path").fail("give each volume a folder of its own", "got %s, which %s is on already: what one claim writes the other would overwrite", s, first)
			continue
		}
		out[s] = o
	}
	return out
}

// behindTheBack finds volumes of pods that are the storage of a PersistentVolume.
func (p pods) behindTheBack(volumes map[string]*object, uses map[*object][]use) {
	p.at.key("spec").each(p.spec, "volumes", func(v at, d dict) {
		pv := volumes[source(d)]
		if pv == nil {
			return
		}
		claim := "a claim"
		for _, o := range p.at.c.objects {
			if o.kind == "PersistentVolumeClaim" && sameSpace(o.namespace, p.o.namespace) && (fits(pv, o) == "" || str(sub(pv.value, "spec", "claimRef"), "name") == o.name) {
				claim = fmt.Sprintf("the claim: persistentVolumeClaim = {\"claimName\": %q}", o.name)
				break
			}
		}
		v.key("nfs").fail("mount "+claim, "mounts %s directly, behind the back of %s, which declares it", source(d), pv)
	})
}

// fits says why a claim can't be bound to a volume, "" if it can.
func fits(pv, claim *object) string {
	v, c := sub(pv.value, "spec"), sub(claim.value, "spec")
	if want := str(c, "volumeName"); want != "" && want != pv.name {
		return fmt.Sprintf("it names the volume %q", want)
	}
	if ref := sub(v, "claimRef"); len(ref) > 0 && (str(ref, "name") != claim.name || str(ref, "namespace") != claim.namespace && claim.namespace != "") {
		return fmt.Sprintf("%s is for the claim %s", pv, str(ref, "name"))
	}
	if a, b := str(v, "storageClassName"), str(c, "storageClassName"); a != b {
		return fmt.Sprintf("%s has storageClassName %q, the claim %q", pv, a, b)
	}
	for _, m := range list(c, "accessModes") {
		if !slices.Contains(list(v, "accessModes"), m) {
			return fmt.Sprintf("%s has no access mode %v", pv, m)
		}
	}
	mode := func(d dict) string {
		if m := str(d, "volumeMode"); m != "" {
			return m
		}
		return "Filesystem"
	}
	if mode(v) != mode(c) {
		return fmt.Sprintf("%s has volumeMode %s", pv, mode(v))
	}
	if sel := sub(c, "selector"); len(sel) > 0 && !matches(sel, sub(pv.value, "metadata", "labels")) {
		return fmt.Sprintf("%s has not the labels of its selector", pv)
	}
	size, ok := parseQuantity(sub(v, "capacity"), "storage")
	want, asked := parseQuantity(sub(c, "resources", "requests"), "storage")
	if ok && asked && size.less(want) {
		return fmt.Sprintf("%s has %s, the claim wants %s", pv, size.String(), want.String())
	}
	return ""
}

// satisfied checks that a claim without a provisioner has a volume.
func (a at) satisfied() {
	c, spec := a.c, sub(a.o.value, "spec")
	class, said := get[string](spec, "storageClassName")
	volume := str(spec, "volumeName")
	if class != "" {
		if sc := c.find("StorageClass", "", class); sc != nil {
			if str(sc.value, "provisioner") != "kubernetes.io/no-provisioner" && volume == "" {
				return
			}
		} else if c.external.has("StorageClass", "", class) && volume == "" {
			return
		}
	}
	var why []string
	static := 0 // volumes of the claim's own class
	for _, pv := range c.objects {
		if pv.kind != "PersistentVolume" {
			continue
		}
		reason := fits(pv, a.o)
		if reason == "" {
			return
		}
		why = append(why, reason)
		if str(sub(pv.value, "spec"), "storageClassName") == class {
			static++
		}
	}
	a = a.key("spec")
	switch {
	case c.external.has("PersistentVolume", "", "*") || volume != "" && c.external.has("PersistentVolume", "", volume):
	case volume != "" && c.find("PersistentVolume", "", volume) == nil:
		a.key("volumeName").exists("PersistentVolume", volume)
	case class != "" && static == 0 && volume == "" && c.find("StorageClass", "", class) == nil:
		a.key("storageClassName").exists("StorageClass", class)
	case !said && static == 0 && volume == "":
		// The cluster's default class provides.
	case len(why) == 0:
		a.fail("add a PersistentVolume, or leave storageClassName out for the cluster's default; if the cluster has the volume already, say external = [\"PersistentVolume/*\"]",
			"no volume can satisfy the claim: there is none, and storageClassName %q provides none", class)
	default:
		a.fail("make a volume that it fits", "no volume can satisfy the claim: %s", strings.Join(why, "; "))
	}
}

// shared reports pods on several nodes that share what one node can mount.
func (c *checker) shared(claim *object, uses []use) {
	modes := list(sub(claim.value, "spec"), "accessModes")
	if slices.Contains(modes, any("ReadWriteMany")) || slices.Contains(modes, any("ReadOnlyMany")) || len(modes) == 0 {
		return
	}
	for _, u := range uses {
		n := u.p.replicas
		why := fmt.Sprintf("%s has %d replicas", u.p.o, n)
		for _, h := range c.objects {
			ref := sub(h.value, "spec", "scaleTargetRef")
			if h.kind != "HorizontalPodAutoscaler" || str(ref, "kind") != u.p.o.kind || str(ref, "name") != u.p.o.name {
				continue
			}
			if high, ok := number(sub(h.value, "spec"), "maxReplicas"); ok && high > n {
				n, why = high, fmt.Sprintf("%s may scale it to %d replicas", h, high)
			}
		}
		if u.p.o.kind == "DaemonSet" {
			n, why = 2, "a DaemonSet has a pod on every node"
		}
		if n > 1 && !u.p.o.noticed {
			u.at.fail("make the claim ReadWriteMany, if its storage can do that, or use a StatefulSet with volumeClaimTemplates, or one replica",
				"%s, and the claim %s is %v: only the pods of one node can mount it", why, claim.name, modes[0])
		}
	}
}

// mountsAll reports volumes of claims that no container mounts.
func (p pods) mountsAll(uses map[*object][]use) {
	mounted := map[string]bool{}
	p.containers(func(c at, d dict) {
		for _, f := range []string{"volumeMounts", "volumeDevices"} {
			c.each(d, f, func(_ at, d dict) { mounted[str(d, "name")] = true })
		}
	})
	p.at.key("spec").each(p.spec, "volumes", func(v at, d dict) {
		if n := str(d, "name"); has(d, "persistentVolumeClaim") && !mounted[n] && n != "" {
			v.key("name").fail(fmt.Sprintf("give a container volumeMounts = [{\"name\": %q, \"mountPath\": …}]", n), "no container mounts the volume %q", n)
		}
	})
}

// node is a node that the script declares.
type node struct {
	name   string
	labels dict
	room   map[string]*amount
}

// requested adds up what the containers of a pod request; a limit counts where
// nothing is requested.
func (p pods) requested() map[string]*amount {
	out := map[string]*amount{}
	add := func(d dict, most bool) {
		requests, limits := sub(d, "resources", "requests"), sub(d, "resources", "limits")
		for _, name := range []string{"cpu", "memory", "ephemeral-storage"} {
			q, ok := parseQuantity(requests, name)
			if !ok {
				q, ok = parseQuantity(limits, name)
			}
			if !ok {
				continue
			}
			switch sum := out[name]; {
			case sum == nil || most && sum.less(q):
				out[name] = q
			case !most:
				total := &amount{}
				total.Add(&sum.Rat, &q.Rat)
				out[name] = total
			}
		}
	}
	for _, x := range list(p.spec, "containers") {
		d, _ := x.(dict)
		add(d, false)
	}
	for _, x := range list(p.spec, "initContainers") {
		d, _ := x.(dict)
		add(d, str(d, "restartPolicy") != "Always")
	}
	return out
}

// fits checks that every pod has a node that can hold it.
func (c *checker) fits(all []pods) {
	for _, p := range all {
		if p.o.noticed {
			continue
		}
		want := p.requested()
		place := p.at.key("spec")
		match := sub(p.spec, "nodeSelector")
		var candidates []node
		for _, n := range c.nodes {
			if matches(dict{{Key: "matchLabels", Value: match}}, n.labels) && (str(p.spec, "nodeName") == "" || str(p.spec, "nodeName") == n.name) {
				candidates = append(candidates, n)
			}
		}
		if len(candidates) == 0 {
			if len(match) > 0 {
				place.key("nodeSelector").fail("give a node these labels in nodes", "no node has %s", c.words(match))
			} else {
				place.key("nodeName").fail("the nodes are "+strings.Join(nodeNames(c.nodes), ", "), "there is no node %q", str(p.spec, "nodeName"))
			}
			continue
		}
		best := ""
		for _, n := range candidates {
			short := n.short(want)
			if short == "" {
				best = ""
				break
			}
			best = short
		}
		if best != "" {
			p.requestsPlace(place).fail("lower the requests, or add a larger node to nodes", "no node can hold the pod: %s", best)
		}
	}
}

// requestsPlace is that of the first container's requests.
func (p pods) requestsPlace(spec at) at {
	for i, x := range list(p.spec, "containers") {
		d, _ := x.(dict)
		for _, f := range []string{"requests", "limits"} {
			if has(sub(d, "resources"), f) {
				return spec.key("containers").index(i).keys("resources", f)
			}
		}
	}
	return spec
}

func nodeNames(nodes []node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.name)
	}
	return out
}

// short says what a node lacks, "" if nothing.
func (n node) short(want map[string]*amount) string {
	for _, name := range []string{"cpu", "memory", "ephemeral-storage"} {
		if w, r := want[name], n.room[name]; w != nil && r != nil && r.less(w) {
			return fmt.Sprintf("it requests %s of %s, and %s has %s", w.String(), name, n.name, r.String())
		}
	}
	return ""
}
