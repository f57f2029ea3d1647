package k8s_test

import (
	"strings"
	"testing"
)

func pod(spec string) string {
	return "apiVersion: v1\nkind: Pod\nmetadata: {name: p, labels: {app: p}}\nspec: " + spec + "\n"
}

func service(spec string) string {
	return "apiVersion: v1\nkind: Service\nmetadata: {name: s}\nspec: " + spec + "\n"
}

func limits(list string) string {
	return "apiVersion: v1\nkind: LimitRange\nmetadata: {name: l}\nspec: {limits: [" + list + "]}\n"
}

func quota(hard string) string {
	return "apiVersion: v1\nkind: ResourceQuota\nmetadata: {name: q}\nspec: {hard: " + hard + "}\n"
}

func job(spec string) string {
	return "apiVersion: batch/v1\nkind: Job\nmetadata: {name: j}\nspec: " + spec + "\n"
}

func autoscaler(spec string) string {
	return "apiVersion: autoscaling/v2\nkind: HorizontalPodAutoscaler\nmetadata: {name: h}\nspec: {scaleTargetRef: {apiVersion: x.lab/v1, kind: Foo, name: f}, maxReplicas: 3, " + spec + "}\n"
}

func definition(schema string) string {
	return `apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: widgets.lab.example.com}
spec:
  group: lab.example.com
  scope: Namespaced
  names: {plural: widgets, kind: Widget}
  versions: [{name: v1, served: true, storage: true, schema: {openAPIV3Schema: ` + schema + `}}]
`
}

