package cluster

import (
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
)

// level is how bad what keeps an object from being ready is.
type level int

const (
	fine   level = iota
	coming       // nothing is wrong yet
	slow         // something is, which the cluster may mend: a node or a volume that is to come
	stuck        // it seldom mends itself: waited for a moment
	fatal        // it is over
)

// state is how far an object is.
type state struct {
	level level
	text  string   // what it waits for, or what is wrong
	log   []string // the last lines of what failed
}

func waiting(format string, args ...any) state {
	return state{level: coming, text: fmt.Sprintf(format, args...)}
}

func failing(l level, format string, args ...any) state {
	return state{level: l, text: fmt.Sprintf(format, args...)}
}

// statusOf reads an object's own status. What is wrong below it, in its pods, is not
// looked at.
func statusOf(o *Object) state {
	if o.GetDeletionTimestamp() != nil {
		return waiting("is being removed")
	}
	switch kind := o.ID().Kind; kind.String() {
	case "Deployment.apps":
		return deployment(o)
	case "StatefulSet.apps":
		return statefulSet(o)
	case "DaemonSet.apps":
		return daemonSet(o)
	case "ReplicaSet.apps", "ReplicationController":
		return ready(o, o.num("status", "readyReplicas"), o.replicas())
	case "Job.batch":
		return job(o)
	case "Pod":
		return pod(o)
	case "PersistentVolumeClaim":
		return claim(o)
	case "PersistentVolume":
		return volume(o)
	case "Service":
		return service(o)
	case "Namespace":
		if p := o.str("status", "phase"); p != "Active" {
			return waiting("is %s, not Active", orNone(p))
		}
		return state{}
	case "CustomResourceDefinition.apiextensions.k8s.io":
		return definition(o)
	case "APIService.apiregistration.k8s.io":
		return byCondition(o, "Available")
	default:
		if phaseOf(kind) == customs {
			return custom(o)
		}
		return state{}
	}
}

func deployment(o *Object) state {
	want, updated := o.replicas(), o.num("status", "updatedReplicas")
	progressing, failure := o.condition("Progressing"), o.condition("ReplicaFailure")
	switch {
	case o.unseen():
		return waiting("waits for the cluster to see the change")
	case o.flag("spec", "paused"):
		return state{}
	case progressing.reason == "ProgressDeadlineExceeded":
		return failing(fatal, "%s", progressing.message)
	case failure.status == "True":
		return failing(stuck, "its pods can't be made: %s", failure.message)
	case updated < want:
		return waiting("%d of %d replicas updated", updated, want)
	case o.num("status", "replicas") > updated:
		return waiting("%d of the old replicas are to end", o.num("status", "replicas")-updated)
	}
	return ready(o, o.num("status", "availableReplicas"), want)
}

func ready(o *Object, n, want int64) state {
	if o.unseen() {
		return waiting("waits for the cluster to see the change")
	}
	if n < want {
		return waiting("%d of %d replicas ready", n, want)
	}
	return state{}
}

func statefulSet(o *Object) state {
	want := o.replicas()
	st := ready(o, o.num("status", "readyReplicas"), want)
	if st.level != fine || o.str("spec", "updateStrategy", "type") == "OnDelete" {
		return st
	}
	moving := want - min(o.num("spec", "updateStrategy", "rollingUpdate", "partition"), want)
	if updated := o.num("status", "updatedReplicas"); updated < moving {
		return waiting("%d of %d replicas updated", updated, moving)
	}
	return state{}
}

func daemonSet(o *Object) state {
	want := o.num("status", "desiredNumberScheduled")
	switch updated, available := o.num("status", "updatedNumberScheduled"), o.num("status", "numberAvailable"); {
	case o.unseen():
		return waiting("waits for the cluster to see the change")
	case updated < want && o.str("spec", "updateStrategy", "type") != "OnDelete":
		return waiting("updated on %d of %d nodes", updated, want)
	case available < want:
		return waiting("ready on %d of %d nodes", available, want)
	}
	return state{}
}

func job(o *Object) state {
	if f := o.condition("Failed"); f.status == "True" {
		return failing(fatal, "failed: %s", f.message)
	}
	if o.flag("spec", "suspend") || o.condition("Complete").status == "True" {
		return state{}
	}
	want := int64(1)
	if n, ok := o.number("spec", "completions"); ok {
		want = n
	}
	return waiting("%d of %d completed", o.num("status", "succeeded"), want)
}

