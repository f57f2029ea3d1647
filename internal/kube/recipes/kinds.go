package recipes

import "strings"

// This file lists what a function of k8s.star has that the fields of its kind don't tell:
// arguments that become several fields, values that come from others, labels.

// kind is a function of k8s.star: what its kind has beyond the fields of the API.
type kind struct {
	function, apiVersion, name, doc string
	spec                            bool // the fields are those of spec
	positional, keyword             []parameter
	values                          map[string]string // by field: the expression that is its value
	also                            map[string]bool   // fields that are arguments although they have a value
	before                          string            // statements before the object is made
	labels                          string            // expression
}

func (k kind) nameDoc() string {
	if k.before != "" && strings.Contains(k.before, "_pods(") {
		return "of the object, its container and its pods' label; a DNS label."
	}
	return "of the object."
}

var (
	labelsArg    = parameter{"labels", "None", "dict of more labels, for the object and its pods."}
	namespaceArg = parameter{"namespace", "None", "None for the one that kubectl uses."}
	podArgs      = []parameter{
		{"ports", "None", "dict of further TCP ports on which the container listens, by name."},
		{"mounts", "None", "dict of what the container sees, by path: a ConfigMap, Secret or PersistentVolumeClaim as a dict, with a key after it, (config, \"nginx.conf\"), one file of it; a source such as {\"emptyDir\": {}}; the name of a volume of pod or of a claim's template."},
		{"containers", "None", "list of further containers, as dicts."},
		{"init_containers", "None", "list of containers that run before, as dicts."},
		{"service_account", "None", "the ServiceAccount of the pods, as a dict or its name."},
		{"pod", "None", "dict of further fields of the pods' spec, in camelCase."},
		{"pod_annotations", "None", "dict of annotations of the pods."},
	}
)

// workload makes a kind that has pods.
func workload(function, apiVersion, name, doc string, replicas bool, restart string) kind {
	k := kind{function: function, apiVersion: apiVersion, name: name, doc: doc, spec: true, labels: "labels"}
	k.positional = []parameter{
		{"image", "None", "reference of the image; use image.ref, which has its digest. None if containers has them all."},
		{"port", "None", "TCP port on which the container listens, named main; None for none."},
	}
	if replicas {
		k.positional = append(k.positional, parameter{"replicas", "1", "how many pods."})
	}
	k.positional = append(k.positional,
		parameter{"command", "None", "list that replaces the image's entrypoint."},
		parameter{"args", "None", "list that replaces the image's command."},
		parameter{"env", "None", "dict of environment variables: strings, or what from_secret, from_config and from_field return."},
		labelsArg, namespaceArg,
		parameter{"resources", "None", "dict with \"requests\" and \"limits\", each of names to quantities."},
		parameter{"probe", "None", "path that answers GET on the port once the container is ready, or a Probe as a dict."},
	)
	k.keyword = podArgs
	restartPolicy := "None"
	if restart != "" {
		k.keyword = append(k.keyword[:len(k.keyword):len(k.keyword)], parameter{"restart_policy", `"` + restart + `"`, "of the pods: \"OnFailure\" or \"Never\"."})
		restartPolicy = "restart_policy"
	}
	k.before = "labels = app_labels(name) | (labels or {})\n" +
		"pods = _pods(name, labels, image, port, ports, command, args, env, resources, probe, mounts, containers, init_containers, service_account, " + restartPolicy + ", pod, pod_annotations)\n"
	k.values = map[string]string{"template": "template or pods", "selector": `selector or {"matchLabels": app_labels(name)}`}
	k.also = map[string]bool{"template": true, "selector": true}
	return k
}

var kinds = makeKinds()

