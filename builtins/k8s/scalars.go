package k8s

import (
	"encoding/base64"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/labstar/labstar/internal/kube/openapi"
	"github.com/labstar/labstar/starlark/schema"
)

// This file holds texts, numbers and the like against their schemas.

func (a at) text(s *openapi.Schema, x any) {
	text, ok := x.(string)
	if !ok {
		switch x.(type) {
		case int64, float64, bool:
			if word := a.yamlWord(); word != "" {
				a.fail("", "got bool, want a string: YAML reads %s as %v; write %q", word, x, word)
				return
			}
			a.fail("", "got %s, want a string: write %q", schema.KindOf(x), scalar(x))
		default:
			a.fail("", "got %s, want %s", schema.KindOf(x), wanted(s))
		}
		return
	}
	switch s.Base {
	case openapi.Enum:
		if !slices.Contains(s.Values, text) {
			a.fail("", "got %q, want one of %s%s", clip(text), quoted(s.Values), didYouMean(text, s.Values))
		}
	case openapi.Time:
		if _, err := time.Parse(time.RFC3339, text); err != nil {
			a.fail("", "got %q, want a time such as \"2026-01-02T15:04:05Z\"", clip(text))
		}
	case openapi.Bytes:
		if _, err := base64.StdEncoding.DecodeString(text); err != nil && !a.c.late(text) {
			hint := ""
			if a.o.kind == "Secret" {
				hint = "plain text goes into stringData"
			}
			a.fail(hint, "got %q, want base64", clip(text))
		}
	case openapi.String:
		if s.Pattern != "" {
			if re, err := regexp.Compile(s.Pattern); err == nil && !re.MatchString(text) {
				a.fail("", "got %q, want a string that matches %s", clip(text), s.Pattern)
			}
		}
	}
}

// yamlWord is what a YAML file has where it means a bool by a word that looks like
// another: y, no, On. "" if it is none of these.
func (a at) yamlWord() string {
	if a.o.source == nil {
		return ""
	}
	p := a.o.source.place(a.p, false)
	line := []rune(p.Source)
	if p.Col > len(line) {
		return ""
	}
	word := string(line[p.Col-1 : min(p.EndCol-1, len(line))])
	if slices.Contains([]string{"y", "n", "yes", "no", "on", "off"}, strings.ToLower(word)) {
		return word
	}
	return ""
}

// scalar writes a value as YAML does.
func scalar(x any) string {
	if f, ok := x.(float64); ok {
		return strconv.FormatFloat(f, 'g', -1, 64)
	}
	return fmt.Sprint(x)
}

func (a at) numeric(s *openapi.Schema, x any) {
	var f float64
	switch x := x.(type) {
	case int64:
		f = float64(x)
		if s.Base == openapi.Int32 && (x > math.MaxInt32 || x < math.MinInt32) {
			a.fail("", "got %d, want a number of at most 32 bits", x)
			return
		}
	case float64:
		f = x
		if s.Base != openapi.Number && x != math.Trunc(x) {
			a.fail("", "got %v, want a whole number", x)
			return
		}
	case string:
		hint := ""
		if _, err := strconv.ParseFloat(x, 64); err == nil {
			hint = "write " + x + " without quotes"
		}
		a.fail(hint, "got the string %q, want a number", a.c.readable(x))
		return
	default:
		a.fail("", "got %s, want a number", schema.KindOf(x))
		return
	}
	if s.Min != nil && f < *s.Min {
		a.fail("", "got %v, want at least %v", x, *s.Min)
	}
	if s.Max != nil && f > *s.Max {
		a.fail("", "got %v, want at most %v", x, *s.Max)
	}
}

func (a at) boolean(x any) {
	switch x := x.(type) {
	case bool:
	case string:
		hint := ""
		switch strings.ToLower(x) {
		case "true", "yes", "on", "1":
			hint = "write True"
		case "false", "no", "off", "0":
			hint = "write False"
		}
		a.fail(hint, "got the string %q, want True or False", clip(x))
	default:
		a.fail("", "got %s, want True or False", schema.KindOf(x))
	}
}
