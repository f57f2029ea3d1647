package k8s

import (
	"fmt"
	"math"
	"math/big"
	"strconv"
	"strings"

	"github.com/labstar/labstar/starlark/schema"
)

// amount is what Kubernetes calls a quantity: "500m", "1.5Gi", 2.
type amount struct {
	big.Rat
	text string // as it was written; "" of a sum
}

var units = map[string]*big.Rat{
	"n": big.NewRat(1, 1e9), "u": big.NewRat(1, 1e6), "m": big.NewRat(1, 1e3), "": big.NewRat(1, 1),
	"k": big.NewRat(1e3, 1), "M": big.NewRat(1e6, 1), "G": big.NewRat(1e9, 1), "T": big.NewRat(1e12, 1), "P": big.NewRat(1e15, 1), "E": big.NewRat(1e18, 1),
	"Ki": big.NewRat(1<<10, 1), "Mi": big.NewRat(1<<20, 1), "Gi": big.NewRat(1<<30, 1), "Ti": big.NewRat(1<<40, 1), "Pi": big.NewRat(1<<50, 1), "Ei": big.NewRat(1<<60, 1),
}

// quantity reads a quantity.
func quantity(x any) (*amount, error) {
	switch x.(type) {
	case int64, float64, string:
	default:
		return nil, fmt.Errorf("got %s", schema.KindOf(x))
	}
	text := scalar(x)
	n := strings.LastIndexAny(text, "0123456789.") + 1
	number, unit := text[:n], text[n:]
	if len(text) > 40 || number == "" || strings.Trim(number, "+-0123456789.eE") != "" || !ratNumber(number) {
		return nil, fmt.Errorf("got %q", text)
	}
	scale, ok := units[unit]
	q := &amount{text: text}
	if _, parsed := q.SetString(number); !ok || !parsed {
		return nil, fmt.Errorf("got %q", text)
	}
	q.Mul(&q.Rat, scale)
	return q, nil
}

// ratNumber refuses what big.Rat reads and Kubernetes does not, and exponents that
// would take all memory.
func ratNumber(s string) bool {
	mantissa, exp, has := strings.Cut(strings.ToLower(s), "e")
	digits := strings.TrimLeft(mantissa, "+-")
	return len(mantissa)-len(digits) <= 1 && strings.Trim(digits, "0123456789.") == "" && strings.Count(digits, ".") <= 1 && digits != "." &&
		(!has || exp != "" && len(strings.TrimLeft(exp, "+-")) <= 2)
}

// String is as it was written; a sum is in the largest unit that suits.
func (q *amount) String() string {
	if q.text != "" {
		return q.text
	}
	f, _ := q.Float64()
	if f < 1<<20 {
		return strconv.FormatFloat(f, 'f', -1, 64)
	}
	for _, u := range []string{"Ti", "Gi", "Mi"} {
		if scale, _ := units[u].Float64(); f >= scale {
			return strconv.FormatFloat(math.Round(f/scale*100)/100, 'f', -1, 64) + u
		}
	}
	return strconv.FormatFloat(f, 'f', -1, 64)
}

func (q *amount) less(than *amount) bool { return q.Cmp(&than.Rat) < 0 }

func parseQuantity(d dict, name string) (*amount, bool) {
	x, ok := d.Get(name)
	if !ok || x == nil {
		return nil, false
	}
	q, err := quantity(x)
	return q, err == nil
}

func (a at) quantityType(x any) {
	switch x.(type) {
	case int64, float64, string:
	default:
		a.fail("", "got %s, want a quantity such as \"500m\" or \"1Gi\"", schema.KindOf(x))
		return
	}
	if _, err := quantity(x); err == nil {
		return
	}
	text := scalar(x)
	number := strings.TrimRight(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ ")
	unit := strings.TrimSpace(text[len(number):])
	meant := ""
	switch strings.ToLower(unit) {
	case "mb", "mib", "m":
		meant = "Mi"
	case "gb", "gib", "g":
		meant = "Gi"
	case "kb", "kib", "k":
		meant = "Ki"
	case "tb", "tib", "t":
		meant = "Ti"
	case "core", "cores", "cpu", "cpus", "b", "bytes":
		meant = ""
	default:
		a.fail("", "got %q, want a quantity such as \"500m\" or \"1Gi\"", clip(text))
		return
	}
	a.fail("", "got %q, want a quantity such as \"500m\" or \"1Gi\" (did you mean %q?)", clip(text), strings.TrimSpace(number)+meant)
}

// bytesQuantity reports sizes in thousandths of a byte: "512m" for "512Mi".
func (a at) bytesQuantity(resourceName, s string) {
	if n, ok := strings.CutSuffix(s, "m"); ok && (resourceName == "memory" || resourceName == "storage" || resourceName == "ephemeral-storage") && n != "" && strings.Trim(n, "0123456789.") == "" {
		a.fail(fmt.Sprintf("write %q", n+"Mi"), "got %q, which is %s thousandths of a byte", s, n)
	}
}

var resourceNames = []string{"cpu", "memory", "ephemeral-storage", "storage"}

// resources checks requests and limits of a container.
func (a at) resources(d dict) {
	limits := sub(d, "limits")
	for _, e := range limits {
		if strings.HasPrefix(e.Key, "hugepages-") && !has(limits, "cpu") && !has(limits, "memory") && !has(sub(d, "requests"), "cpu") && !has(sub(d, "requests"), "memory") {
			a.keys("limits", e.Key).fail("add a request or limit of cpu or memory", "got huge pages without cpu or memory")
			break
		}
	}
	for _, field := range []string{"requests", "limits"} {
		for _, e := range sub(d, field) {
			here := a.keys(field, e.Key)
			if !strings.Contains(e.Key, "/") && !strings.HasPrefix(e.Key, "hugepages-") && e.Key != "cpu" && e.Key != "memory" && e.Key != "ephemeral-storage" {
				hint := "a resource of a device has a name with a domain, as in \"nvidia.com/gpu\""
				if s := schema.Suggest(e.Key, resourceNames); s != "" {
					hint = ""
				}
				here.fail(hint, "there is no resource %q%s", clip(e.Key), didYouMean(e.Key, resourceNames[:3]))
				continue
			}
			q, err := quantity(e.Value)
			if err != nil {
				continue
			}
			if q.Sign() < 0 {
				here.fail("", "got %s, want 0 or more", q.String())
			}
			if s, ok := e.Value.(string); ok {
				here.bytesQuantity(e.Key, s)
			}
			if field == "limits" {
				continue
			}
			limit, ok := parseQuantity(limits, e.Key)
			if ok && limit.less(q) {
				here.fail("lower it, or raise the limit", "got a request of %s, more than the limit of %s", q.String(), limit.String())
			}
			if !ok && strings.Contains(e.Key, "/") {
				here.fail("give it a limit of the same size", "got a request for %s without a limit", e.Key)
			}
		}
	}
}
