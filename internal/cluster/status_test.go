package cluster

import (
	"strings"
	"testing"
)

func object(t *testing.T, yaml string) *Object {
	t.Helper()
	list, err := Parse([]byte(yaml))
	if err != nil || len(list) != 1 {
		t.Fatalf("got %d objects, %v", len(list), err)
	}
	return list[0]
}

func TestStatus(t *testing.T) {
	for _, tc := range []struct {
		name, yaml string
		level      level
		text       string
	}{
		{"a deployment that nobody has seen", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x, generation: 2}\nstatus: {observedGeneration: 1}", coming, "see the change"},
		{"one that updates", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {replicas: 3}\nstatus: {updatedReplicas: 1, replicas: 3}", coming, "1 of 3 replicas updated"},
		{"one with old replicas", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {replicas: 3}\nstatus: {updatedReplicas: 3, replicas: 4, availableReplicas: 3}", coming, "1 of the old replicas"},
		{"one that starts", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {replicas: 3}\nstatus: {updatedReplicas: 3, replicas: 3, availableReplicas: 2}", coming, "2 of 3 replicas ready"},
		{"one that is ready", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nstatus: {updatedReplicas: 1, replicas: 1, availableReplicas: 1}", fine, ""},
		{"one of no replicas", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {replicas: 0}", fine, ""},
		{"one that gave up", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nstatus: {conditions: [{type: Progressing, status: 'False', reason: ProgressDeadlineExceeded, message: has timed out}]}", fatal, "has timed out"},
		{"one over its quota", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nstatus: {conditions: [{type: ReplicaFailure, status: 'True', message: exceeded quota}]}", stuck, "exceeded quota"},
		{"a paused one", "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {paused: true}", fine, ""},
		{"a stateful set that updates", "kind: StatefulSet\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {replicas: 2}\nstatus: {readyReplicas: 2, updatedReplicas: 1}", coming, "1 of 2 replicas updated"},
		{"one with a partition", "kind: StatefulSet\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {replicas: 2, updateStrategy: {rollingUpdate: {partition: 1}}}\nstatus: {readyReplicas: 2, updatedReplicas: 1}", fine, ""},
		{"one that starts", "kind: StatefulSet\napiVersion: apps/v1\nmetadata: {name: x}\nspec: {replicas: 2}\nstatus: {readyReplicas: 1}", coming, "1 of 2 replicas ready"},
		{"a daemon set", "kind: DaemonSet\napiVersion: apps/v1\nmetadata: {name: x}\nstatus: {desiredNumberScheduled: 3, updatedNumberScheduled: 3, numberAvailable: 2}", coming, "ready on 2 of 3 nodes"},
		{"a job", "kind: Job\napiVersion: batch/v1\nmetadata: {name: x}\nspec: {completions: 3}\nstatus: {succeeded: 1}", coming, "1 of 3 completed"},
		{"a job that is done", "kind: Job\napiVersion: batch/v1\nmetadata: {name: x}\nstatus: {conditions: [{type: Complete, status: 'True'}]}", fine, ""},
		{"a job that failed", "kind: Job\napiVersion: batch/v1\nmetadata: {name: x}\nstatus: {conditions: [{type: Failed, status: 'True', message: backoff}]}", fatal, "failed: backoff"},
		{"a claim", "kind: PersistentVolumeClaim\napiVersion: v1\nmetadata: {name: x}\nstatus: {phase: Pending}", coming, "no volume"},
		{"a claim without its volume", "kind: PersistentVolumeClaim\napiVersion: v1\nmetadata: {name: x}\nspec: {volumeName: v}\nstatus: {phase: Lost}", fatal, "volume v is gone"},
		{"a volume that was used", "kind: PersistentVolume\napiVersion: v1\nmetadata: {name: x}\nstatus: {phase: Released}", stuck, "claimRef"},
		{"a service", "kind: Service\napiVersion: v1\nmetadata: {name: x}\nspec: {type: NodePort}", fine, ""},
		{"one that has no address", "kind: Service\napiVersion: v1\nmetadata: {name: x}\nspec: {type: LoadBalancer}", slow, "no address"},
		{"one that has", "kind: Service\napiVersion: v1\nmetadata: {name: x}\nspec: {type: LoadBalancer}\nstatus: {loadBalancer: {ingress: [{ip: 192.0.2.1}]}}", fine, ""},
		{"a definition", "kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\nmetadata: {name: x}", coming, "not Established"},
		{"one whose names are taken", "kind: CustomResourceDefinition\napiVersion: apiextensions.k8s.io/v1\nmetadata: {name: x}\nstatus: {conditions: [{type: NamesAccepted, status: 'False', message: taken}]}", fatal, "taken"},
		{"something of others without a status", "kind: Gadget\napiVersion: lab.example.com/v1\nmetadata: {name: x, generation: 2}", fine, ""},
		{"something that is not ready", "kind: Gadget\napiVersion: lab.example.com/v1\nmetadata: {name: x}\nstatus: {conditions: [{type: Ready, status: 'False', message: it waits}]}", coming, "it waits"},
		{"something that stalled", "kind: Gadget\napiVersion: lab.example.com/v1\nmetadata: {name: x}\nstatus: {conditions: [{type: Stalled, status: 'True', message: no way}]}", fatal, "no way"},
		{"what has no status", "kind: ConfigMap\napiVersion: v1\nmetadata: {name: x}", fine, ""},
	} {
		got := statusOf(object(t, tc.yaml))
		if got.level != tc.level || !strings.Contains(got.text, tc.text) || (tc.text == "") != (got.text == "") {
			t.Errorf("%s: got level %d, %q, want %d, %q", tc.name, got.level, got.text, tc.level, tc.text)
		}
	}
}

func TestContainerTrouble(t *testing.T) {
	for _, tc := range []struct {
		yaml  string
		level level
		text  string
		ended bool
	}{
		{"state: {running: {}}", fine, "", false},
		{"state: {waiting: {reason: ContainerCreating}}", fine, "", false},
		{"image: web:1\nstate: {waiting: {reason: ErrImagePull, message: not found}}", stuck, "image web:1 can't be pulled (ErrImagePull): not found", false},
		{"image: Web\nstate: {waiting: {reason: InvalidImageName}}", fatal, "image Web can't be pulled (InvalidImageName)", false},
		{"name: c\nstate: {waiting: {reason: CreateContainerConfigError, message: configmap \"x\" not found}}", stuck, "container c can't start (CreateContainerConfigError): configmap \"x\" not found", false},
		{"name: c\nrestartCount: 4\nstate: {waiting: {reason: CrashLoopBackOff}}\nlastState: {terminated: {exitCode: 3, reason: Error}}", stuck, "container c ends each time it is started with exit code 3, 4 times now", true},
		{"name: c\nrestartCount: 4\nstate: {waiting: {reason: CrashLoopBackOff}}\nlastState: {terminated: {exitCode: 137, reason: OOMKilled}}", stuck, "container c ends each time it is started since it takes more memory than its limit, 4 times now", true},
		{"name: c\nstate: {terminated: {exitCode: 2, message: no file}}", slow, "container c ended with exit code 2: no file", true},
		{"name: c\nstate: {terminated: {exitCode: 0}}", fine, "", true},
	} {
		ct := container{*object(t, "kind: Status\napiVersion: v1\nmetadata: {name: x}\n"+tc.yaml)}
		if got := ct.trouble(); got.level != tc.level || got.text != tc.text || ct.ended() != tc.ended {
			t.Errorf("%s: got %d, %q, ended %v, want %d, %q, %v", tc.yaml, got.level, got.text, ct.ended(), tc.level, tc.text, tc.ended)
		}
	}
}
