package k8s

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/util/validation"
)

// checks are what schemas don't say of the kinds, as the API server has it in
// pkg/apis/*/validation.
var checks map[string]func(at, dict)

func init() {
	checks = map[string]func(at, dict){
		"Pod":                      func(a at, d dict) { a.key("spec").pod(sub(d, "spec"), nil) },
		"Deployment":               checkDeployment,
		"ReplicaSet":               checkReplicas,
		"StatefulSet":              checkStatefulSet,
		"DaemonSet":                checkDaemonSet,
		"Job":                      func(a at, d dict) { a.key("spec").job(sub(d, "spec")) },
		"CronJob":                  checkCronJob,
		"Service":                  checkService,
		"Ingress":                  checkIngress,
		"NetworkPolicy":            checkNetworkPolicy,
		"ConfigMap":                checkConfigMap,
		"Secret":                   checkSecret,
		"PersistentVolumeClaim":    checkClaim,
		"PersistentVolume":         checkVolume,
		"Role":                     checkRole,
		"ClusterRole":              checkRole,
		"RoleBinding":              checkBinding,
		"ClusterRoleBinding":       checkBinding,
		"HorizontalPodAutoscaler":  checkAutoscaler,
		"PodDisruptionBudget":      checkBudget,
		"PriorityClass":            checkPriority,
		"LimitRange":               checkLimits,
		"ResourceQuota":            checkQuota,
		"CustomResourceDefinition": checkDefinition,
	}
}

// podTemplate returns the pod template of a workload and its place: of a Pod, itself.
func (o *object) podTemplate(c *checker) (at, dict, bool) {
	a := at{c, o, nil}
	switch o.kind {
	case "Pod":
		return a, o.value, true
	case "Deployment", "ReplicaSet", "StatefulSet", "DaemonSet", "Job", "ReplicationController":
		t, ok := get[dict](sub(o.value, "spec"), "template")
		return a.keys("spec", "template"), t, ok
	case "CronJob":
		t, ok := get[dict](sub(o.value, "spec", "jobTemplate", "spec"), "template")
		return a.keys("spec", "jobTemplate", "spec", "template"), t, ok
	}
	return a, nil, false
}

func (a at) nonNegative(d dict, fields ...string) {
	for _, f := range fields {
		if n, ok := number(d, f); ok && n < 0 {
			a.key(f).fail("", "got %d, want 0 or more", n)
		}
	}
}

// template checks the pods of a workload.
func (a at) template(spec dict, restart []string) {
	t, ok := get[dict](spec, "template")
	if !ok {
		return // the schema has said so
	}
	a = a.key("template")
	meta := sub(t, "metadata")
	a.key("metadata").labels(meta, "labels", true)
	a.key("metadata").labels(meta, "annotations", false)
	if pod, ok := get[dict](t, "spec"); ok {
		a.key("spec").pod(pod, restart)
		if has(pod, "activeDeadlineSeconds") && slices.Contains(restart, "Always") {
			a.keys("spec", "activeDeadlineSeconds").fail("leave it out, or make it a Job", "got activeDeadlineSeconds in a %s, whose pods run on", a.o.kind)
		}
	} else {
		a.fail("", "spec is missing")
	}
}

// selector checks that a workload selects the pods that it makes.
func (a at) selector(spec dict) {
	sel, ok := get[dict](spec, "selector")
	if !ok {
		return
	}
	labels := sub(spec, "template", "metadata", "labels")
	a = a.key("selector")
	a.labelSelector(sel)
	if len(sub(sel, "matchLabels")) == 0 && len(list(sel, "matchExpressions")) == 0 {
		a.fail(`give it matchLabels = {…} with labels of template.metadata.labels`, "the selector is empty")
		return
	}
	for _, e := range sub(sel, "matchLabels") {
		if got, ok := labels.Get(e.Key); !ok || got != e.Value {
			hint := "add it to template.metadata.labels"
			if ok {
				hint = fmt.Sprintf("template.metadata.labels has %s=%v", e.Key, got)
			}
			a.keys("matchLabels", e.Key).fail(hint, "selects pods with %s=%v, which the template does not give them", e.Key, e.Value)
		}
	}
	if expr := list(sel, "matchExpressions"); len(expr) > 0 && len(a.c.problems) == 0 && !matches(sel, labels) {
		a.key("matchExpressions").fail("", "the labels of the template are not selected")
	}
}

// labelSelector checks the form of a selector.
func (a at) labelSelector(sel dict) {
	a.labels(sel, "matchLabels", true)
	a.each(sel, "matchExpressions", func(e at, d dict) {
		op, values := str(d, "operator"), list(d, "values")
		if !e.among(op, values) && op != "" {
			e.key("operator").fail("", "got %q, want one of \"In\", \"NotIn\", \"Exists\", \"DoesNotExist\"%s", op, didYouMean(op, []string{"In", "NotIn", "Exists", "DoesNotExist"}))
		}
		if k := str(d, "key"); k != "" && len(validation.IsQualifiedName(k)) > 0 {
			e.key("key").fail("", "got the key %q, want [PREFIX/]NAME", clip(k))
		}
	})
}

