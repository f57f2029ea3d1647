package cluster

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
)

var (
	podResource   = resource{gvr: schema.GroupVersionResource{Version: "v1", Resource: "pods"}, kind: podKind, namespaced: true}
	eventResource = resource{gvr: schema.GroupVersionResource{Version: "v1", Resource: "events"}, namespaced: true}
	setResource   = resource{gvr: schema.GroupVersionResource{Group: "apps", Version: "v1", Resource: "replicasets"}, namespaced: true}
	classResource = resource{gvr: schema.GroupVersionResource{Group: "storage.k8s.io", Version: "v1", Resource: "storageclasses"}}
)

// look finds out why an object is not ready, further down than its own status: in its
// pods, their logs, and what the cluster told about them. What can't be read is left
// out; the object's own state is told then.
func (c *Cluster) look(ctx context.Context, o *Object, own state) state {
	switch o.ID().Kind.String() {
	case "Deployment.apps", "StatefulSet.apps", "DaemonSet.apps", "ReplicaSet.apps", "Job.batch":
		return c.lookAtPods(ctx, o, own)
	case "Pod":
		if found := c.podTrouble(ctx, o, false); found.level > own.level || own.level == coming && found.text != "" {
			return found
		}
	case "PersistentVolumeClaim":
		return c.lookAtClaim(ctx, o, own)
	}
	return own
}

// lookAtPods looks at the pods of a workload: the worst of them says why it waits.
func (c *Cluster) lookAtPods(ctx context.Context, o *Object, own state) state {
	if o.unseen() && o.ID().Kind.Kind != "Job" { // which has no generation that was observed
		return own // its pods are of before
	}
	pods, owner, err := c.podsOf(ctx, o)
	if err != nil {
		return own
	}
	if o.ID().Kind.Kind == "StatefulSet" {
		if left := leftBehind(o, pods); left != "" && own.level == coming {
			return failing(stuck, "%s: pod %s is of the revision before and not ready, and a StatefulSet does not replace such a pod: remove it with kubectl delete pod %[2]s -n %s", own.text, left, o.GetNamespace())
		}
		pods = slices.DeleteFunc(pods, func(p *Object) bool { return !updated(o, p) })
	}
	if len(pods) == 0 {
		for _, uid := range []types.UID{owner, o.GetUID()} { // of a quota, a StatefulSet tells in events only
			if text := c.lastWarning(ctx, o.GetNamespace(), uid); text != "" && own.level == coming {
				return failing(stuck, "its pods can't be made: %s", text)
			}
		}
		return own
	}
	worst := state{}
	name := ""
	for _, p := range pods {
		if t := c.podTrouble(ctx, p, o.ID().Kind.Kind == "Job"); t.level > worst.level {
			worst, name = t, p.GetName()
		}
	}
	if own.level == fatal { // the workload has given up: a pod says why
		if worst.text != "" {
			own.text, own.log = own.text+"; pod "+name+": "+worst.text, worst.log
		}
		return own
	}
	if worst.level > own.level {
		worst.text = own.text + ": pod " + name + ": " + worst.text
		return worst
	}
	return own
}

// leftBehind names a pod of an old revision that keeps a StatefulSet from going on: it
// waits for each pod to be ready before it replaces the next, and that one never will be.
func leftBehind(o *Object, pods []*Object) string {
	if o.str("spec", "podManagementPolicy") == "Parallel" || o.str("spec", "updateStrategy", "type") == "OnDelete" {
		return ""
	}
	for _, p := range pods {
		if !updated(o, p) && p.condition("Ready").status != "True" {
			return p.GetName()
		}
	}
	return ""
}

// updated reports whether a pod is of a StatefulSet's newest revision.
func updated(o, pod *Object) bool {
	return pod.GetLabels()["controller-revision-hash"] == o.str("status", "updateRevision")
}

