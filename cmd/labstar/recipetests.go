package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/starlark/host"
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
	return ls.RecipeTests(ctx, filepath.Base(file), patterns...)
}

// runRecipe runs the tests of a file NAME_test.star.
func (o *testOptions) runRecipe(ctx context.Context, file string, patterns []string) error {
	a := o.app
	tests, err := a.recipeTests(ctx, file, patterns)
	if err != nil {
		return err
	}
	if o.list {
		var list []testEvent
		for _, t := range tests {
			list = append(list, testEvent{Event: "test", Name: t.Name, Status: labstar.NotRun, At: t.Site.String()})
		}
		return a.tellTests(list)
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
