package examples

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"github.com/labstar/labstar/internal/kube/immutable"
)

// fixedFields are objects, each with changes as merge patches: those that an API server
// refuses since the field can't be changed, and those that it takes.
var fixedFields = []struct {
	path, object   string
	refused, taken []string
	removed        []string // refused too, and known only from what was said before
	kept           []string // taken, and nothing changes
}{
	{path: "/apis/apps/v1/namespaces/default/deployments/x", object: deploymentX,
		refused: []string{
			`{"spec":{"selector":{"matchLabels":{"app":"y"}},"template":{"metadata":{"labels":{"app":"y"}}}}}`,
			`{"spec":{"selector":{"matchLabels":{"app":"x","tier":"a"}},"template":{"metadata":{"labels":{"tier":"a"}}}}}`,
		},
		taken: []string{`{"spec":{"replicas":0,"template":{"spec":{"containers":[{"name":"a","image":"other"}]}}}}`}},
	{path: "/apis/apps/v1/namespaces/default/daemonsets/x", object: strings.ReplaceAll(deploymentX, "Deployment", "DaemonSet"),
		refused: []string{
			`{"spec":{"selector":{"matchLabels":{"app":"y"}},"template":{"metadata":{"labels":{"app":"y"}}}}}`,
		},
		taken: []string{`{"spec":{"minReadySeconds":3}}`}},
	{path: "/apis/apps/v1/namespaces/default/statefulsets/x", object: statefulSetX,
		refused: []string{
			`{"spec":{"serviceName":"y"}}`,
			`{"spec":{"podManagementPolicy":"Parallel"}}`,
			`{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"2Gi"}}}}]}}`,
			`{"spec":{"volumeClaimTemplates":null}}`,
		},
		taken: []string{
			`{"spec":{"replicas":1,"revisionHistoryLimit":3}}`,
			`{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1024Mi"}}}}]}}`,
		},
		removed: []string{`{"spec":{"serviceName":null}}`}},
	{path: "/apis/batch/v1/namespaces/default/jobs/x", object: jobX,
		refused: []string{`{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"other"}]}}}}`,
			`{"spec":{"completionMode":"Indexed"}}`,
			`{"spec":{"completions":3}}`,
			`{"spec":{"template":{"metadata":{"labels":{"app":"y"}}}}}`, `{"spec":{"managedBy":"example.com/other"}}`},
		taken:   []string{`{"spec":{"backoffLimit":3}}`, `{"spec":{"parallelism":0}}`, `{"spec":{"template":{"spec":{"dnsPolicy":"ClusterFirst","containers":[{"name":"a","image":"a","imagePullPolicy":"Always"}]}}}}`},
		removed: []string{`{"spec":{"template":{"metadata":null}}}`}},
	{path: "/api/v1/namespaces/default/pods/x", object: `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"hostname":"here","containers":[{"name":"a","image":"a"}]}}`,
		refused: []string{
			`{"spec":{"containers":[{"name":"a","image":"a","command":["b"]}]}}`, `{"spec":{"restartPolicy":"Never"}}`,
		},
		taken:   []string{`{"spec":{"containers":[{"name":"a","image":"b"}]}}`, `{"metadata":{"labels":{"a":"b"}}}`, `{"spec":{"terminationGracePeriodSeconds":null}}`},
		removed: []string{`{"spec":{"hostname":null}}`}},
	{path: "/api/v1/namespaces/default/persistentvolumeclaims/x", object: `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"x"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"none","resources":{"requests":{"storage":"1Gi"}}}}`,
		refused: []string{`{"spec":{"accessModes":["ReadWriteMany"]}}`, `{"spec":{"storageClassName":"other"}}`, `{"spec":{"volumeMode":"Block"}}`, `{"spec":{"resources":{"requests":{"storage":"512Mi"}}}}`, `{"spec":{"resources":{"limits":{"storage":"1Gi"}}}}`},
		taken:   []string{`{"spec":{"volumeName":"data"}}`, `{"metadata":{"labels":{"a":"b"}}}`},
		removed: []string{`{"spec":{"storageClassName":null}}`}},
	{path: "/api/v1/persistentvolumes/x", object: `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"x"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteMany"],"nfs":{"server":"10.0.0.1","path":"/a","readOnly":true}}}`,
		refused: []string{
			`{"spec":{"nfs":{"path":"/b"}}}`, `{"spec":{"volumeMode":"Block"}}`,
		},
		taken:   []string{`{"spec":{"capacity":{"storage":"2Gi"},"persistentVolumeReclaimPolicy":"Delete","mountOptions":["ro"]}}`},
		removed: []string{`{"spec":{"nfs":{"readOnly":null}}}`}},
	{path: "/api/v1/namespaces/default/services/x", object: `{"apiVersion":"v1","kind":"Service","metadata":{"name":"x"},"spec":{"clusterIP":"10.0.77.7","selector":{"app":"x"},"ports":[{"port":80}]}}`,
		refused: []string{`{"spec":{"clusterIP":"10.0.77.8"}}`, `{"spec":{"clusterIP":"None"}}`},
		taken:   []string{`{"spec":{"ports":[{"port":81}],"selector":{"app":"y"}}}`, `{"spec":{"type":"NodePort"}}`, `{"spec":{"clusterIP":null}}`, `{"spec":{"ipFamilyPolicy":"SingleStack"}}`}},
	{path: "/api/v1/namespaces/default/configmaps/x", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"immutable":true,"data":{"a":"1"}}`,
		refused: []string{
			`{"data":{"a":"2"}}`, `{"data":{"b":"1"}}`, `{"data":{"a":null,"b":"2"}}`, `{"binaryData":{"c":"YQ=="}}`, `{"immutable":false}`, `{"immutable":null}`,
		},
		taken: []string{`{"metadata":{"labels":{"a":"b"}}}`}},
	{path: "/api/v1/namespaces/default/configmaps/y", object: `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y"},"data":{"a":"1"}}`,
		taken: []string{`{"data":{"a":"2"},"immutable":true}`}},
	{path: "/api/v1/namespaces/default/secrets/x", object: `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"},"immutable":true,"data":{"a":"MQ=="}}`,
		refused: []string{
			`{"data":{"a":"Mg=="}}`, `{"type":"example.com/other"}`, `{"immutable":null}`,
		},
		taken: []string{`{"metadata":{"labels":{"a":"b"}}}`}},
	{path: "/apis/storage.k8s.io/v1/storageclasses/x", object: `{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"x"},"provisioner":"example.com/a","parameters":{"a":"1"}}`,
		refused: []string{
			`{"provisioner":"example.com/b"}`, `{"parameters":{"a":"2"}}`, `{"parameters":{"b":"2"}}`, `{"parameters":null}`, `{"reclaimPolicy":"Retain"}`, `{"volumeBindingMode":"WaitForFirstConsumer"}`,
		},
		taken: []string{`{"allowVolumeExpansion":true}`}},
	{path: "/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/x", object: roleBindingX,
		refused: []string{
			`{"roleRef":{"name":"edit"}}`,
		},
		taken: []string{`{"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"joe"}]}`}},
	{path: "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/x", object: strings.ReplaceAll(roleBindingX, "RoleBinding", "ClusterRoleBinding"),
		refused: []string{`{"roleRef":{"name":"edit"}}`}},
	{path: "/apis/scheduling.k8s.io/v1/priorityclasses/x", object: `{"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"x"},"value":10}`,
		refused: []string{
			`{"value":11}`, `{"preemptionPolicy":"Never"}`,
		},
		taken: []string{`{"description":"new"}`}},
	{path: "/apis/node.k8s.io/v1/runtimeclasses/x", object: `{"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass","metadata":{"name":"x"},"handler":"runc"}`,
		refused: []string{`{"handler":"crun"}`}},
	{path: "/apis/networking.k8s.io/v1/ingressclasses/x", object: `{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"x"},"spec":{"controller":"example.com/a"}}`,
		refused: []string{`{"spec":{"controller":"example.com/b"}}`}},
	{path: "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/x", object: `{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"x"},"addressType":"IPv4","endpoints":[]}`,
		refused: []string{`{"addressType":"IPv6"}`}},
	{path: "/apis/storage.k8s.io/v1/volumeattributesclasses/x", object: `{"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttributesClass","metadata":{"name":"x"},"driverName":"example.com/a","parameters":{"a":"1"}}`,
		refused: []string{
			`{"driverName":"example.com/b"}`, `{"parameters":{"a":"2"}}`,
		}},
	{path: "/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/x", object: `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"x"},"spec":{"podSelector":{"matchLabels":{"a":"b"}}}}`,
		taken: []string{
			`{"spec":{"podSelector":{"matchLabels":{"a":"c"}}}}`,
		}},
	{path: "/apis/batch/v1/namespaces/default/jobs/y", object: suspendedJob,
		refused: []string{`{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"other"}]}}}}`},
		taken:   []string{`{"spec":{"template":{"spec":{"nodeSelector":{"a":"b"}}}}}`, `{"spec":{"template":{"metadata":{"labels":{"app":"y"}}}}}`}},
	{path: "/apis/batch/v1/namespaces/default/jobs/z", object: `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"z"},"spec":{"completionMode":"Indexed","completions":2,"parallelism":2,
		"template":{"spec":{"restartPolicy":"Never","containers":[{"name":"a","image":"a"}]}}}}`,
		refused: []string{`{"spec":{"completions":3}}`}, taken: []string{`{"spec":{"completions":3,"parallelism":3}}`}},
	{path: "/api/v1/persistentvolumes/y", object: `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"y"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteOnce"],"local":{"path":"/a"},
		"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["one"]}]}]}}}}`,
		refused: []string{`{"spec":{"nodeAffinity":{"required":{"nodeSelectorTerms":[{"matchExpressions":[{"key":"kubernetes.io/hostname","operator":"In","values":["two"]}]}]}}}}`}},
	{path: "/api/v1/namespaces/default/services/y", object: `{"apiVersion":"v1","kind":"Service","metadata":{"name":"y"},"spec":{"clusterIP":"None","selector":{"app":"x"},"ports":[{"port":80}]}}`,
		refused: []string{`{"spec":{"clusterIP":"10.0.77.9"}}`, `{"spec":{"clusterIP":null,"type":"NodePort"}}`},
		taken:   []string{`{"spec":{"clusterIP":null,"clusterIPs":["None"]}}`, `{"spec":{"clusterIP":null,"type":"ExternalName","externalName":"example.com"}}`},
		kept:    []string{`{"spec":{"clusterIP":null}}`}},
	{path: "/api/v1/namespaces/default/services/z", object: `{"apiVersion":"v1","kind":"Service","metadata":{"name":"z"},"spec":{"ipFamilies":["IPv4"],"selector":{"app":"x"},"ports":[{"port":80}]}}`,
		refused: []string{`{"spec":{"clusterIP":"None"}}`, `{"spec":{"clusterIPs":["None"]}}`, `{"spec":{"ipFamilies":["IPv6"]}}`}, taken: []string{`{"spec":{"ipFamilies":null}}`}},
	{path: "/api/v1/namespaces/default/services/balanced", object: `{"apiVersion":"v1","kind":"Service","metadata":{"name":"balanced"},"spec":{"type":"LoadBalancer","loadBalancerClass":"example.com/a","externalTrafficPolicy":"Local","healthCheckNodePort":32000,"selector":{"app":"x"},"ports":[{"port":80}]}}`,
		refused: []string{`{"spec":{"loadBalancerClass":"example.com/b"}}`, `{"spec":{"healthCheckNodePort":32001}}`, `{"spec":{"loadBalancerClass":null}}`},
		taken:   []string{`{"spec":{"healthCheckNodePort":null}}`, `{"spec":{"type":"ClusterIP","loadBalancerClass":null,"externalTrafficPolicy":null,"healthCheckNodePort":null}}`}},
	{path: "/api/v1/namespaces/default/resourcequotas/x", object: `{"apiVersion":"v1","kind":"ResourceQuota","metadata":{"name":"x"},"spec":{"hard":{"pods":"10000"},"scopes":["Terminating"]}}`,
		refused: []string{`{"spec":{"scopes":["NotTerminating"]}}`, `{"spec":{"scopes":null}}`}, taken: []string{`{"spec":{"hard":{"pods":"9999"}}}`}},
	{path: "/apis/storage.k8s.io/v1/csidrivers/x", object: `{"apiVersion":"storage.k8s.io/v1","kind":"CSIDriver","metadata":{"name":"x"},"spec":{"podInfoOnMount":true}}`,
		refused: []string{`{"spec":{"attachRequired":false}}`, `{"spec":{"volumeLifecycleModes":["Ephemeral"]}}`},
		taken:   []string{`{"spec":{"attachRequired":true,"volumeLifecycleModes":["Persistent"]}}`, `{"spec":{"podInfoOnMount":false}}`}},
	{path: "/apis/networking.k8s.io/v1/servicecidrs/x", object: `{"apiVersion":"networking.k8s.io/v1","kind":"ServiceCIDR","metadata":{"name":"x"},"spec":{"cidrs":["10.7.0.0/24"]}}`,
		refused: []string{`{"spec":{"cidrs":["10.8.0.0/24"]}}`}, taken: []string{`{"spec":{"cidrs":["10.7.0.0/24","fd00::/112"]}}`}},
}

