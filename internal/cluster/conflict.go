package cluster

import (
	"fmt"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// ConflictError is an object with fields that others set to other values.
type ConflictError struct {
	Object *Object
	Owners []Owner
}

// Owner is a manager and what it owns.
type Owner struct {
	Manager string
	Fields  []string
}

func (e *ConflictError) Error() string {
	var parts []string
	for _, o := range e.Owners {
		parts = append(parts, fmt.Sprintf("%s%s has set %s", o.Manager, role(o.Manager), list(o.Fields)))
	}
	return fmt.Sprintf("%s: %s: leave it out of the script, or take it over with --force-conflicts", e.Object, strings.Join(parts, "; "))
}

// role tells who hides behind the name of a manager.
func role(manager string) string {
	switch {
	case manager == "kubectl-client-side-apply":
		return " (kubectl apply)"
	case strings.HasPrefix(manager, "kubectl"):
		return " (somebody, by hand)"
	case manager == "kube-controller-manager":
		return " (a controller of the cluster, such as an autoscaler)"
	}
	return ""
}

func list(fields []string) string {
	if len(fields) > 4 {
		return strings.Join(fields[:4], ", ") + fmt.Sprintf(" and %d more", len(fields)-4)
	}
	return strings.Join(fields, ", ")
}

// conflict reads who owns what out of the server's answer: one cause for each field,
// whose message names the manager in quotes.
func conflict(s *Step, status *metav1.Status) error {
	e := &ConflictError{Object: s.Object}
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			if cause.Type != metav1.CauseTypeFieldManagerConflict {
				continue
			}
			manager := cause.Message
			if _, rest, ok := strings.Cut(manager, `"`); ok {
				manager, _, _ = strings.Cut(rest, `"`)
			}
			i := slices.IndexFunc(e.Owners, func(o Owner) bool { return o.Manager == manager })
			if i < 0 {
				e.Owners = append(e.Owners, Owner{Manager: manager})
				i = len(e.Owners) - 1
			}
			e.Owners[i].Fields = append(e.Owners[i].Fields, strings.TrimPrefix(cause.Field, "."))
		}
	}
	if len(e.Owners) == 0 {
		return fmt.Errorf("%s: %s: somebody changes it at the same time; run the command again", s.Object, status.Message)
	}
	return e
}
