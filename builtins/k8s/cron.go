package k8s

import (
	"fmt"
	"strconv"
	"strings"
)

// cronFields are the five fields of a schedule.
var cronFields = []struct {
	name      string
	low, high int
	words     string // names of values, from low
}{
	{"minute", 0, 59, ""},
	{"hour", 0, 23, ""},
	{"day of the month", 1, 31, ""},
	{"month", 1, 12, "jan feb mar apr may jun jul aug sep oct nov dec"},
	{"day of the week", 0, 6, "sun mon tue wed thu fri sat"},
}

// cronError says what is wrong with a schedule, as robfig/cron would refuse it, which
// Kubernetes uses; "" if nothing is.
func cronError(s string) (msg, hint string) {
	if strings.Contains(s, "TZ=") {
		return fmt.Sprintf("got the schedule %q, and a time zone goes into the field timeZone", clip(s)), ""
	}
	if name, ok := strings.CutPrefix(s, "@"); ok {
		switch name {
		case "yearly", "annually", "monthly", "weekly", "daily", "midnight", "hourly":
			return "", ""
		}
		if strings.HasPrefix(name, "every ") {
			return "", ""
		}
		return fmt.Sprintf("got the schedule %q, want five fields, or @hourly, @daily, @weekly, @monthly, @yearly", clip(s)), ""
	}
	fields := strings.Fields(s)
	if len(fields) != len(cronFields) {
		hint = "five fields: minute hour day-of-month month day-of-week"
		if len(fields) == 6 {
			hint += "; Kubernetes has no seconds"
		}
		return fmt.Sprintf("got the schedule %q of %d fields, want five", clip(s), len(fields)), hint
	}
	for i, f := range fields {
		for part := range strings.SplitSeq(f, ",") {
			if err := cronPart(i, part); err != "" {
				return fmt.Sprintf("got the schedule %q: %s", clip(s), err), ""
			}
		}
	}
	return "", ""
}

// cronPart checks one of the alternatives of a field: *, 5, 1-5, */10, 1-30/2, mon-fri.
func cronPart(i int, part string) string {
	f := cronFields[i]
	span, step, stepped := strings.Cut(part, "/")
	if stepped {
		if n, err := strconv.Atoi(step); err != nil || n < 1 {
			return fmt.Sprintf("the step of the %s is %q, want a number", f.name, step)
		}
	}
	if span == "*" || span == "?" {
		return ""
	}
	low, high, ranged := strings.Cut(span, "-")
	from, msg := cronValue(i, low)
	if msg != "" {
		return msg
	}
	if !ranged {
		return ""
	}
	to, msg := cronValue(i, high)
	if msg == "" && to < from {
		msg = fmt.Sprintf("the %s goes from %s to %s", f.name, low, high)
	}
	return msg
}

func cronValue(i int, s string) (int, string) {
	f := cronFields[i]
	for k, w := range strings.Fields(f.words) {
		if strings.EqualFold(w, s) {
			return f.low + k, ""
		}
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		return 0, fmt.Sprintf("the %s is %q, want a number", f.name, s)
	}
	if n < f.low || n > f.high {
		return 0, fmt.Sprintf("the %s is %d, want %d to %d", f.name, n, f.low, f.high)
	}
	return n, ""
}
