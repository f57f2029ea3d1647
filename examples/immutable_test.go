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
}{
	{"/apis/apps/v1/namespaces/default/deployments/x", deploymentX, []string{
		`{"spec":{"selector":{"matchLabels":{"app":"y"}},"template":{"metadata":{"labels":{"app":"y"}}}}}`,
		`{"spec":{"selector":{"matchLabels":{"app":"x","tier":"a"}},"template":{"metadata":{"labels":{"tier":"a"}}}}}`,
	}, []string{`{"spec":{"replicas":0,"template":{"spec":{"containers":[{"name":"a","image":"other"}]}}}}`}},
	{"/apis/apps/v1/namespaces/default/daemonsets/x", strings.ReplaceAll(deploymentX, "Deployment", "DaemonSet"), []string{
		`{"spec":{"selector":{"matchLabels":{"app":"y"}},"template":{"metadata":{"labels":{"app":"y"}}}}}`,
	}, []string{`{"spec":{"minReadySeconds":3}}`}},
	{"/apis/apps/v1/namespaces/default/statefulsets/x", statefulSetX, []string{
		`{"spec":{"serviceName":"y"}}`,
		`{"spec":{"podManagementPolicy":"Parallel"}}`,
		`{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"2Gi"}}}}]}}`,
		`{"spec":{"volumeClaimTemplates":null}}`,
	}, []string{
		`{"spec":{"replicas":1,"revisionHistoryLimit":3}}`,
		`{"spec":{"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1024Mi"}}}}]}}`,
	}},
	{"/apis/batch/v1/namespaces/default/jobs/x", jobX, []string{
		`{"spec":{"template":{"spec":{"containers":[{"name":"a","image":"other"}]}}}}`,
		`{"spec":{"completionMode":"Indexed"}}`,
		`{"spec":{"completions":3}}`,
		`{"spec":{"template":{"metadata":{"labels":{"app":"y"}}}}}`,
	}, []string{`{"spec":{"backoffLimit":3}}`, `{"spec":{"parallelism":0}}`}},
	{"/api/v1/namespaces/default/pods/x", `{"apiVersion":"v1","kind":"Pod","metadata":{"name":"x"},"spec":{"containers":[{"name":"a","image":"a"}]}}`, []string{
		`{"spec":{"containers":[{"name":"a","image":"a","command":["b"]}]}}`, `{"spec":{"restartPolicy":"Never"}}`,
	}, []string{`{"spec":{"containers":[{"name":"a","image":"b"}]}}`, `{"metadata":{"labels":{"a":"b"}}}`}},
	{"/api/v1/namespaces/default/persistentvolumeclaims/x", `{"apiVersion":"v1","kind":"PersistentVolumeClaim","metadata":{"name":"x"},"spec":{"accessModes":["ReadWriteOnce"],"storageClassName":"none","resources":{"requests":{"storage":"1Gi"}}}}`, []string{
		`{"spec":{"accessModes":["ReadWriteMany"]}}`, `{"spec":{"storageClassName":"other"}}`, `{"spec":{"volumeMode":"Block"}}`,
	}, []string{`{"spec":{"volumeName":"data"}}`, `{"metadata":{"labels":{"a":"b"}}}`}},
	{"/api/v1/persistentvolumes/x", `{"apiVersion":"v1","kind":"PersistentVolume","metadata":{"name":"x"},"spec":{"capacity":{"storage":"1Gi"},"accessModes":["ReadWriteMany"],"nfs":{"server":"10.0.0.1","path":"/a"}}}`, []string{
		`{"spec":{"nfs":{"path":"/b"}}}`, `{"spec":{"volumeMode":"Block"}}`,
	}, []string{`{"spec":{"capacity":{"storage":"2Gi"},"persistentVolumeReclaimPolicy":"Delete","mountOptions":["ro"]}}`}},
	{"/api/v1/namespaces/default/services/x", `{"apiVersion":"v1","kind":"Service","metadata":{"name":"x"},"spec":{"clusterIP":"10.0.77.7","selector":{"app":"x"},"ports":[{"port":80}]}}`, []string{
		`{"spec":{"clusterIP":"10.0.77.8"}}`, `{"spec":{"clusterIP":"None"}}`,
	}, []string{`{"spec":{"ports":[{"port":81}],"selector":{"app":"y"}}}`, `{"spec":{"type":"NodePort"}}`}},
	{"/api/v1/namespaces/default/configmaps/x", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"x"},"immutable":true,"data":{"a":"1"}}`, []string{
		`{"data":{"a":"2"}}`, `{"data":{"b":"1"}}`, `{"data":{"a":null,"b":"2"}}`, `{"binaryData":{"c":"YQ=="}}`, `{"immutable":false}`, `{"immutable":null}`,
	}, []string{`{"metadata":{"labels":{"a":"b"}}}`}},
	{"/api/v1/namespaces/default/configmaps/y", `{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"y"},"data":{"a":"1"}}`, nil, []string{`{"data":{"a":"2"},"immutable":true}`}},
	{"/api/v1/namespaces/default/secrets/x", `{"apiVersion":"v1","kind":"Secret","metadata":{"name":"x"},"immutable":true,"data":{"a":"MQ=="}}`, []string{
		`{"data":{"a":"Mg=="}}`, `{"type":"example.com/other"}`, `{"immutable":null}`,
	}, []string{`{"metadata":{"labels":{"a":"b"}}}`}},
	{"/apis/storage.k8s.io/v1/storageclasses/x", `{"apiVersion":"storage.k8s.io/v1","kind":"StorageClass","metadata":{"name":"x"},"provisioner":"example.com/a","parameters":{"a":"1"}}`, []string{
		`{"provisioner":"example.com/b"}`, `{"parameters":{"a":"2"}}`, `{"parameters":{"b":"2"}}`, `{"parameters":null}`, `{"reclaimPolicy":"Retain"}`, `{"volumeBindingMode":"WaitForFirstConsumer"}`,
	}, []string{`{"allowVolumeExpansion":true}`}},
	{"/apis/rbac.authorization.k8s.io/v1/namespaces/default/rolebindings/x", roleBindingX, []string{
		`{"roleRef":{"name":"edit"}}`,
	}, []string{`{"subjects":[{"apiGroup":"rbac.authorization.k8s.io","kind":"User","name":"joe"}]}`}},
	{"/apis/rbac.authorization.k8s.io/v1/clusterrolebindings/x", strings.ReplaceAll(roleBindingX, "RoleBinding", "ClusterRoleBinding"), []string{`{"roleRef":{"name":"edit"}}`}, nil},
	{"/apis/scheduling.k8s.io/v1/priorityclasses/x", `{"apiVersion":"scheduling.k8s.io/v1","kind":"PriorityClass","metadata":{"name":"x"},"value":10}`, []string{
		`{"value":11}`, `{"preemptionPolicy":"Never"}`,
	}, []string{`{"description":"new"}`}},
	{"/apis/node.k8s.io/v1/runtimeclasses/x", `{"apiVersion":"node.k8s.io/v1","kind":"RuntimeClass","metadata":{"name":"x"},"handler":"runc"}`, []string{`{"handler":"crun"}`}, nil},
	{"/apis/networking.k8s.io/v1/ingressclasses/x", `{"apiVersion":"networking.k8s.io/v1","kind":"IngressClass","metadata":{"name":"x"},"spec":{"controller":"example.com/a"}}`, []string{`{"spec":{"controller":"example.com/b"}}`}, nil},
	{"/apis/discovery.k8s.io/v1/namespaces/default/endpointslices/x", `{"apiVersion":"discovery.k8s.io/v1","kind":"EndpointSlice","metadata":{"name":"x"},"addressType":"IPv4","endpoints":[]}`, []string{`{"addressType":"IPv6"}`}, nil},
	{"/apis/storage.k8s.io/v1/volumeattributesclasses/x", `{"apiVersion":"storage.k8s.io/v1","kind":"VolumeAttributesClass","metadata":{"name":"x"},"driverName":"example.com/a","parameters":{"a":"1"}}`, []string{
		`{"driverName":"example.com/b"}`, `{"parameters":{"a":"2"}}`,
	}, nil},
	{"/apis/networking.k8s.io/v1/namespaces/default/networkpolicies/x", `{"apiVersion":"networking.k8s.io/v1","kind":"NetworkPolicy","metadata":{"name":"x"},"spec":{"podSelector":{"matchLabels":{"a":"b"}}}}`, nil, []string{
		`{"spec":{"podSelector":{"matchLabels":{"a":"c"}}}}`,
	}},
}

const (
	deploymentX = `{"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"x"},"spec":{"selector":{"matchLabels":{"app":"x"}},
		"template":{"metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"name":"a","image":"a"}]}}}}`
	statefulSetX = `{"apiVersion":"apps/v1","kind":"StatefulSet","metadata":{"name":"x"},"spec":{"selector":{"matchLabels":{"app":"x"}},"serviceName":"x","replicas":0,
		"template":{"metadata":{"labels":{"app":"x"}},"spec":{"containers":[{"name":"a","image":"a"}]}},
		"volumeClaimTemplates":[{"metadata":{"name":"d"},"spec":{"accessModes":["ReadWriteOnce"],"resources":{"requests":{"storage":"1Gi"}}}}]}}`
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
		try := func(patch string, refused bool) {
			now := merge(object, parse(patch))
			_, err := c.try("PATCH", tc.path+"?fieldManager=labstar&dryRun=All", apply, now)
			if (err != nil) != refused {
				t.Errorf("%s, %s: the server says %v", tc.path, patch, err)
			}
			// Against what is there, and against what the script said before.
			for _, was := range []map[string]any{live, object} {
				if got := immutable.Changes(was, now); (len(got) > 0) != refused {
					t.Errorf("%s, %s: got the changes %v, and the server says %v", tc.path, patch, got, err)
				}
			}
		}
		for _, patch := range tc.refused {
			try(patch, true)
		}
		for _, patch := range tc.taken {
			try(patch, false)
		}
		c.must("DELETE", tc.path, "", nil)
	}
}