// podsOf lists the pods of a workload, of its newest revision if it is a Deployment, and
// the UID of what makes them.
func (c *Cluster) podsOf(ctx context.Context, o *Object) ([]*Object, types.UID, error) {
	selector := selectorOf(o)
	if selector == "" {
		return nil, "", nil
	}
	owner := o.GetUID()
	if o.ID().Kind.Kind == "Deployment" {
		sets, err := c.list(ctx, setResource, o.GetNamespace(), selector)
		if err != nil {
			return nil, "", err
		}
		newest := int64(-1)
		for _, s := range sets {
			n, _ := strconv.ParseInt(s.GetAnnotations()["deployment.kubernetes.io/revision"], 10, 64)
			if ownedBy(s, o.GetUID()) && n > newest {
				newest, owner = n, s.GetUID()
			}
		}
	}
	all, err := c.list(ctx, podResource, o.GetNamespace(), selector)
	if err != nil {
		return nil, "", err
	}
	pods := slices.DeleteFunc(all, func(p *Object) bool {
		return !ownedBy(p, owner) || p.GetDeletionTimestamp() != nil
	})
	slices.SortFunc(pods, func(a, b *Object) int { return strings.Compare(a.GetName(), b.GetName()) })
	return pods, owner, nil
}

func ownedBy(o *Object, uid types.UID) bool {
	return slices.ContainsFunc(o.GetOwnerReferences(), func(r metav1.OwnerReference) bool { return r.UID == uid })
}

func selectorOf(o *Object) string {
	m, ok, err := unstructured.NestedMap(o.Object, "spec", "selector")
	if !ok || err != nil {
		return ""
	}
	var s metav1.LabelSelector
	if err := fromMap(m, &s); err != nil {
		return ""
	}
	return metav1.FormatLabelSelector(&s)
}

// podTrouble tells what is wrong with a pod, with the last lines of a container that
// fails. In a Job a pod may end.
func (c *Cluster) podTrouble(ctx context.Context, p *Object, ofJob bool) state {
	if s := p.condition("PodScheduled"); s.status == "False" {
		return failing(slow, "can't be scheduled: %s", s.message)
	}
	var containers []container
	for _, list := range []string{"initContainerStatuses", "containerStatuses"} {
		entries, _, _ := unstructured.NestedSlice(p.Object, "status", list)
		for _, e := range entries {
			if m, ok := e.(map[string]any); ok {
				containers = append(containers, container{Object{Unstructured: &unstructured.Unstructured{Object: m}}})
			}
		}
	}
	worst := state{}
	var at container
	for _, ct := range containers {
		if t := ct.trouble(); t.level > worst.level {
			worst, at = t, ct
		}
	}
	switch {
	case worst.level == fine && p.str("status", "phase") == "Failed" && !ofJob:
		return failing(fatal, "failed: %s", orNone(strings.TrimSpace(p.str("status", "reason")+" "+p.str("status", "message"))))
	case worst.level == fine && p.condition("Ready").status != "True":
		if text := c.lastWarning(ctx, p.GetNamespace(), p.GetUID()); text != "" {
			return failing(slow, "%s", text) // a volume that can't be mounted, a probe that fails
		}
		return state{}
	}
	if at.ended() {
		worst.log = c.logTail(ctx, p, at.str("name"))
	}
	if at.imageOnly() {
		if text := c.lastWarning(ctx, p.GetNamespace(), p.GetUID()); strings.Contains(text, "image") {
			worst.text += ": " + text
		}
	}
	return worst
}

// container is the status of a container.
type container struct{ Object }

func (ct container) trouble() state {
	name := ct.str("name")
	why, message := ct.str("state", "waiting", "reason"), ct.str("state", "waiting", "message")
	switch why {
	case "ImagePullBackOff", "ErrImagePull", "InvalidImageName", "ErrImageNeverPull", "ImageInspectError", "RegistryUnavailable", "SignatureValidationFailed":
		l := stuck
		if why == "InvalidImageName" {
			l = fatal
		}
		return failing(l, "image %s can't be pulled (%s)%s", ct.str("image"), why, after(": ", message))
	case "CreateContainerConfigError", "CreateContainerError", "RunContainerError", "PostStartHookError", "PreCreateHookError":
		return failing(stuck, "container %s can't start (%s)%s", name, why, after(": ", message))
	case "CrashLoopBackOff":
		return failing(stuck, "container %s ends each time it is started%s, %d times now", name, ct.exit("lastState"), ct.num("restartCount"))
	}
	if code, ok := ct.number("state", "terminated", "exitCode"); ok && code != 0 {
		return failing(slow, "container %s ended%s", name, ct.exit("state"))
	}
	return state{}
}