const (
	deploymentX = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"selector":{"matchLabels":{"app":"x"}},
		"template":{"metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"name":"a","image":"a"}]}}}}`
	statefulSetX = `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"x"},"spec":{"selector":{"matchLabels":{"app":"x"}},"serviceName":"x","replicas":0,
		"template":{"metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"name":"a","image":"a"}]}},
		"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}]}}`
	suspendedJob = `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"y"},"spec":{"suspend":true,
		"template":{"metadata":{"labels":{"app":"x"}},"spec":{"restartPolicy":"Never","containers":[{"name":"a","image":"a"}]}}}}`
	jobX = `{"apiVersion":"batch/v1","kind":"Job","metadata":{"name":"x"},"spec":{
		"template":{"metadata":{"labels":{"app":"x"}},"spec":{"restartPolicy":"Never","containers":[{"name":"a","image":"a"}]}}}}`
	roleBindingX = `{"apiVersion":"rbac.authorization.k8s.io/v1","kind":"RoleBinding","metadata":{"name":"x"},
		"roleRef":{"apiGroup":"rbac.authorization.k8s.io","kind":"ClusterRole","name":"view"},
		"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"jane"}]}`
)

// merge is the JSON merge patch.
func merge(base, patch map[string]any) map[string]any {
	out := map[string]any{}
	maps.Copy(out, base)
	for k, v := range patch {
		below, isMap := v.(map[string]any)
		was, _ := out[k].(map[string]any)
		switch {
		case v == nil:
			delete(out, k)
		case isMap:
			out[k] = merge(was, below)
		default:
			out[k] = v
		}
	}
	return out
}

// testFixedFields holds the list of fields that can't be changed against an API server:
// it refuses what the list has, and takes the rest.
func testFixedFields(t *testing.T, c *controlPlane) {
	parse := func(text string) (m map[string]any) {
		if err := json.Unmarshal([]byte(text), &m); err != nil {
			t.Fatalf("%v: %s", err, text)
		}
		return m
	}
	const apply = "application/apply-patch+yaml"
	for _, tc := range fixedFields {
		object := parse(tc.object)
		c.must("PATCH", tc.path+"?fieldManager=labstar", apply, object)
		live := c.must("GET", tc.path, "", nil)
		if got := immutable.Changes(live, object); len(got) > 0 {
			t.Errorf("%s, as it was applied: got the changes %v", tc.path, got)
		}
		try := func(patch string, refused, gone, kept bool) {
			now := merge(object, parse(patch))
			_, err := c.try("PATCH", tc.path+"?fieldManager=labstar&dryRun=All", apply, now)
			if (err != nil) != refused {
				t.Errorf("%s, %s: the server says %v", tc.path, patch, err)
			}
			// Against what is there, and against what the script said before.
			if got := immutable.Changes(live, now); !gone && (len(got) > 0) != (refused || kept) || (len(immutable.Kept(got)) > 0) != kept {
				t.Errorf("%s, %s: got the changes %v, and the server says %v", tc.path, patch, got, err)
			}
			if got := immutable.Since(object, now); (len(got) > 0) != (refused || kept) || (len(immutable.Kept(got)) > 0) != kept {
				t.Errorf("%s, %s: got the changes %v since the last version, and the server says %v", tc.path, patch, got, err)
			}
		}
		for _, patch := range tc.refused {
			try(patch, true, false, false)
		}
		for _, patch := range tc.taken {
			try(patch, false, false, false)
		}
		for _, patch := range tc.removed {
			try(patch, true, true, false)
		}
		for _, patch := range tc.kept {
			try(patch, false, false, true)
		}
		c.must("DELETE", tc.path, "", nil)
	}
}
