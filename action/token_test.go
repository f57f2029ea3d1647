package action

import (
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"testing"
)

var textOp = &Op{Name: "test/text", Version: 1}

func newAction(t *testing.T, s *Scope, params any, inputs ...Input) *Action {
	t.Helper()
	a, err := s.Action(Spec{Op: textOp, Params: params, Inputs: inputs, Title: fmt.Sprint(params),
		Outputs: []Output{{Name: "out", Kind: File}}, Site: []Frame{{File: "lab.star", Line: 3, Col: 5}}})
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func TestTokensSurviveOrdinaryUse(t *testing.T) {
	s := NewScope()
	a := newAction(t, s, "image").Output("out")
	token := a.Token(Text)
	j, err := json.Marshal(map[string]string{"image": "repo@" + token})
	if err != nil {
		t.Fatal(err)
	}
	for _, text := range []string{token, "x" + token + "y", token + token, string(j), fmt.Sprintf("%q", token), strings.TrimSpace(" " + token)} {
		refs, err := s.Refs(text)
		if err != nil || len(refs) != 1 || !refs[0].Artifact.Equal(a) || refs[0].Kind != Text {
			t.Errorf("Refs(%q) = %v, %v", text, refs, err)
		}
		out, err := s.Substitute(text, func(Ref) (string, error) { return "V", nil })
		if err != nil || strings.Contains(out, "labstar") || !strings.Contains(out, "V") {
			t.Errorf("Substitute(%q) = %q, %v", text, out, err)
		}
	}
}

func TestDamagedTokens(t *testing.T) {
	s := NewScope()
	token := newAction(t, s, "image").Output("out").Token(Text)
	for name, text := range map[string]string{
		"front":     token[:len(token)-3],
		"back":      token[4:],
		"middle":    token[14:40],
		"short":     token[7:19], // of an image.digest
		"upper":     strings.ToUpper(token),
		"title":     strings.ToUpper(token[:2]) + token[2:],
		"exchanged": strings.Replace(token, ".t.", ".p.", 1),
		"foreign":   tokenPrefix + "t." + strings.Repeat("0", 40) + tokenSuffix,
	} {
		_, err := s.Refs("before " + text + " after")
		var te *TokenError
		if !errors.As(err, &te) {
			t.Errorf("%s: got %v, want a TokenError for %q", name, err, text)
			continue
		}
		if name != "foreign" && !strings.Contains(err.Error(), "made at lab.star:3:5") {
			t.Errorf("%s: the error names no artifact: %v", name, err)
		}
	}
	for _, text := range []string{"", "user@host", "@", strings.Repeat("a", 64), "sha256:" + Of([]byte("x")).Hex(), "labstar"} {
		if refs, err := s.Refs(text); err != nil || refs != nil {
			t.Errorf("Refs(%q) = %v, %v", text, refs, err)
		}
	}
}

func TestDefinitions(t *testing.T) {
	s, other := NewScope(), NewScope()
	in := newAction(t, s, "in").Output("out")
	a := newAction(t, s, "a", Input{"x", in})
	if b := newAction(t, other, "a", Input{"x", newAction(t, other, "in").Output("out")}); a.Definition() != b.Definition() {
		t.Error("equal actions of two evaluations differ")
	}
	for name, b := range map[string]*Action{
		"params":     newAction(t, s, "b", Input{"x", in}),
		"input name": newAction(t, s, "a", Input{"y", in}),
		"no input":   newAction(t, s, "a"),
		"input":      newAction(t, s, "a", Input{"x", newAction(t, s, "in2").Output("out")}),
	} {
		if a.Definition() == b.Definition() {
			t.Errorf("%s makes no difference", name)
		}
	}
	fixed := func(url string) *Action {
		f, err := s.Action(Spec{Op: textOp, Params: url, Fixed: Of([]byte("x")).Hash, Outputs: []Output{{Name: "f", Kind: File}}})
		if err != nil {
			t.Fatal(err)
		}
		return f
	}
	if fixed("https://a").Definition() != fixed("https://b").Definition() {
		t.Error("the address of fixed content makes a difference")
	}
}

func FuzzRefs(f *testing.F) {
	s := NewScope()
	a, err := s.Action(Spec{Op: textOp, Outputs: []Output{{Name: "out", Kind: File}}})
	if err != nil {
		f.Fatal(err)
	}
	token := a.Output("out").Token(Path)
	f.Add(token)
	f.Add("x" + token[3:] + token)
	f.Fuzz(func(t *testing.T, text string) {
		refs, err := s.Refs(text)
		if err == nil && len(refs) == 0 && strings.Contains(text, token) {
			t.Errorf("a token in %q was missed", text)
		}
	})
}

func BenchmarkAction(b *testing.B) {
	s := NewScope()
	prev := s.Source(Source{Kind: File, Digest: Of([]byte("x")), Path: "x"}, "x", nil)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		a, err := s.Action(Spec{Op: Exec, Params: Command{Argv: []string{"/bin/sh", "-euc", "cat /in/x > out" + fmt.Sprint(i)}, Root: []string{"root"}, Outputs: []string{"out"}},
			Inputs: []Input{{"x", prev}}, Outputs: []Output{{Name: "out", Kind: File}}})
		if err != nil {
			b.Fatal(err)
		}
		prev = a.Output("out")
	}
}
