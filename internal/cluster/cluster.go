// Package cluster brings Kubernetes objects into a cluster and takes them out again.
//
//	c, err := cluster.Connect(cluster.Options{})          // the user's kubeconfig; no request yet
//	objects, err := cluster.Parse(manifests)
//	plan, err := c.Plan(ctx, []*cluster.Set{set}, opts)   // asks; changes nothing
//	hold, err := c.Hold(ctx, plan.Sets, opts)             // keeps others from changing them
//	err = c.Apply(hold, plan, opts)                       // server-side apply, in order of dependency
//	err = c.Wait(hold.Context, plan.Objects(), opts)      // until ready, or a reason why not
//	err = c.Prune(hold.Context, plan, opts)               // what the script no longer has
//	hold.Release()
//
// A Plan is made by the server: every object is applied in a dry run, so that what
// would be refused (an unknown field, a conflict, a field that can't be changed) is
// known of all of them before the first is changed. The difference between that answer
// and what is there is what `labstar diff` prints.
//
// A Set is a target of a script as the cluster knows it: an ApplySet (KEP-3659), whose
// parent is a ConfigMap that names the kinds and namespaces of its members, which bear
// its id as a label. It is widened before anything is applied and narrowed after what
// is superfluous was removed, so that whatever was interrupted loses track of nothing.
//
// Kinds are looked up by group and version as they are needed. Package discovery of
// client-go would link every type of the API for it.
package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/dynamic"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	clientcmdapi "k8s.io/client-go/tools/clientcmd/api"
	"k8s.io/klog/v2"
)

// Manager is the name under which labstar owns fields.
const Manager = "labstar"

// Options say which cluster is meant.
type Options struct {
	Kubeconfig string // a file, instead of $KUBECONFIG and ~/.kube/config
	Context    string // instead of the current one
	Namespace  string // instead of the context's
	Warn       func(text string)
	Version    string // of labstar
}

// Cluster is a connection. It is safe for use by several goroutines.
type Cluster struct {
	Context, Server, User string // as the kubeconfig has them
	Namespace             string // of objects that name none

	version string
	raw     rest.Interface
	dynamic dynamic.Interface
	kinds   kinds
	reached atomic.Bool // it has answered once
}

// perRequest bounds a request: a server that takes a connection and never answers.
const perRequest = 30 * time.Second

// Connect reads the kubeconfig. No request is made yet.
func Connect(o Options) (*Cluster, error) {
	rules := clientcmd.NewDefaultClientConfigLoadingRules()
	rules.ExplicitPath = o.Kubeconfig
	loader := clientcmd.NewNonInteractiveDeferredLoadingClientConfig(rules, &clientcmd.ConfigOverrides{
		CurrentContext: o.Context, Context: clientcmdapi.Context{Namespace: o.Namespace},
	})
	file, err := loader.RawConfig()
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	if err := checkContext(file, o.Context); err != nil {
		return nil, err
	}
	config, err := loader.ClientConfig()
	if err != nil {
		return nil, kubeconfigError(err)
	}
	c := &Cluster{Context: o.Context, Server: config.Host, version: o.Version}
	if c.Context == "" {
		c.Context = file.CurrentContext
	}
	if ctx := file.Contexts[c.Context]; ctx != nil {
		c.User = ctx.AuthInfo
	}
	if c.Namespace, _, err = loader.Namespace(); err != nil {
		return nil, kubeconfigError(err)
	}
	// What client-go logs, it returns too.
	klog.SetSlogLogger(slog.New(slog.DiscardHandler))
	config.QPS = -1 // the server has flow control of its own
	config.Timeout = perRequest
	config.UserAgent = Manager + "/" + o.Version
	config.WarningHandler = &warner{tell: o.Warn, seen: map[string]bool{}}
	config = dynamic.ConfigFor(config)
	client, err := rest.HTTPClientFor(config)
	if err != nil {
		return nil, kubeconfigError(err)
	}
	raw, err := rest.UnversionedRESTClientForConfigAndClient(config, client)
	if err != nil {
		return nil, kubeconfigError(err)
	}
	c.raw, c.dynamic = raw, dynamic.New(raw)
	return c, nil
}

// String names the cluster for people.
func (c *Cluster) String() string {
	if c.Context == "" {
		return c.Server
	}
	return fmt.Sprintf("%s (context %s)", c.Server, c.Context)
}

// get reads a path of the API into v.
func (c *Cluster) get(ctx context.Context, path string, v any) error {
	var b []byte
	err := c.retry(ctx, func() (err error) {
		res := c.raw.Get().AbsPath(path).Do(ctx)
		if err := res.Error(); err != nil { // Raw knows the code, and not what the server says
			return err
		}
		b, err = res.Raw()
		return err
	})
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// in returns the client for the objects of a kind, in a namespace if it has them.
func (c *Cluster) in(r resource, namespace string) dynamic.ResourceInterface {
	if !r.namespaced {
		return c.dynamic.Resource(r.gvr)
	}
	return c.dynamic.Resource(r.gvr).Namespace(namespace)
}

// UID returns what tells one cluster from another whatever its address: the UID of
// the namespace kube-system; "" if the user may not read it.
func (c *Cluster) UID(ctx context.Context) (string, error) {
	var ns unstructured.Unstructured
	err := c.get(ctx, "/api/v1/namespaces/kube-system", &ns.Object)
	if forbidden(err) {
		return "", nil
	}
	if err != nil {
		return "", c.explain(err, "")
	}
	return string(ns.GetUID()), nil
}

// warner passes on the warnings of the server, each once.
type warner struct {
	tell func(string)
	seen map[string]bool
	mu   sync.Mutex
}

func (w *warner) HandleWarningHeader(code int, _ string, text string) {
	if code != 299 || text == "" || w.tell == nil {
		return
	}
	w.mu.Lock()
	again := w.seen[text]
	w.seen[text] = true
	w.mu.Unlock()
	if !again {
		w.tell(strings.TrimSpace(text))
	}
}