// among checks the values of the operators that labels and nodes have in common, and
// reports whether this is one.
func (a at) among(op string, values []any) bool {
	switch op {
	case "In", "NotIn":
		if len(values) == 0 {
			a.fail("", "values is missing or empty: %s needs some", op)
		}
	case "Exists", "DoesNotExist":
		if len(values) > 0 {
			a.key("values").fail("leave it out", "got values with operator %q", op)
		}
	default:
		return false
	}
	return true
}

var always = []string{"Always", ""}

func checkReplicas(a at, d dict) {
	spec := sub(d, "spec")
	a = a.key("spec")
	a.nonNegative(spec, "replicas", "minReadySeconds", "revisionHistoryLimit")
	a.template(spec, always)
	a.selector(spec)
}

func checkDeployment(a at, d dict) {
	checkReplicas(a, d)
	spec := sub(d, "spec")
	a = a.key("spec")
	a.nonNegative(spec, "progressDeadlineSeconds")
	if deadline, ok := number(spec, "progressDeadlineSeconds"); ok {
		if ready, _ := number(spec, "minReadySeconds"); deadline <= ready {
			a.key("progressDeadlineSeconds").fail("", "got %d, want more than minReadySeconds, %d", deadline, ready)
		}
	}
	strategy := sub(spec, "strategy")
	a.key("strategy").rolling(strategy, "Recreate")
	if r := sub(strategy, "rollingUpdate"); len(r) > 0 {
		at := a.keys("strategy", "rollingUpdate")
		unavailable, okU := at.share(r, "maxUnavailable")
		surge, okS := at.share(r, "maxSurge")
		if okU && okS && unavailable == 0 && surge == 0 {
			at.key("maxUnavailable").fail("raise one of them", "got 0, and maxSurge is 0 too: no pod could ever be replaced")
		}
	}
}

func (a at) rolling(strategy dict, without string) {
	if str(strategy, "type") == without && has(strategy, "rollingUpdate") {
		a.key("rollingUpdate").fail("leave it out", "got rollingUpdate with type %q", without)
	}
}

// share reads a number of pods or a percentage.
func (a at) share(d dict, field string) (int64, bool) {
	if n, ok := number(d, field); ok {
		if n < 0 {
			a.key(field).fail("", "got %d, want 0 or more", n)
		}
		return n, true
	}
	s, ok := get[string](d, field)
	if !ok {
		return 0, false
	}
	n, err := strconv.ParseInt(strings.TrimSuffix(s, "%"), 10, 64)
	if err != nil || !strings.HasSuffix(s, "%") || n < 0 {
		hint := ""
		if err == nil {
			hint = fmt.Sprintf("write %d without quotes, or %q", n, strings.TrimSuffix(s, "%")+"%")
		}
		a.key(field).fail(hint, "got %q, want a number, or a percentage such as \"25%%\"", clip(s))
		return 0, false
	}
	if n > 100 && field == "maxUnavailable" {
		a.key(field).fail("", "got %q, want at most 100%%", s)
	}
	return n, true
}

func checkStatefulSet(a at, d dict) {
	checkReplicas(a, d)
	spec := sub(d, "spec")
	a = a.key("spec")
	a.key("updateStrategy").rolling(sub(spec, "updateStrategy"), "OnDelete")
	a.keys("updateStrategy", "rollingUpdate").nonNegative(sub(spec, "updateStrategy", "rollingUpdate"), "partition")
	a.key("serviceName").name(str(spec, "serviceName"), dnsLabel, validation.IsDNS1123Label)
	a.each(spec, "volumeClaimTemplates", func(c at, d dict) {
		name := str(sub(d, "metadata"), "name")
		if name == "" {
			c.key("metadata").fail("", "name is missing")
		}
		c.keys("metadata", "name").name(name, dnsLabel, validation.IsDNS1123Label)
		c.key("spec").claim(sub(d, "spec"))
	})
}

func checkDaemonSet(a at, d dict) {
	checkReplicas(a, d)
	spec := sub(d, "spec")
	a = a.key("spec")
	a.key("updateStrategy").rolling(sub(spec, "updateStrategy"), "OnDelete")
	r := sub(spec, "updateStrategy", "rollingUpdate")
	at := a.keys("updateStrategy", "rollingUpdate")
	unavailable, okU := at.share(r, "maxUnavailable")
	surge, okS := at.share(r, "maxSurge")
	if okU && okS && (unavailable == 0) == (surge == 0) {
		at.key("maxSurge").fail("set one of them to 0", "got maxUnavailable and maxSurge, want one of them above 0")
	}
}

