package cluster

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
)

// connect makes a kubeconfig for a server and connects.
func connect(t *testing.T, cluster string) *Cluster {
	t.Helper()
	file := filepath.Join(t.TempDir(), "kubeconfig")
	text := fmt.Sprintf("apiVersion: v1\nkind: Config\ncurrent-context: here\nclusters:\n- {name: c, cluster: {%s}}\nusers:\n- {name: me, user: {token: t}}\ncontexts:\n- {name: here, context: {cluster: c, user: me, namespace: lab}}\n", cluster)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	c, err := Connect(Options{Kubeconfig: file, Version: "0"})
	if err != nil {
		t.Fatal(err)
	}
	if c.Namespace != "lab" || c.Context != "here" || c.User != "me" {
		t.Errorf("got namespace %q, context %q, user %q", c.Namespace, c.Context, c.User)
	}
	return c
}

// status answers as the API server does.
func status(w http.ResponseWriter, code int, reason, message string) {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(code)
	_ = json.NewEncoder(w).Encode(map[string]any{"kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code, "reason": reason, "message": message})
}

// What a server answers, or that it does not, is told with what to do.
func TestExplain(t *testing.T) {
	for _, tc := range []struct {
		name   string
		code   int
		reason string
		msg    string
		want   string
	}{
		{"expired", 401, "Unauthorized", "Unauthorized", "does not take the credentials of user me: they may have expired, so log in again"},
		{"forbidden", 403, "Forbidden", `pods is forbidden: User "me" cannot list resource "pods"`, `reading: pods is forbidden: User "me" cannot list resource "pods"; ask for a role that allows it of user me`},
		{"quota", 403, "Forbidden", "exceeded quota: few", "reading: exceeded quota: few; ask for less, raise the ResourceQuota"},
		{"field", 500, "InternalError", "failed to create typed patch object (lab/web; apps/v1, Kind=Deployment): .spec.replica: field not declared in schema",
			"field not declared in schema; what the script's own checks let pass is of another version of Kubernetes: name the cluster's with k8s_version"},
		{"broken", 500, "InternalError", "oops", "reading: Internal error occurred: oops; the server is in trouble: run the same command again"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				if tc.code == 500 {
					status(w, tc.code, tc.reason, "Internal error occurred: "+tc.msg)
					return
				}
				status(w, tc.code, tc.reason, tc.msg)
			}))
			defer s.Close()
			c := connect(t, "server: "+s.URL)
			var v any
			err := c.explain(c.get(t.Context(), "/api/v1/pods", &v), "reading")
			if err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

func TestUnreachable(t *testing.T) {
	plain := httptest.NewServer(http.NotFoundHandler())
	defer plain.Close()
	encrypted := httptest.NewTLSServer(http.NotFoundHandler())
	defer encrypted.Close()
	for _, tc := range []struct{ name, cluster, want string }{
		{"a stranger", "server: " + encrypted.URL, "its certificate is signed by an authority that the kubeconfig does not name"},
		{"no TLS", "server: " + strings.Replace(plain.URL, "http:", "https:", 1), "it speaks plain HTTP; write http:// in the kubeconfig's server address"},
		{"nobody", "server: 'http://127.0.0.1:1'", "nothing listens there; is it running?"},
		{"no such host", "server: 'https://labstar.invalid'", "there is no host labstar.invalid"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			c := connect(t, tc.cluster)
			if _, err := c.UID(t.Context()); err == nil || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("got %v, want %q", err, tc.want)
			}
		})
	}
}

// A server that has answered before is asked again when a connection breaks, or when it
// says that it is busy; one that never has is not.
func TestRetry(t *testing.T) {
	var n atomic.Int32
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		switch n.Add(1) {
		case 1, 4:
			fmt.Fprint(w, `{"metadata": {"uid": "u"}}`)
		case 2:
			status(w, 503, "ServiceUnavailable", "shutting down")
		default: // in the middle of the answer
			w.Header().Set("Content-Length", "1000")
			_, _ = w.Write([]byte("{"))
			w.(http.Flusher).Flush()
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	c := connect(t, "server: "+s.URL)
	for range 2 {
		if uid, err := c.UID(t.Context()); err != nil || uid != "u" {
			t.Fatalf("got %q, %v", uid, err)
		}
	}
	if n.Load() != 4 {
		t.Errorf("got %d requests, want 4", n.Load())
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := c.UID(ctx); err == nil || n.Load() != 4 {
		t.Errorf("after the end: got %v and %d requests", err, n.Load())
	}
	n.Store(2)
	if _, err := connect(t, "server: "+s.URL).UID(t.Context()); err == nil || n.Load() != 3 {
		t.Errorf("the first of all: got %v and %d requests", err, n.Load()-2)
	}
}
