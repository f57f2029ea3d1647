package openapi

import "strings"

// removal is a version of an API that releases before those of Versions had.
type removal struct {
	apiVersion, kinds string // kinds by blanks; "" is all
	since, instead    string // instead: the apiVersion to write, or what to do
}

// removals are those of the project's deprecation guide.
var removals = []removal{
	{"extensions/v1beta1", "Deployment DaemonSet ReplicaSet", "1.16", "apps/v1"},
	{"apps/v1beta1", "", "1.16", "apps/v1"},
	{"apps/v1beta2", "", "1.16", "apps/v1"},
	{"extensions/v1beta1", "NetworkPolicy", "1.16", "networking.k8s.io/v1"},
	{"extensions/v1beta1", "PodSecurityPolicy", "1.16", ""},
	{"extensions/v1beta1", "Ingress", "1.22", "networking.k8s.io/v1"},
	{"networking.k8s.io/v1beta1", "Ingress IngressClass", "1.22", "networking.k8s.io/v1"},
	{"admissionregistration.k8s.io/v1beta1", "MutatingWebhookConfiguration ValidatingWebhookConfiguration", "1.22", "admissionregistration.k8s.io/v1"},
	{"apiextensions.k8s.io/v1beta1", "", "1.22", "apiextensions.k8s.io/v1"},
	{"apiregistration.k8s.io/v1beta1", "", "1.22", "apiregistration.k8s.io/v1"},
	{"authentication.k8s.io/v1beta1", "TokenReview", "1.22", "authentication.k8s.io/v1"},
	{"authorization.k8s.io/v1beta1", "", "1.22", "authorization.k8s.io/v1"},
	{"certificates.k8s.io/v1beta1", "CertificateSigningRequest", "1.22", "certificates.k8s.io/v1"},
	{"coordination.k8s.io/v1beta1", "Lease", "1.22", "coordination.k8s.io/v1"},
	{"rbac.authorization.k8s.io/v1alpha1", "", "1.22", "rbac.authorization.k8s.io/v1"},
	{"rbac.authorization.k8s.io/v1beta1", "", "1.22", "rbac.authorization.k8s.io/v1"},
	{"scheduling.k8s.io/v1alpha1", "PriorityClass", "1.22", "scheduling.k8s.io/v1"},
	{"scheduling.k8s.io/v1beta1", "PriorityClass", "1.22", "scheduling.k8s.io/v1"},
	{"storage.k8s.io/v1beta1", "CSIDriver CSINode StorageClass VolumeAttachment", "1.22", "storage.k8s.io/v1"},
	{"batch/v2alpha1", "CronJob", "1.21", "batch/v1"},
	{"batch/v1beta1", "CronJob", "1.25", "batch/v1"},
	{"discovery.k8s.io/v1beta1", "EndpointSlice", "1.25", "discovery.k8s.io/v1"},
	{"events.k8s.io/v1beta1", "Event", "1.25", "events.k8s.io/v1"},
	{"autoscaling/v2beta1", "HorizontalPodAutoscaler", "1.25", "autoscaling/v2"},
	{"policy/v1beta1", "PodDisruptionBudget", "1.25", "policy/v1"},
	{"policy/v1beta1", "PodSecurityPolicy", "1.25", ""},
	{"node.k8s.io/v1beta1", "RuntimeClass", "1.25", "node.k8s.io/v1"},
	{"autoscaling/v2beta2", "HorizontalPodAutoscaler", "1.26", "autoscaling/v2"},
	{"flowcontrol.apiserver.k8s.io/v1beta1", "", "1.26", "flowcontrol.apiserver.k8s.io/v1"},
	{"storage.k8s.io/v1beta1", "CSIStorageCapacity", "1.27", "storage.k8s.io/v1"},
	{"flowcontrol.apiserver.k8s.io/v1beta2", "", "1.29", "flowcontrol.apiserver.k8s.io/v1"},
	{"flowcontrol.apiserver.k8s.io/v1beta3", "", "1.32", "flowcontrol.apiserver.k8s.io/v1"},
}

// Removed tells since which release a kind is no longer served under an apiVersion,
// and which one to write instead; instead is "" if there is none.
func Removed(apiVersion, kind string) (since, instead string, ok bool) {
	for _, r := range removals {
		if r.apiVersion == apiVersion && (r.kinds == "" || strings.Contains(" "+r.kinds+" ", " "+kind+" ")) {
			return r.since, r.instead, true
		}
	}
	return "", "", false
}

// Named returns the kinds of a name in any group and version that are in all of set.
func Named(kind string, set Set) []*Kind {
	var out []*Kind
	for _, k := range Kinds() {
		if k.Name == kind && k.In.Has(set) {
			out = append(out, k)
		}
	}
	return out
}
