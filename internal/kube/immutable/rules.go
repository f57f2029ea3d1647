package immutable

import "reflect"

// rule is about one field of a kind.
type rule struct {
	field string // dotted
	// whole is set where what is not said is gone, and not filled in by the server.
	whole bool
	// goes is set where the field itself is gone if it is not said.
	goes bool
	// but are the fields below it that may change.
	but []string
	// fills is what the server fills in where nothing is said.
	fills string
	// moves is set where a field that was not there may be added, or one may be left out.
	moves bool
	// shrinks is set where only a smaller quantity is refused.
	shrinks bool
	// when decides whether the rule holds.
	when func(old, now map[string]any) bool
}

// kinds are the rules, by "group/Kind"; Services have their own (service.go).
var kinds = map[string][]rule{
	"apps/Deployment":         {{field: "spec.selector", whole: true}},
	"apps/DaemonSet":          {{field: "spec.selector", whole: true}},
	"apps/ReplicaSet":         {{field: "spec.selector", whole: true}},
	"apps/StatefulSet":        {{field: "spec.selector", whole: true}, {field: "spec.serviceName", whole: true}, {field: "spec.podManagementPolicy", fills: "OrderedReady"}, {field: "spec.volumeClaimTemplates", goes: true}},
	"apps/ControllerRevision": {{field: "data", whole: true}},
	"batch/Job": {{field: "spec.selector"}, {field: "spec.template", when: runs}, {field: "spec.template", when: suspended, but: directives}, {field: "spec.completionMode", fills: "NonIndexed"},
		{field: "spec.completions", fills: "1", when: counted}, {field: "spec.completions", when: alone}, {field: "spec.podFailurePolicy", whole: true}, {field: "spec.backoffLimitPerIndex", whole: true},
		{field: "spec.successPolicy", whole: true}, {field: "spec.managedBy", whole: true}},
	"/Pod": {{field: "spec", but: []string{"containers[].image", "initContainers[].image", "tolerations", "activeDeadlineSeconds"}}},
	"/PersistentVolumeClaim": {{field: "spec", but: []string{"resources.requests", "volumeAttributesClassName", "volumeName"}}, {field: "spec.volumeName", moves: true},
		{field: "spec.resources.requests.storage", shrinks: true}},
	"/PersistentVolume": {{field: "spec", but: []string{"capacity", "accessModes", "claimRef", "persistentVolumeReclaimPolicy", "storageClassName", "mountOptions", "volumeAttributesClassName", "nodeAffinity"}},
		{field: "spec.nodeAffinity", whole: true, when: bound}},
	"/ConfigMap":                                    {{field: "data", whole: true, when: marked}, {field: "binaryData", whole: true, when: marked}, {field: "immutable", when: marked, fills: "false"}},
	"/Secret":                                       {{field: "type", fills: "Opaque"}, {field: "data", whole: true, when: marked}, {field: "stringData", whole: true, when: marked}, {field: "immutable", when: marked, fills: "false"}},
	"/ResourceQuota":                                {{field: "spec.scopes", whole: true}},
	"storage.k8s.io/StorageClass":                   {{field: "provisioner"}, {field: "parameters", whole: true}, {field: "reclaimPolicy", fills: "Delete"}, {field: "volumeBindingMode", fills: "Immediate"}},
	"storage.k8s.io/CSIDriver":                      {{field: "spec.attachRequired", fills: "true"}, {field: "spec.volumeLifecycleModes", whole: true, when: ephemeral}},
	"storage.k8s.io/CSIStorageCapacity":             {{field: "nodeTopology", whole: true}, {field: "storageClassName"}},
	"storage.k8s.io/VolumeAttachment":               {{field: "spec"}},
	"storage.k8s.io/VolumeAttributesClass":          {{field: "driverName"}, {field: "parameters", whole: true}},
	"rbac.authorization.k8s.io/RoleBinding":         {{field: "roleRef"}},
	"rbac.authorization.k8s.io/ClusterRoleBinding":  {{field: "roleRef"}},
	"scheduling.k8s.io/PriorityClass":               {{field: "value", fills: "0"}, {field: "preemptionPolicy", fills: "PreemptLowerPriority"}},
	"node.k8s.io/RuntimeClass":                      {{field: "handler"}},
	"networking.k8s.io/IngressClass":                {{field: "spec.controller"}},
	"networking.k8s.io/IPAddress":                   {{field: "spec.parentRef"}},
	"networking.k8s.io/ServiceCIDR":                 {{field: "spec.cidrs", when: otherRanges}},
	"discovery.k8s.io/EndpointSlice":                {{field: "addressType"}},
	"resource.k8s.io/ResourceClaim":                 {{field: "spec"}},
	"resource.k8s.io/ResourceClaimTemplate":         {{field: "spec"}},
	"resource.k8s.io/ResourceSlice":                 {{field: "spec.driver"}, {field: "spec.pool.name"}, {field: "spec.nodeName", whole: true}},
	"certificates.k8s.io/ClusterTrustBundle":        {{field: "spec.signerName"}},
	"certificates.k8s.io/CertificateSigningRequest": {{field: "spec"}},
	"apiextensions.k8s.io/CustomResourceDefinition": {{field: "spec.scope"}, {field: "spec.names.kind"}},
}