func pod(o *Object) state {
	switch phase := o.str("status", "phase"); {
	case phase == "Succeeded", o.condition("Ready").status == "True":
		return state{}
	case phase == "Failed":
		return failing(fatal, "failed: %s", orNone(strings.TrimSpace(o.str("status", "reason")+" "+o.str("status", "message"))))
	default:
		return waiting("is %s", orNone(phase))
	}
}

func claim(o *Object) state {
	switch phase := o.str("status", "phase"); phase {
	case "Bound":
		return state{}
	case "Lost":
		return failing(fatal, "its volume %s is gone", o.str("spec", "volumeName"))
	}
	return waiting("no volume is bound to it")
}

func volume(o *Object) state {
	switch phase := o.str("status", "phase"); phase {
	case "Available", "Bound":
		return state{}
	case "Failed":
		return failing(fatal, "failed: %s", o.str("status", "message"))
	case "Released":
		return failing(stuck, "was released by the claim that had it, and is not free for another: remove its spec.claimRef, or the volume")
	default:
		return waiting("is %s", orNone(phase))
	}
}

func service(o *Object) state {
	if o.str("spec", "type") != "LoadBalancer" {
		return state{}
	}
	if list, _, _ := unstructured.NestedSlice(o.Object, "status", "loadBalancer", "ingress"); len(list) > 0 {
		return state{}
	}
	return failing(slow, "it has no address yet; a cluster without load balancers never gives one: use a NodePort or an Ingress there")
}

func definition(o *Object) state {
	if names := o.condition("NamesAccepted"); names.status == "False" {
		return failing(fatal, "its names are taken: %s", names.message)
	}
	return byCondition(o, "Established")
}

func byCondition(o *Object, name string) state {
	if c := o.condition(name); c.status != "True" {
		return waiting("is not %s yet %s", name, c.message)
	}
	return state{}
}

// custom follows what kinds of others have in common: a generation that was seen, and
// conditions Ready and Stalled.
func custom(o *Object) state {
	if _, ok := o.number("status", "observedGeneration"); ok && o.unseen() {
		return waiting("waits for its controller to see the change")
	}
	if s := o.condition("Stalled"); s.status == "True" {
		return failing(fatal, "stalled: %s", s.message)
	}
	if r := o.condition("Ready"); r.status != "" && r.status != "True" {
		return waiting("is not ready: %s", orNone(r.message))
	}
	return state{}
}

// unseen reports whether the controller has not seen the last change.
func (o *Object) unseen() bool { return o.num("status", "observedGeneration") < o.GetGeneration() }

func (o *Object) replicas() int64 {
	if n, ok := o.number("spec", "replicas"); ok {
		return n
	}
	return 1
}

func (o *Object) number(path ...string) (int64, bool) {
	n, ok, err := unstructured.NestedInt64(o.Object, path...)
	return n, ok && err == nil
}

func (o *Object) num(path ...string) int64 { n, _ := o.number(path...); return n }

// str and flag give the zero value for what is not there or of another type.
func (o *Object) str(path ...string) string {
	s, _, _ := unstructured.NestedString(o.Object, path...)
	return s
}

func (o *Object) flag(path ...string) bool {
	b, _, _ := unstructured.NestedBool(o.Object, path...)
	return b
}

// condition is an entry of status.conditions; all empty if there is none.
type condition struct{ status, reason, message string }

func (o *Object) condition(name string) condition {
	list, _, _ := unstructured.NestedSlice(o.Object, "status", "conditions")
	i := slices.IndexFunc(list, func(v any) bool { m, ok := v.(map[string]any); return ok && m["type"] == name })
	if i < 0 {
		return condition{}
	}
	c := Object{Unstructured: &unstructured.Unstructured{Object: list[i].(map[string]any)}}
	return condition{c.str("status"), c.str("reason"), c.str("message")}
}

func orNone(s string) string {
	if s == "" {
		return "unknown"
	}
	return s
}

func (o *Object) strs(path ...string) []string {
	list, _, _ := unstructured.NestedStringSlice(o.Object, path...)
	return list
}
