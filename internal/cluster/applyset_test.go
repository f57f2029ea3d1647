package cluster

import (
	"path/filepath"
	"strings"
	"testing"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

func TestSetID(t *testing.T) {
	s := NewSet("tiny", "manifests", "lab", nil)
	if got := s.Name(); got != "labstar.tiny.manifests" {
		t.Errorf("got name %s", got)
	}
	// printf labstar.tiny.manifests.lab.ConfigMap. | openssl sha256 -binary | base64 | tr +/ -_ | tr -d =
	if got, want := s.ID(), "applyset-zYcFvrlVGkwBC3Zp_pBY5lAMGJNVczfy_WSyY1DujLY-v1"; got != want {
		t.Errorf("got %s, want %s", got, want)
	}
}

func TestLabelValue(t *testing.T) {
	seen := map[string]string{}
	for _, text := range []string{"tiny", "my lab", "my-lab", "My-lab", "my_lab", "Ünï", "---", "", strings.Repeat("long", 30), strings.Repeat("long", 31)} {
		v := LabelValue(text)
		if len(v) == 0 || len(v) > 63 || strings.Trim(v, "abcdefghijklmnopqrstuvwxyz0123456789-") != "" || v[0] == '-' || v[len(v)-1] == '-' {
			t.Errorf("%q: got %q, which is no label", text, v)
		}
		if other, ok := seen[v]; ok {
			t.Errorf("%q and %q are both %s", text, other, v)
		}
		seen[v] = text
	}
	if got := LabelValue("tiny"); got != "tiny" {
		t.Errorf("got %s", got)
	}
}

func TestHomes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "config", "clusters.json")
	open := func() *Homes {
		t.Helper()
		h, err := OpenHomes(path)
		if err != nil {
			t.Fatal(err)
		}
		return h
	}
	here := &Cluster{Context: "kind", Server: "https://127.0.0.1:6443"}
	if h := open(); h.Has("lab.star") || h.Check("lab.star", here, "uid-1") != nil {
		t.Errorf("a script that was never applied has a home")
	}
	if err := open().Set("lab.star", here, "uid-1"); err != nil {
		t.Fatal(err)
	}
	moved := &Cluster{Context: "kind", Server: "https://127.0.0.1:7443"}
	for _, tc := range []struct {
		c   *Cluster
		uid string
		ok  bool
	}{
		{here, "uid-1", true},
		{moved, "uid-1", true}, // the same one at another address
		{here, "uid-2", false}, // another one at the same
		{moved, "", false},     // it can't be told, so the address counts
		{here, "", true},
	} {
		if err := open().Check("lab.star", tc.c, tc.uid); (err == nil) != tc.ok {
			t.Errorf("%s, %q: got %v", tc.c, tc.uid, err)
		}
	}
	if err := open().Check("other.star", moved, "uid-2"); err != nil {
		t.Errorf("another script: %v", err)
	}
}

func TestConflict(t *testing.T) {
	status := &metav1.Status{Code: 409, Details: &metav1.StatusDetails{Causes: []metav1.StatusCause{
		{Type: metav1.CauseTypeFieldManagerConflict, Field: ".spec.replicas", Message: `conflict with "kubectl-edit" using apps/v1`},
		{Type: metav1.CauseTypeFieldManagerConflict, Field: ".spec.paused", Message: `conflict with "kubectl-edit" using apps/v1`},
		{Type: metav1.CauseTypeFieldManagerConflict, Field: ".metadata.labels.a", Message: `conflict with "helm" using apps/v1`},
	}}}
	o := object(t, "kind: Deployment\napiVersion: apps/v1\nmetadata: {name: web, namespace: lab}")
	got := conflict(&Step{Object: o}, status).Error()
	want := "Deployment lab/web: kubectl-edit (somebody, by hand) has set spec.replicas, spec.paused; helm has set metadata.labels.a: leave it out of the script, or take it over with --force-conflicts"
	if got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