func makeKinds() []kind {
	job := workload("job", "batch/v1", "Job", "A Job: pods that run to their end, once.", false, "OnFailure")
	job.values = map[string]string{"template": "template or pods"}
	cron := workload("cron_job", "batch/v1", "CronJob", "A CronJob: a Job at set times.", false, "OnFailure")
	cron.positional = append([]parameter{{"schedule", "", "when: five fields, minute hour day-of-month month day-of-week, or @daily and the like."}}, cron.positional...)
	cron.values = map[string]string{"jobTemplate": `job_template or {"spec": {"template": pods}}`}
	cron.also = map[string]bool{"jobTemplate": true}
	stateful := workload("stateful_set", "apps/v1", "StatefulSet", "A StatefulSet: pods with names and volumes that stay.", true, "")
	stateful.keyword = append(stateful.keyword[:len(stateful.keyword):len(stateful.keyword)],
		parameter{"claims", "None", "dict of claims that each pod has its own of, by path: a PersistentVolumeClaim as a dict (its name is that of the volume)."},
		parameter{"service_name", "None", "the headless Service of the pods, as a dict or its name; name if None."})
	stateful.before = strings.Replace(stateful.before, "pods = ", `if claims:
    mounts = (mounts or {}) | {p: name_of(c) for p, c in claims.items()}
    volume_claim_templates = (volume_claim_templates or []) + [{"metadata": c["metadata"], "spec": c["spec"]} for c in claims.values()]
pods = `, 1)
	stateful.values["serviceName"] = "name_of(service_name or name)"
	return []kind{
		workload("deployment", "apps/v1", "Deployment", "A Deployment: pods that are all alike.", true, ""),
		stateful,
		workload("daemon_set", "apps/v1", "DaemonSet", "A DaemonSet: a pod on every node.", false, ""),
		job, cron,
		{
			function: "service", apiVersion: "v1", name: "Service", doc: "A Service in front of the pods of a deployment.", spec: true,
			positional: []parameter{
				{"port", "None", "TCP port on which the Service listens, named main; None if ports has them."},
				{"target_port", "None", "port of the pods, a number or a name; the same as port if None."},
				{"type", `"ClusterIP"`, "\"ClusterIP\", \"NodePort\", \"LoadBalancer\" or \"ExternalName\"."},
				{"node_port", "None", "port on every node (30000 to 32767), for a NodePort."},
				{"app", "None", "name of the deployment whose pods it selects, or itself as a dict; name if None."},
				{"labels", "None", "dict of more labels."}, namespaceArg,
			},
			before: `types = ["ClusterIP", "NodePort", "LoadBalancer", "ExternalName"]
if type not in types:
    fail("service %r: got type %r, want one of %s" % (name, type, ", ".join(types)))
if node_port and type == "ClusterIP":
    fail("service %r: node_port needs type = \"NodePort\"" % name)
if port != None:
    ports = [_given({"name": "main", "port": port, "targetPort": target_port or port, "nodePort": node_port, "protocol": "TCP"})] + (ports or [])
`,
			values: map[string]string{"type": "type", "selector": `selector if selector != None or type == "ExternalName" else app_labels(name_of(app or name))`},
			also:   map[string]bool{"selector": true},
			labels: "app_labels(name) | (labels or {})",
		},
		{
			function: "ingress", apiVersion: "networking.k8s.io/v1", name: "Ingress", doc: "An Ingress: HTTP from outside to Services.", spec: true,
			positional: []parameter{
				{"paths", "None", "dict of Services by path: as dicts, or (service, port)."},
				{"host", "None", "the name that the paths are for; None for all."},
			},
			before: "if paths:\n    rules = _path_rules(host, paths) + (rules or [])\n",
		},
		{
			function: "config_map", apiVersion: "v1", name: "ConfigMap", doc: "A ConfigMap under a fixed name; config_map_from has one that follows its content.",
			positional: []parameter{{"data", "None", "dict of keys to strings or file(…)."}},
		},
		{
			function: "secret", apiVersion: "v1", name: "Secret", doc: "A Secret under a fixed name; secret_from has one that follows its content. Load it under another name where the builtin secret is used.",
			positional: []parameter{{"string_data", "None", "dict of keys to secret(…), strings, or lists of both that are joined."}},
		},
		{
			function: "pvc", apiVersion: "v1", name: "PersistentVolumeClaim", doc: "A PersistentVolumeClaim.", spec: true,
			positional: []parameter{
				{"size", "None", "how much, as in \"1Gi\"."},
				{"access_modes", `["ReadWriteOnce"]`, "\"ReadWriteOnce\", \"ReadOnlyMany\", \"ReadWriteMany\" or \"ReadWriteOncePod\"."},
			},
			values: map[string]string{"resources": `resources or ({"requests": {"storage": size}} if size else None)`, "accessModes": "access_modes",
				"volumeName": "name_of(volume) if volume else volume_name", "storageClassName": "storage_class_name if storage_class_name == None else name_of(storage_class_name)"},
			also:    map[string]bool{"resources": true, "volumeName": true, "storageClassName": true},
			keyword: []parameter{{"volume", "None", "the PersistentVolume that it is for, as a dict."}},
		},
		{
			function: "pv", apiVersion: "v1", name: "PersistentVolume", doc: "A PersistentVolume.", spec: true,
			positional: []parameter{
				{"size", "None", "how much, as in \"10Gi\"."},
				{"access_modes", `["ReadWriteOnce"]`, "what it can do: \"ReadWriteOnce\", \"ReadOnlyMany\", \"ReadWriteMany\" or \"ReadWriteOncePod\"."},
			},
			values: map[string]string{"capacity": `capacity or ({"storage": size} if size else None)`, "accessModes": "access_modes"},
			also:   map[string]bool{"capacity": true},
		},
		{function: "storage_class", apiVersion: "storage.k8s.io/v1", name: "StorageClass", doc: "A StorageClass."},
		{function: "namespace", apiVersion: "v1", name: "Namespace", doc: "A Namespace.", spec: true},
		{function: "service_account", apiVersion: "v1", name: "ServiceAccount", doc: "A ServiceAccount."},
		{function: "role", apiVersion: "rbac.authorization.k8s.io/v1", name: "Role", doc: "A Role: what may be done in a namespace.",
			positional: []parameter{{"rules", "None", "list of PolicyRule: {\"apiGroups\": [\"\"], \"resources\": [\"pods\"], \"verbs\": [\"get\"]}."}}},
		{function: "cluster_role", apiVersion: "rbac.authorization.k8s.io/v1", name: "ClusterRole", doc: "A ClusterRole: what may be done in the cluster.",
			positional: []parameter{{"rules", "None", "list of PolicyRule: {\"apiGroups\": [\"\"], \"resources\": [\"nodes\"], \"verbs\": [\"get\"]}."}}},
		binding("role_binding", "RoleBinding", "A RoleBinding: who has a role in a namespace.", "Role", "namespace"),
		binding("cluster_role_binding", "ClusterRoleBinding", "A ClusterRoleBinding: who has a role in the cluster.", "ClusterRole", "None"),
		{
			function: "network_policy", apiVersion: "networking.k8s.io/v1", name: "NetworkPolicy", doc: "A NetworkPolicy: who may talk to the pods of a deployment.", spec: true,
			positional: []parameter{{"app", "None", "name of the deployment, or itself as a dict; None for pod_selector, and for all pods if that is None too."}},
			values:     map[string]string{"podSelector": `{"matchLabels": app_labels(name_of(app))} if app else (pod_selector or {})`},
			also:       map[string]bool{"podSelector": true},
		},
		{
			function: "hpa", apiVersion: "autoscaling/v2", name: "HorizontalPodAutoscaler", doc: "A HorizontalPodAutoscaler.", spec: true,
			positional: []parameter{
				{"target", "None", "what it scales, as a dict: a deployment, say."},
				{"max_replicas", "None", "how many pods at most."},
				{"min_replicas", "None", "how many pods at least; 1 if None."},
				{"cpu", "None", "percentage of the requested CPU time that the pods are to use."},
			},
			before: "if cpu:\n    metrics = [{\"type\": \"Resource\", \"resource\": {\"name\": \"cpu\", \"target\": {\"type\": \"Utilization\", \"averageUtilization\": cpu}}}] + (metrics or [])\n",
			values: map[string]string{"scaleTargetRef": `scale_target_ref or {"apiVersion": target["apiVersion"], "kind": target["kind"], "name": name_of(target)}`},
			also:   map[string]bool{"scaleTargetRef": true},
		},
		{
			function: "pdb", apiVersion: "policy/v1", name: "PodDisruptionBudget", doc: "A PodDisruptionBudget.", spec: true,
			positional: []parameter{{"app", "None", "name of the deployment, or itself as a dict; name if None."}},
			values:     map[string]string{"selector": `selector or {"matchLabels": app_labels(name_of(app or name))}`},
			also:       map[string]bool{"selector": true},
		},
		{function: "priority_class", apiVersion: "scheduling.k8s.io/v1", name: "PriorityClass", doc: "A PriorityClass."},
		{function: "ingress_class", apiVersion: "networking.k8s.io/v1", name: "IngressClass", doc: "An IngressClass.", spec: true},
		{function: "resource_quota", apiVersion: "v1", name: "ResourceQuota", doc: "A ResourceQuota: how much a namespace may use.", spec: true},
		{function: "limit_range", apiVersion: "v1", name: "LimitRange", doc: "A LimitRange: what a pod of a namespace may use.", spec: true},
		{function: "pod", apiVersion: "v1", name: "Pod", doc: "A Pod by itself; mostly a Deployment or a Job is what is wanted.", spec: true},
		{function: "crd", apiVersion: "apiextensions.k8s.io/v1", name: "CustomResourceDefinition", doc: "A CustomResourceDefinition; its name is PLURAL.GROUP.", spec: true},
	}
}

func binding(function, name, doc, roleKind, namespace string) kind {
	return kind{
		function: function, apiVersion: "rbac.authorization.k8s.io/v1", name: name, doc: doc,
		positional: []parameter{
			{"role", "None", "the role, as a dict, or the name of a " + roleKind + "."},
			{"subjects", "None", "list of ServiceAccounts, or of Subjects, as dicts."},
		},
		values: map[string]string{"roleRef": `role_ref or _role_ref(role, "` + roleKind + `")`, "subjects": "_subjects(subjects or [], " + namespace + ")"},
		also:   map[string]bool{"roleRef": true},
	}
}
