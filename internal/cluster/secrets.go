package cluster

import (
	"encoding/base64"
	"fmt"
	"sort"
	"strconv"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"

	"github.com/labstar/labstar/action"
)

// FillSecrets puts the values of secrets into the Secrets that hold their tokens, and
// makes text of stringData what the cluster keeps, base64 in data: server-side apply
// would not see that a key of stringData is gone. A token anywhere else is an error.
func FillSecrets(list []*Object, value func(name string) (string, error)) error {
	for _, o := range list {
		if o.GroupVersionKind().GroupKind() == secretKind {
			if err := fillSecret(o.Unstructured, value); err != nil {
				return fmt.Errorf("%s: %w", o, err)
			}
		}
		if at, name := findToken(o.Object, ""); name != "" {
			return fmt.Errorf("%s: %s holds the secret %q, which everybody could read there: put it into a Secret and refer to that", o, at, name)
		}
	}
	return nil
}

func fillSecret(u *unstructured.Unstructured, value func(string) (string, error)) error {
	data, _, err := unstructured.NestedMap(u.Object, "data")
	if err != nil {
		return err
	}
	if data == nil {
		data = map[string]any{}
	}
	for key, v := range data {
		if s, ok := v.(string); ok && len(action.SecretTokens(s)) > 0 { // text, since no base64 has such a thing
			if data[key], err = encoded(s, value); err != nil {
				return err
			}
		}
	}
	text, _, err := unstructured.NestedStringMap(u.Object, "stringData")
	if err != nil {
		return err
	}
	for key, s := range text {
		if data[key], err = encoded(s, value); err != nil {
			return err
		}
	}
	delete(u.Object, "stringData")
	if len(data) > 0 {
		u.Object["data"] = data
	}
	return nil
}

func encoded(s string, value func(string) (string, error)) (string, error) {
	s, err := action.FillSecrets(s, value)
	return base64.StdEncoding.EncodeToString([]byte(s)), err
}

// findToken looks for a secret's token and tells where it is.
func findToken(v any, at string) (where, name string) {
	switch v := v.(type) {
	case string:
		if names := action.SecretTokens(v); len(names) > 0 {
			return at, names[0]
		}
	case []any:
		for i, e := range v {
			if where, name := findToken(e, at+"["+strconv.Itoa(i)+"]"); name != "" {
				return where, name
			}
		}
	case map[string]any:
		keys := make([]string, 0, len(v))
		for k := range v {
			keys = append(keys, k)
		}
		sort.Strings(keys)
		for _, k := range keys {
			if where, name := findToken(v[k], at+"."+k); name != "" {
				return where, name
			}
		}
	}
	return "", ""
}
