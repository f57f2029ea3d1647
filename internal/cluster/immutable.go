package cluster

import (
	"fmt"
	"net/http"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	"github.com/labstar/labstar/internal/kube/immutable"
)

// ImmutableError is an object that differs from what there is in fields that can't be
// changed.
type ImmutableError struct {
	Object  *Object
	Changes []immutable.Change // from what is there; empty if only the server knows which
	Hint    string

	fields string // as the server names them
}

func (e *ImmutableError) Error() string {
	what := e.fields
	if len(e.Changes) > 0 {
		var list []string
		for _, c := range e.Changes {
			list = append(list, c.String())
		}
		what = strings.Join(list, ", ")
	}
	return fmt.Sprintf("%s can't be changed in %s: %s", e.Object, what, e.Hint)
}

// immutableWords are the words with which the API server refuses to change a field. It
// has no code for it: each kind's validation says it in its own way.
var immutableWords = []string{"field is immutable", "is immutable after creation", "updates to statefulset spec for fields other than",
	"may not change once set", "cannot change roleRef", "pod updates may not change fields", "updates to parameters are forbidden",
	"updates to provisioner are forbidden", "updates to reclaimPolicy are forbidden", "updates to volumeBindingMode", "updates to driverName are forbidden",
	"may not be changed in an update", "can only be modified in tandem", "field can not be less than", "is immutable"}

func isImmutable(status *metav1.Status) bool {
	if status.Code != http.StatusUnprocessableEntity && status.Code != http.StatusForbidden {
		return false
	}
	return slices.ContainsFunc(immutableWords, func(words string) bool { return strings.Contains(status.Message, words) })
}

// immutableFields names the fields that can't be changed.
func immutableFields(status *metav1.Status) string {
	var fields []string
	if status.Details != nil {
		for _, cause := range status.Details.Causes {
			if cause.Field != "" && !slices.Contains(fields, cause.Field) {
				fields = append(fields, cause.Field)
			}
		}
	}
	if len(fields) == 0 {
		return "what differs"
	}
	return list(fields)
}