// exit words how a container ended.
func (ct container) exit(of string) string {
	code, ok := ct.number(of, "terminated", "exitCode")
	if !ok {
		return ""
	}
	if ct.str(of, "terminated", "reason") == "OOMKilled" {
		return " since it takes more memory than its limit"
	}
	return fmt.Sprintf(" with exit code %d%s", code, after(": ", ct.str(of, "terminated", "message")))
}

// ended reports whether there is a log of a container that is no more.
func (ct container) ended() bool {
	if ct.Unstructured == nil {
		return false
	}
	_, now := ct.number("state", "terminated", "exitCode")
	return now || ct.str("state", "waiting", "reason") == "CrashLoopBackOff"
}

// imageOnly reports whether the kubelet says no more than that it waits before it pulls
// once more.
func (ct container) imageOnly() bool {
	if ct.Unstructured == nil || ct.str("state", "waiting", "reason") != "ImagePullBackOff" {
		return false
	}
	return !strings.Contains(ct.str("state", "waiting", "message"), "rr") // no error in it
}

func after(sep, text string) string {
	if text == "" {
		return ""
	}
	return sep + strings.TrimSpace(text)
}

// lastWarning is the last thing that the cluster complained about of an object.
func (c *Cluster) lastWarning(ctx context.Context, ns string, uid types.UID) string {
	return c.lastEvent(ctx, ns, uid, "type=Warning,")
}

func (c *Cluster) lastEvent(ctx context.Context, ns string, uid types.UID, selector string) string {
	if uid == "" {
		return ""
	}
	list, err := c.in(eventResource, ns).List(ctx, metav1.ListOptions{FieldSelector: selector + "involvedObject.uid=" + string(uid)})
	if err != nil || len(list.Items) == 0 {
		return ""
	}
	last := slices.MaxFunc(list.Items, func(a, b unstructured.Unstructured) int { return cmp.Compare(when(&a), when(&b)) })
	o := Object{Unstructured: &last}
	return o.str("message")
}

// when an event was, in RFC 3339, which sorts.
func when(u *unstructured.Unstructured) string {
	o := Object{Unstructured: u}
	for _, t := range []string{o.str("series", "lastObservedTime"), o.str("lastTimestamp"), o.str("eventTime")} {
		if t != "" {
			return t
		}
	}
	return o.str("metadata", "creationTimestamp")
}

// tailLines is how many lines of a log are shown.
const tailLines = 10

// logTail reads the last lines of a container: of the one that ended, if it was
// started again.
func (c *Cluster) logTail(ctx context.Context, p *Object, name string) []string {
	for _, previous := range []string{"true", "false"} {
		b, err := c.raw.Get().AbsPath("/api/v1/namespaces", p.GetNamespace(), "pods", p.GetName(), "log").
			Param("container", name).Param("previous", previous).Param("tailLines", strconv.Itoa(tailLines)).Param("limitBytes", "16384").
			Do(ctx).Raw()
		if err == nil && len(strings.TrimSpace(string(b))) > 0 {
			return strings.Split(strings.TrimRight(string(b), "\n"), "\n")
		}
	}
	return nil
}

// lookAtClaim tells why no volume is bound. One that is bound only when a pod uses it
// is as it should be.
func (c *Cluster) lookAtClaim(ctx context.Context, o *Object, own state) state {
	if own.level != coming {
		return own
	}
	if name := o.str("spec", "storageClassName"); name != "" {
		class, err := c.fetch(ctx, classResource, "", name)
		if err != nil && apiStatus(err) != nil && apiStatus(err).Code == 404 && o.str("spec", "volumeName") == "" {
			own = failing(slow, "no volume is bound to it: there is no StorageClass %s to make one, so a PersistentVolume of that class has to be there", name)
		}
		if err == nil && (&Object{Unstructured: class}).str("volumeBindingMode") == "WaitForFirstConsumer" {
			return state{}
		}
	}
	// That there is no volume is no warning to the cluster.
	if text := c.lastEvent(ctx, o.GetNamespace(), o.GetUID(), ""); text != "" {
		return failing(slow, "no volume is bound to it: %s", text)
	}
	return own
}
