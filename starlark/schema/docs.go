package schema

import (
	"encoding/json"
	"fmt"
	"strings"
)

// Signature is how the builtin is called: `busybox(source, options = None, *, links = True)`.
func (b *Builtin) Signature() string {
	var parts []string
	star := false
	for _, p := range b.Params() {
		if p.Keyword && !star {
			star = true
			parts = append(parts, "*")
		}
		if p.Required {
			parts = append(parts, p.Name)
		} else {
			parts = append(parts, p.Name+" = "+p.Default)
		}
	}
	return b.name + "(" + strings.Join(parts, ", ") + ")"
}

// Summary is the first sentence of the docstring.
func (b *Builtin) Summary() string {
	first, _, _ := strings.Cut(b.doc, "\n\n")
	first = strings.Join(strings.Fields(first), " ")
	if i := strings.Index(first, ". "); i >= 0 {
		first = first[:i+1]
	}
	return first
}

// Returned is what the builtin gives back, "" if the declaration does not say.
func (b *Builtin) Returned() string { return b.returns }

// Markdown renders the builtin's reference page: a heading, the signature, the
// docstring and a table of the parameters.
func (b *Builtin) Markdown() string {
	var w strings.Builder
	fmt.Fprintf(&w, "## %s\n\n```python\n%s\n```\n\n%s\n", b.name, wrap(b.Signature()), b.doc)
	if len(b.Params()) > 0 {
		w.WriteString("\n| argument | type | default | |\n|---|---|---|---|\n")
	}
	for _, p := range b.Params() {
		def := "required"
		if !p.Required {
			def = "`" + p.Default + "`"
		}
		doc := sentence(p.Doc)
		if len(p.Enum) > 0 {
			doc += " One of `" + strings.Join(p.Enum, "`, `") + "`."
		}
		fmt.Fprintf(&w, "| `%s` | %s | %s | %s |\n", p.Name, p.Type, cell(def), cell(doc))
	}
	if b.returns != "" {
		fmt.Fprintf(&w, "\nReturns %s\n", sentence(b.returns))
	}
	return w.String()
}

// cell escapes what would end a table's cell.
func cell(s string) string { return strings.ReplaceAll(strings.ReplaceAll(s, "|", `\|`), "\n", " ") }

// sentence ends s with a full stop.
func sentence(s string) string {
	if s == "" || strings.HasSuffix(s, ".") {
		return s
	}
	return s + "."
}

// wrap puts each parameter of a long signature on its own line.
func wrap(sig string) string {
	if len(sig) <= 100 {
		return sig
	}
	name, rest, _ := strings.Cut(strings.TrimSuffix(sig, ")"), "(")
	return name + "(\n    " + strings.ReplaceAll(rest, ", ", ",\n    ") + ",\n)"
}

// MarshalJSON describes the builtin for editors: name, signature, docs and
// parameters.
func (b *Builtin) MarshalJSON() ([]byte, error) {
	type param struct {
		Name     string   `json:"name"`
		Type     string   `json:"type"`
		Doc      string   `json:"doc"`
		Default  string   `json:"default,omitempty"`
		Enum     []string `json:"enum,omitempty"`
		Required bool     `json:"required,omitempty"`
		Keyword  bool     `json:"keyword,omitempty"`
	}
	out := struct {
		Name      string  `json:"name"`
		Signature string  `json:"signature"`
		Summary   string  `json:"summary"`
		Doc       string  `json:"doc"`
		Returns   string  `json:"returns,omitempty"`
		Params    []param `json:"params"`
	}{b.name, b.Signature(), b.Summary(), b.doc, b.returns, []param{}}
	for _, p := range b.Params() {
		out.Params = append(out.Params, param{p.Name, p.Type, p.Doc, p.Default, p.Enum, p.Required, p.Keyword})
	}
	return json.Marshal(out)
}