// What kube-apiserver 1.36 refuses (kubectl apply --server-side --dry-run=server), and
// the message here.
func TestServerRefuses(t *testing.T) {
	for text, want := range map[string]string{
		pod(`{containers: [{name: x, image: x, env: [{name: IP, valueFrom: {fieldRef: {fieldPath: status.podIp}}}]}]}`):                                                                                          `fieldPath: a variable can't have the pod's "status.podIp" (did you mean "status.podIP"?)`,
		pod(`{containers: [{name: x, image: x, env: [{name: IP, valueFrom: {fieldRef: {fieldPath: metadata.labels}}}]}]}`):                                                                                       `hint: name one: metadata.labels['NAME']`,
		pod(`{containers: [{name: x, image: x, env: [{name: M, valueFrom: {resourceFieldRef: {resource: limit.memory}}}]}]}`):                                                                                    `(did you mean "limits.memory"?)`,
		pod(`{containers: [{name: x, image: x, securityContext: {seccompProfile: {type: RuntimeDefault, localhostProfile: a}}}]}`):                                                                               `got localhostProfile with type "RuntimeDefault"`,
		pod(`{securityContext: {seccompProfile: {type: Localhost}}, containers: [{name: x, image: x}]}`):                                                                                                         `localhostProfile is missing`,
		pod(`{containers: [{name: x, image: x, securityContext: {capabilities: {add: [CAP_NET_ADMIN]}}}]}`):                                                                                                      `got "CAP_NET_ADMIN", want the name without CAP_`,
		pod(`{containers: [{name: x, image: x}], affinity: {podAntiAffinity: {preferredDuringSchedulingIgnoredDuringExecution: [{weight: 0, podAffinityTerm: {topologyKey: a, labelSelector: {}}}]}}}`):          `weight: got 0, want 1 to 100`,
		pod(`{containers: [{name: x, image: x}], affinity: {nodeAffinity: {requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: [{matchExpressions: [{key: a, operator: Gt, values: [x]}]}]}}}}`): `values[0]: got "x" with operator "Gt", want a whole number`,
		pod(`{containers: [{name: x, image: x}], topologySpreadConstraints: [{maxSkew: 1, topologyKey: a, whenUnsatisfiable: ScheduleAnyway, minDomains: 2}]}`):                                                  `minDomains: got minDomains with whenUnsatisfiable "ScheduleAnyway"`,
		pod(`{containers: [{name: x, image: x, resources: {limits: {hugepages-2Mi: 4Mi}}}]}`):                                                                                                                    `got huge pages without cpu or memory`,
		pod(`{containers: [{name: x, image: x, ports: [{containerPort: 80, hostPort: 80}]}, {name: w, image: w, ports: [{containerPort: 81, hostPort: 80}]}]}`):                                                  `containers[1].ports[0].hostPort: got port 80 of the host, which container "x" of the pod has already`,
		pod(`{containers: [{name: x, image: x}], ephemeralContainers: [{name: z, image: z}]}`):                                                                                                                   `got ephemeralContainers, which a pod can't be made with`,
		service(`{sessionAffinity: ClientIP, sessionAffinityConfig: {clientIP: {timeoutSeconds: 0}}, ports: [{port: 80}]}`):                                                                                      `timeoutSeconds: got 0, want 1 to 86400`,
		service(`{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.1], ports: [{port: 80}]}`):                                                                                                               `hint: write "10.0.0.1/32"`,
		service(`{externalIPs: [127.0.0.1], ports: [{port: 80}]}`):                                                                                                                                               `got "127.0.0.1", want an address that other machines reach`,
		service(`{type: NodePort, ports: [{port: 80, name: a, nodePort: 30080}, {port: 81, name: b, nodePort: 30080, protocol: TCP}]}`):                                                                          `got the nodePort 30080 twice`,
		job(`{backoffLimitPerIndex: 1, template: {spec: {restartPolicy: Never, containers: [{name: x, image: x}]}}}`):                                                                                            `got backoffLimitPerIndex in a Job without indexes`,
		job(`{podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [0]}}]}, template: {spec: {restartPolicy: Never, containers: [{name: x, image: x}]}}}`):                           `onExitCodes.values[0]: got 0`,
		job(`{podFailurePolicy: {rules: [{action: FailJob, onExitCodes: {operator: In, values: [1]}}]}, template: {spec: {restartPolicy: OnFailure, containers: [{name: x, image: x}]}}}`):                       `got "OnFailure" with a podFailurePolicy, want "Never"`,
		autoscaler(`metrics: [{type: Resource, pods: {metric: {name: q}, target: {type: AverageValue, averageValue: 1}}}]`):                                                                                      `metrics[0].pods: got pods with type "Resource", want resource`,
		autoscaler(`metrics: [{type: Resource}]`):                                                                                                         `resource is missing`,
		autoscaler(`behavior: {scaleUp: {stabilizationWindowSeconds: 5000}}`):                                                                             `got 5000, want 0 to 3600`,
		pod(`{containers: [{name: x, image: x, lifecycle: {preStop: {sleep: {seconds: 31}}}}]}`):                                                          `sleep.seconds: got 31, want 0 to terminationGracePeriodSeconds, 30`,
		pod(`{containers: [{name: x, image: x}], volumes: [{name: t, projected: {sources: [{serviceAccountToken: {path: t, expirationSeconds: 60}}]}}]}`): `expirationSeconds: got 60, want 600 or more`,
		service(`{type: LoadBalancer, loadBalancerSourceRanges: [10.0.0.1/8], ports: [{port: 80}]}`):                                                      `hint: write "10.0.0.0/8"`,
		limits(`{type: Container, min: {cpu: 2}, max: {cpu: "1"}}`):                                                                                       `limits[0].min.cpu: got 2, more than max, 1`,
		limits(`{type: Container, min: {cpu: 500m}, defaultRequest: {cpu: 100m}}`):                                                                        `min.cpu: got 500m, more than defaultRequest, 100m`,
		limits(`{type: Pod, default: {cpu: 2}}`):                                                                                                          `got default with type "Pod"`,
		quota(`{pods: 1500m}`):                                                                                                                            `hard.pods: got 1500m, want a whole number`,
		quota(`{deployments: 3}`):                                                                                                                         `"count/deployments"`,
		quota(`{requests.cpus: 3}`):                                                                                                                       `(did you mean "requests.cpu"?)`,
		definition(`{type: object, properties: {spec: {properties: {a: {type: string}}}}}`):                                                               `properties.spec: type is missing`,
		definition(`{type: object, properties: {a: {type: text}}}`):                                                                                       `got "text", want one of "array"`,
		`apiVersion: networking.k8s.io/v1
kind: NetworkPolicy
metadata: {name: np}
spec: {podSelector: {}, ingress: [{ports: [{port: "8080"}]}]}
`: `hint: write 8080 without quotes`,
		`apiVersion: apps/v1
kind: Deployment
metadata: {name: d}
spec: {selector: {matchLabels: {a: b}}, template: {metadata: {labels: {a: b}}, spec: {activeDeadlineSeconds: 5, restartPolicy: OnFailure, containers: [{name: x, image: x}]}}}
`: `got activeDeadlineSeconds in a Deployment, whose pods run on`,
		"apiVersion: v1\nkind: ConfigMap\nmetadata: {name: n}\n": `metadata.name: got bool, want a string: YAML reads n as false; write "n"`,
		`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: r}
rules: [{apiGroups: [apps], resources: [deployments], verbs: []}]
`: `rules[0].verbs: verbs is empty`,
	} {
		err := load(t, map[string]string{"lab.star": `m = k8s_import(["x.yaml"], across = False)`, "x.yaml": text})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// What kube-apiserver 1.36 and kubectl take, and clusters run.
func TestServerTakes(t *testing.T) {
	for _, text := range []string{
		pod(`{containers: [{name: x, image: x, volumeMounts: [{name: c, mountPath: 'C:\data'}, {name: c, mountPath: data/x}]}], volumes: [{name: c}]}`),
		pod(`{containers: [{name: x, image: x, livenessProbe: {httpGet: {path: healthz, port: 80}}}]}`),
		pod(`{containers: [{name: x, image: x, env: [{name: L, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}, {name: M, valueFrom: {resourceFieldRef: {resource: limits.hugepages-2Mi}}}]}]}`),
		pod(`{containers: [{name: x, image: x, ports: [{containerPort: 53, hostPort: 53}, {containerPort: 53, hostPort: 53, protocol: UDP}]}]}`),
		pod(`{containers: [{name: x, image: x, securityContext: {seccompProfile: {type: Localhost, localhostProfile: a/b.json}}}]}`),
		service(`{type: NodePort, ports: [{port: 53, name: a, nodePort: 30053}, {port: 53, name: b, nodePort: 30053, protocol: UDP}]}`),
		service(`{selector: {app: p}, ports: [{port: 80}]}`) + "---\n" + strings.Replace(pod(`{containers: [{name: x, image: x}]}`), "{name: p,", "{name: p, namespace: default,", 1),
		pod(`{terminationGracePeriodSeconds: 5, containers: [{name: x, image: x, lifecycle: {preStop: {sleep: {seconds: 5}}}}]}`),
		limits(`{type: Container, default: {cpu: 500m}, defaultRequest: {cpu: 0.1}, max: {cpu: "1"}}, {type: PersistentVolumeClaim, min: {storage: 1Gi}}`),
		quota(`{pods: 1k, services: "2", cpu: 1, limits.memory: 2Gi, requests.storage: 1Ti, services.nodeports: 0, requests.hugepages-2Mi: 4Mi, count/deployments.apps: 2, requests.nvidia.com/gpu: 1, gold.storageclass.storage.k8s.io/requests.storage: 1Ti}`),
		definition(`{type: object, properties: {a: {x-kubernetes-int-or-string: true}, b: {x-kubernetes-preserve-unknown-fields: true}, c: {type: array, items: {type: string}}, d: {type: object, additionalProperties: {type: integer}}}}`),
		`apiVersion: rbac.authorization.k8s.io/v1
kind: ClusterRole
metadata: {name: r, namespace: default}
rules: []
`,
		autoscaler(`metrics: [{type: External, external: {metric: {name: q}, target: {type: AverageValue, averageValue: 30}}}], behavior: {scaleDown: {stabilizationWindowSeconds: 0}}`),
	} {
		err := load(t, map[string]string{"lab.star": `m = k8s_import(["x.yaml"], external = ["Foo/*"])`, "x.yaml": text})
		if err != nil {
			t.Errorf("%s\ngot %v", text, err)
		}
	}
}

// external takes * for a kind, and the namespace default for one that is not given.
func TestExternalOfAnyKind(t *testing.T) {
	text := pod(`{containers: [{name: x, image: x, envFrom: [{configMapRef: {name: c}}, {secretRef: {name: s}}]}]}`)
	for _, external := range []string{`["*/*"]`, `["ConfigMap/default/c", "Secret/s"]`} {
		if err := load(t, map[string]string{"lab.star": `m = k8s_import(["x.yaml"], external = ` + external + `)`, "x.yaml": text}); err != nil {
			t.Errorf("%s: got %v", external, err)
		}
	}
}