func (a at) job(spec dict) {
	a.nonNegative(spec, "parallelism", "completions", "backoffLimit", "ttlSecondsAfterFinished", "backoffLimitPerIndex", "maxFailedIndexes")
	if n, ok := number(spec, "activeDeadlineSeconds"); ok && n < 1 {
		a.key("activeDeadlineSeconds").fail("", "got %d, want 1 or more", n)
	}
	if str(spec, "completionMode") == "Indexed" && !has(spec, "completions") {
		a.key("completionMode").fail("give it completions", "got \"Indexed\" without completions")
	}
	if has(spec, "selector") && !truth(spec, "manualSelector") {
		a.key("selector").fail("leave it out", "got a selector: a Job makes its own, which no other pods have")
	}
	a.indexed(spec)
	a.podFailures(spec)
	a.template(spec, []string{"OnFailure", "Never"})
}

func (a at) indexed(spec dict) {
	if str(spec, "completionMode") == "Indexed" {
		return
	}
	for _, f := range []string{"backoffLimitPerIndex", "maxFailedIndexes"} {
		if has(spec, f) {
			a.key(f).fail("give it completionMode = \"Indexed\" and completions", "got %s in a Job without indexes", f)
		}
	}
}

func (a at) podFailures(spec dict) {
	if !has(spec, "podFailurePolicy") {
		return
	}
	if got := str(sub(spec, "template", "spec"), "restartPolicy"); got == "OnFailure" {
		a.keys("template", "spec", "restartPolicy").fail("", "got %q with a podFailurePolicy, want \"Never\": the policy is for pods that have ended", got)
	}
	a.key("podFailurePolicy").each(sub(spec, "podFailurePolicy"), "rules", func(r at, d dict) {
		on := sub(d, "onExitCodes")
		for i, x := range list(on, "values") {
			if x == int64(0) && str(on, "operator") == "In" {
				r.keys("onExitCodes", "values").index(i).fail("", "got 0 among exit codes of failures: it is success")
			}
		}
	})
}

func checkCronJob(a at, d dict) {
	spec := sub(d, "spec")
	a = a.key("spec")
	if s := str(spec, "schedule"); has(spec, "schedule") && !a.c.late(s) {
		if msg, hint := cronError(s); msg != "" {
			a.key("schedule").fail(hint, "%s", msg)
		}
	}
	a.nonNegative(spec, "startingDeadlineSeconds", "successfulJobsHistoryLimit", "failedJobsHistoryLimit")
	a.keys("jobTemplate", "spec").job(sub(spec, "jobTemplate", "spec"))
}

func checkAutoscaler(a at, d dict) {
	spec := sub(d, "spec")
	a = a.key("spec")
	low, ok := number(spec, "minReplicas")
	if !ok {
		low = 1
	}
	if low < 1 {
		a.key("minReplicas").fail("", "got %d, want 1 or more", low)
	}
	if high, ok := number(spec, "maxReplicas"); ok && high < low {
		a.key("maxReplicas").fail("", "got %d, want at least minReplicas, %d", high, low)
	}
	if a.o.apiVersion == "autoscaling/v2" {
		a.each(spec, "metrics", at.metric)
	}
	for _, f := range []string{"scaleUp", "scaleDown"} {
		if n, ok := number(sub(spec, "behavior", f), "stabilizationWindowSeconds"); ok && (n < 0 || n > 3600) {
			a.keys("behavior", f, "stabilizationWindowSeconds").fail("", "got %d, want 0 to 3600", n)
		}
	}
}

// metrics are the fields in which the types of an autoscaler's metrics have their data.
var metrics = map[string]string{"Resource": "resource", "ContainerResource": "containerResource", "Pods": "pods", "Object": "object", "External": "external"}

func (a at) metric(d dict) {
	typ := str(d, "type")
	field, ok := metrics[typ]
	if !ok {
		return
	}
	for _, e := range d {
		if e.Key != "type" && e.Key != field && e.Value != nil {
			a.key(e.Key).fail(fmt.Sprintf("make it %s, or correct the type", field), "got %s with type %q, want %s", e.Key, typ, field)
			return
		}
	}
	if !has(d, field) {
		a.fail("", "%s is missing: type %q has its data there", field, typ)
	}
}

func checkBudget(a at, d dict) {
	spec := sub(d, "spec")
	a = a.key("spec")
	if has(spec, "minAvailable") && has(spec, "maxUnavailable") {
		a.key("maxUnavailable").fail("leave one of them out", "got minAvailable and maxUnavailable, want one of them")
	}
	a.share(spec, "minAvailable")
	a.share(spec, "maxUnavailable")
	a.key("selector").labelSelector(sub(spec, "selector"))
}

func checkPriority(a at, d dict) {
	if n, ok := number(d, "value"); ok && n > 1_000_000_000 && !strings.HasPrefix(a.o.name, "system-") {
		a.key("value").fail("", "got %d, want at most 1000000000: higher ones are the system's", n)
	}
	if strings.HasPrefix(a.o.name, "system-") && !slices.Contains([]string{"system-node-critical", "system-cluster-critical"}, a.o.name) {
		a.keys("metadata", "name").fail("", "got the name %q, and those with system- are the system's", a.o.name)
	}
}
