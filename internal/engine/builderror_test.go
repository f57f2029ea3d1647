package engine

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/labstar/labstar/action"
)

// wrong fails with an error for each word of its text: one of the whole action for
// "whole", and of a part by that name for the others.
var wrong = &action.Op{Name: "test/wrong", Version: 1, Run: func(_ context.Context, env action.Env) error {
	var p params
	if err := env.Params(&p); err != nil {
		return err
	}
	var errs []error
	for word := range strings.FieldsSeq(string(p.Text)) {
		err := fmt.Errorf("%s is wrong", word)
		if word != "whole" {
			err = &action.PartError{Part: word, Err: err}
		}
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}}

// An only error about a part is told at that part's line; of several each has its own.
func TestPoints(t *testing.T) {
	line := func(n int) []action.Frame { return []action.Frame{{File: "lab.star", Line: n, Col: 3}} }
	for text, want := range map[string]string{
		"whole":             "lab.star:1:3 whole is wrong",
		"declared":          "lab.star:2:3 declared is wrong",
		"found":             "lab.star:3:3-9 found is wrong",
		"unknown":           "lab.star:1:3 unknown is wrong",
		"found whole":       "lab.star:1:3 found is wrong (lab.star:3:3)\nwhole is wrong; lab.star:3:3-9 found is wrong; lab.star:1:3 whole is wrong",
		"declared found":    "lab.star:1:3 declared is wrong (lab.star:2:3)\nfound is wrong (lab.star:3:3); lab.star:2:3 declared is wrong; lab.star:3:3-9 found is wrong",
		"whole found other": "lab.star:1:3 whole is wrong\nfound is wrong (lab.star:3:3)\nother is wrong; lab.star:3:3-9 found is wrong; lab.star:1:3 whole is wrong\nother is wrong",
		"unknown elsewhere": "lab.star:1:3 unknown is wrong\nelsewhere is wrong",
	} {
		e := newEngine(t, t.TempDir(), Options{})
		s := action.NewScope()
		s.SetPlaces(func(_ context.Context, a *action.Action, parts []string) map[string]action.Place {
			places := map[string]action.Place{}
			for _, part := range parts {
				if part == "found" && a.Title == "wrong" {
					places[part] = action.Place{Site: line(3), EndCol: 9}
				}
			}
			return places
		})
		a, err := s.Action(action.Spec{Op: wrong, Params: params{Text: action.Late(text)}, Title: "wrong", Site: line(1),
			Parts: map[string][]action.Frame{"declared": line(2)}, Outputs: []action.Output{{Name: "out", Kind: action.File}}})
		if err != nil {
			t.Fatal(err)
		}
		rep, err := e.Build(t.Context(), []*action.Artifact{a.Output("out")})
		var b *BuildError
		if err != nil || len(rep.Errors) != 1 || !errors.As(rep.Errors[0], &b) {
			t.Fatalf("%s: got %+v, %v", text, rep, err)
		}
		shown := func(p action.Place, err error) string {
			end := ""
			if p.EndCol != 0 {
				end = fmt.Sprintf("-%d", p.EndCol)
			}
			return fmt.Sprintf("%s%s %v", p.Site[0], end, err)
		}
		got := shown(action.Place{Site: b.Site, EndCol: b.EndCol}, b.Err)
		for _, p := range b.Points {
			got += "; " + shown(p.Place, p.Err)
		}
		if got != want {
			t.Errorf("%s: got\n%s\nwant\n%s", text, got, want)
		}
	}
}
