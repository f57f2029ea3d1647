package k8s

import (
	"slices"
	"strings"

	"github.com/labstar/labstar/starlark/schema"
)

// This file checks LimitRanges and ResourceQuotas.

// checkLimits holds the amounts of a LimitRange against each other: none may be more
// than one that is named later.
func checkLimits(a at, d dict) {
	order := []string{"min", "defaultRequest", "default", "max"}
	a.key("spec").each(sub(d, "spec"), "limits", func(l at, d dict) {
		for i, field := range order {
			if str(d, "type") == "Pod" && has(d, field) && strings.HasPrefix(field, "default") {
				l.key(field).fail("leave it out, or make the type \"Container\"", "got %s with type \"Pod\"", field)
				return
			}
			for _, e := range sub(d, field) {
				q, err := quantity(e.Value)
				if err != nil {
					continue // the schema has said so
				}
				for _, above := range order[i+1:] {
					if most, ok := parseQuantity(sub(d, above), e.Key); ok && most.less(q) {
						l.keys(field, e.Key).fail("lower it, or raise "+above, "got %s, more than %s, %s", q.String(), above, most.String())
						return
					}
				}
			}
		}
	})
}

var (
	counted = []string{"pods", "services", "replicationcontrollers", "resourcequotas", "secrets", "configmaps", "persistentvolumeclaims",
		"services.nodeports", "services.loadbalancers"}
	amounts = []string{"cpu", "memory", "ephemeral-storage", "requests.cpu", "requests.memory", "requests.storage", "requests.ephemeral-storage",
		"limits.cpu", "limits.memory", "limits.ephemeral-storage"}
)

func checkQuota(a at, d dict) {
	a = a.keys("spec", "hard")
	for _, e := range sub(d, "spec", "hard") {
		q, err := quantity(e.Value)
		number := slices.Contains(counted, e.Key) || strings.HasPrefix(e.Key, "count/")
		switch {
		case strings.Contains(e.Key, "/") || strings.Contains(e.Key, "hugepages-"):
		case !number && !slices.Contains(amounts, e.Key):
			hint := "of objects of other kinds it is \"count/" + e.Key + "\", with the group of those that have one: \"count/deployments.apps\""
			all := slices.Concat(counted, amounts)
			if schema.Suggest(e.Key, all) != "" {
				hint = ""
			}
			a.key(e.Key).fail(hint, "there is no resource %q%s", clip(e.Key), didYouMean(e.Key, all))
			continue
		}
		if err == nil && number && !q.IsInt() {
			a.key(e.Key).fail("", "got %s, want a whole number", q.String())
		} else if err == nil && q.Sign() < 0 {
			a.key(e.Key).fail("", "got %s, want 0 or more", q.String())
		}
	}
}