// defaults are what the server fills in for fields of these names below the rules' own,
// and what it takes for nothing.
var defaults = map[string][]string{
	"imagePullPolicy":               {"Always", "IfNotPresent"}, // by the image's tag
	"terminationMessagePath":        {"/dev/termination-log"},
	"terminationMessagePolicy":      {"File"},
	"protocol":                      {"TCP"},
	"restartPolicy":                 {"Always"},
	"dnsPolicy":                     {"ClusterFirst"},
	"terminationGracePeriodSeconds": {"30"},
	"schedulerName":                 {"default-scheduler"},
	"enableServiceLinks":            {"true"},
	"preemptionPolicy":              {"PreemptLowerPriority"},
	"defaultMode":                   {"420"},
	"timeoutSeconds":                {"1"},
	"periodSeconds":                 {"10"},
	"successThreshold":              {"1"},
	"failureThreshold":              {"3"},
	"initialDelaySeconds":           {"0"},
	"scheme":                        {"HTTP"},
	"apiVersion":                    {"v1"}, // of a fieldRef
	"volumeMode":                    {"Filesystem"},
	"value":                         {""},
	"subPath":                       {""},
	"readOnly":                      {"false"},
	"hostNetwork":                   {"false"},
	"hostPID":                       {"false"},
	"hostIPC":                       {"false"},
	"stdin":                         {"false"},
	"tty":                           {"false"},
}

// directives are what may be changed in the pods of a Job that is suspended.
var directives = []string{"metadata.labels", "metadata.annotations", "spec.nodeSelector", "spec.tolerations", "spec.schedulingGates",
	"spec.affinity.nodeAffinity", "spec.containers[].resources", "spec.initContainers[].resources"}

// marked reports whether a ConfigMap or Secret says of itself that it does not change.
func marked(old, _ map[string]any) bool { on, _ := old["immutable"].(bool); return on }

// suspended reports whether a Job has no pods on purpose.
func suspended(old, _ map[string]any) bool {
	return follow(old, []string{"spec", "suspend"}) == true
}

func runs(old, now map[string]any) bool { return !suspended(old, now) }

// counted reports whether a Job's pods have no indexes: the number of those may change.
func counted(old, _ map[string]any) bool {
	return follow(old, []string{"spec", "completionMode"}) != "Indexed"
}

// alone reports whether a Job's number of indexes is another one than that of pods that
// run at once: the two change together.
func alone(old, now map[string]any) bool {
	completions, parallelism := follow(now, []string{"spec", "completions"}), follow(now, []string{"spec", "parallelism"})
	return !counted(old, now) && completions != nil && !same("", completions, filled(parallelism, "1"))
}

// bound reports whether a volume is on certain nodes.
func bound(old, _ map[string]any) bool {
	return follow(old, []string{"spec", "nodeAffinity"}) != nil
}

// ephemeral reports whether a CSI driver's volumes are not only the usual ones.
func ephemeral(old, now map[string]any) bool {
	path := []string{"spec", "volumeLifecycleModes"}
	usual := []any{"Persistent"}
	list := func(o map[string]any) any {
		if l := follow(o, path); l != nil {
			return l
		}
		return usual
	}
	return !reflect.DeepEqual(list(old), list(now))
}

// otherRanges reports whether a ServiceCIDR has others than before, and not one more: a
// second may be added.
func otherRanges(old, now map[string]any) bool {
	was, _ := follow(old, []string{"spec", "cidrs"}).([]any)
	is, _ := follow(now, []string{"spec", "cidrs"}).([]any)
	return len(was) != 1 || len(is) != 2 || was[0] != is[0]
}
