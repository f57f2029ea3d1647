package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/term"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
	"github.com/labstar/labstar/starlark/startest"
)

// isRecipeTest reports whether the file's tests are functions.
func isRecipeTest(file string) bool { return strings.HasSuffix(file, "_test.star") }

// recipeTests evaluates a file of tests and returns those that the patterns name, all
// if there are none.
func (a *app) recipeTests(ctx context.Context, file string, patterns []string) ([]startest.Test, error) {
	ls, err := a.open(file)
	if err != nil {
		return nil, err
	}
	defer func() { _ = ls.Close() }() // nothing was written
	all, err := ls.RecipeTests(ctx, filepath.Base(file))
	if err != nil || len(patterns) == 0 {
		return all, err
	}
	var names []string
	for _, t := range all {
		names = append(names, t.Name)
	}
	picked := map[string]bool{}
	for _, p := range patterns {
		found := false
		for _, name := range names {
			match, err := path.Match(p, name)
			if err != nil {
				return nil, fmt.Errorf("got the pattern %q, want a name, or one with *, ? and [a-z]", p)
			}
			if match {
				picked[name], found = true, true
			}
		}
		if !found {
			msg := fmt.Sprintf("%s has no test %q", file, p)
			if s := schema.Suggest(p, names); s != "" {
				msg += fmt.Sprintf(" (did you mean %q?)", s)
			}
			return nil, errors.New(msg)
		}
	}
	return slices.DeleteFunc(all, func(t startest.Test) bool { return !picked[t.Name] }), nil
}

// runRecipe runs the tests of a file NAME_test.star.
func (o *testOptions) runRecipe(ctx context.Context, file string, patterns []string) error {
	a := o.app
	tests, err := a.recipeTests(ctx, file, patterns)
	if err != nil {
		return err
	}
	if o.list {
		return a.listRecipe(tests)
	}
	results := make([]testEvent, len(tests))
	failed := false
	for i, t := range tests {
		ev := testEvent{Event: "test", Name: t.Name, Status: labstar.Passed, At: t.Site.String()}
		if failed && o.failFast {
			ev.Status, ev.Message = labstar.NotRun, "another one failed before"
			results[i] = ev
			continue
		}
		r := t.Run(ctx)
		if err := ctx.Err(); err != nil {
			return err
		}
		ev.Seconds = r.Elapsed.Seconds()
		if r.Err != nil {
			failed = true
			ev.Status, ev.Message = labstar.Failed, r.Err.Error()
			if !a.json {
				a.report(r.Err)
			}
			var at host.Errors
			if errors.As(r.Err, &at) && len(at) > 0 {
				ev.At, ev.Message = fmt.Sprintf("%s:%d:%d", at[0].File, at[0].Line, at[0].Col), at[0].Msg
			}
		}
		results[i] = ev
	}
	if o.junit != "" {
		if err := writeJUnit(o.junit, file, a.seconds(), results); err != nil {
			return err
		}
	}
	return o.tell(results)
}

func (a *app) listRecipe(tests []startest.Test) error {
	width := 0
	for _, t := range tests {
		width = max(width, term.Width(t.Name))
	}
	return a.buffered(func(w io.Writer) error {
		for _, t := range tests {
			var err error
			if a.json {
				err = a.events.write(testEvent{Event: "test", Name: t.Name, Status: labstar.NotRun, At: t.Site.String()})
			} else {
				_, err = fmt.Fprintf(w, "%-*s  %-7s  %s\n", width, t.Name, labstar.NotRun, t.Site)
			}
			if err != nil {
				return err
			}
		}
		if a.json {
			return a.events.write(testSummary{Event: "summary", Command: "test", Seconds: a.seconds()})
		}
		return nil
	})
}
