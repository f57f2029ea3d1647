package cluster

import (
	"slices"

	"k8s.io/apimachinery/pkg/runtime/schema"
)

// phase is when a kind is applied; kinds of one phase go side by side, and what is
// removed goes in reverse.
type phase int

const (
	namespaces  phase = iota // waited for: the rest is inside
	definitions              // waited for: the rest may be of these kinds
	settings                 // what workloads refer to
	workloads
	access  // what refers to workloads
	customs // kinds that the cluster's own definitions added
	hooks   // what steps into every later request
	phases  // their number
)

// builtin are the kinds of Kubernetes that are no settings.
var builtin = map[schema.GroupKind]phase{
	{Kind: "Namespace"}: namespaces,
	{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}: definitions,

	{Kind: "Pod"}:                        workloads,
	{Kind: "ReplicationController"}:      workloads,
	{Group: "apps", Kind: "Deployment"}:  workloads,
	{Group: "apps", Kind: "StatefulSet"}: workloads,
	{Group: "apps", Kind: "DaemonSet"}:   workloads,
	{Group: "apps", Kind: "ReplicaSet"}:  workloads,
	{Group: "batch", Kind: "Job"}:        workloads,
	{Group: "batch", Kind: "CronJob"}:    workloads,

	{Kind: "Service"}:   access,
	{Kind: "Endpoints"}: access,
	{Group: "discovery.k8s.io", Kind: "EndpointSlice"}:                                access,
	{Group: "networking.k8s.io", Kind: "Ingress"}:                                     access,
	{Group: "autoscaling", Kind: "HorizontalPodAutoscaler"}:                           access,
	{Group: "policy", Kind: "PodDisruptionBudget"}:                                    access,
	{Group: "apiregistration.k8s.io", Kind: "APIService"}:                             hooks,
	{Group: "admissionregistration.k8s.io", Kind: "MutatingWebhookConfiguration"}:     hooks,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingWebhookConfiguration"}:   hooks,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicy"}:        hooks,
	{Group: "admissionregistration.k8s.io", Kind: "ValidatingAdmissionPolicyBinding"}: hooks,
	{Group: "admissionregistration.k8s.io", Kind: "MutatingAdmissionPolicy"}:          hooks,
	{Group: "admissionregistration.k8s.io", Kind: "MutatingAdmissionPolicyBinding"}:   hooks,
}

func phaseOf(kind schema.GroupKind) phase {
	if p, ok := builtin[kind]; ok {
		return p
	}
	switch kind.Group {
	case "", "apps", "batch", "autoscaling", "policy",
		"rbac.authorization.k8s.io", "storage.k8s.io", "networking.k8s.io", "scheduling.k8s.io", "node.k8s.io",
		"certificates.k8s.io", "coordination.k8s.io", "flowcontrol.apiserver.k8s.io", "resource.k8s.io", "storagemigration.k8s.io":
		return settings
	}
	return customs
}

// The kinds that are treated in a way of their own.
var (
	namespaceKind  = schema.GroupKind{Kind: "Namespace"}
	definitionKind = schema.GroupKind{Group: "apiextensions.k8s.io", Kind: "CustomResourceDefinition"}
	secretKind     = schema.GroupKind{Kind: "Secret"}
	configMapKind  = schema.GroupKind{Kind: "ConfigMap"}
	podKind        = schema.GroupKind{Kind: "Pod"}
	claimKind      = schema.GroupKind{Kind: "PersistentVolumeClaim"}
	volumeKind     = schema.GroupKind{Kind: "PersistentVolume"}
)

// holdsData reports whether what is in an object of the kind is lost with it.
func holdsData(kind schema.GroupKind) bool {
	return kind == claimKind || kind == volumeKind || kind == namespaceKind || kind == definitionKind
}

// InOrder sorts objects as they are applied.
func InOrder(list []*Object) []*Object {
	list = slices.Clone(list)
	slices.SortStableFunc(list, func(a, b *Object) int { return int(phaseOf(a.ID().Kind)) - int(phaseOf(b.ID().Kind)) })
	return list
}

// Loss words what is lost with an object, "" if it is made anew at any time.
func (o *Object) Loss() string {
	switch o.ID().Kind {
	case claimKind, volumeKind:
		return ", with its data if its volume is not kept"
	case namespaceKind:
		return ", with all that is in it"
	case definitionKind:
		return ", with all objects of that kind"
	}
	return ""
}
