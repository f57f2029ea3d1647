package main

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/internal/term"
	"github.com/labstar/labstar/starlark/schema"
)

func docsCommand() command {
	return command{
		name: "docs", args: "[BUILTIN]",
		short: "list what a script can use, or explain one builtin",
		long: `
Lists the builtins of the language with what they do, or prints the reference page
of one: its parameters, their types and defaults, and examples. What Starlark itself
has (def, for, lists, dicts, strings) is described at
https://github.com/bazelbuild/starlark/blob/master/spec.md.`,
		examples: `
labstar docs
labstar docs busybox`,
		setup: func(a *app, _ *pflag.FlagSet) runner {
			return func(_ context.Context, args []string) error {
				all := builtins.All()
				slices.SortFunc(all, func(x, y *schema.Builtin) int { return strings.Compare(x.Name(), y.Name()) })
				if len(args) == 0 {
					return a.buffered(func(w io.Writer) error { return a.listBuiltins(w, all) })
				}
				var names []string
				for _, b := range all {
					if b.Name() == args[0] {
						return a.buffered(func(w io.Writer) error { return a.builtinPage(w, b) })
					}
					names = append(names, b.Name())
				}
				if s := schema.Suggest(args[0], names); s != "" {
					return usagef("docs", "there is no builtin %q (did you mean %q?)", args[0], s)
				}
				return usagef("docs", "there is no builtin %q; `labstar docs` lists them", args[0])
			}
		},
	}
}

func (a *app) listBuiltins(w io.Writer, all []*schema.Builtin) error {
	for _, b := range all {
		if _, err := fmt.Fprintf(w, "%s %s\n", a.outTerm.Cyan(fmt.Sprintf("%-16s", b.Name())), firstSentence(b)); err != nil {
			return err
		}
	}
	return nil
}

// firstSentence is what a builtin does, without its name in front.
func firstSentence(b *schema.Builtin) string {
	doc := strings.ReplaceAll(strings.TrimPrefix(b.Doc(), b.Name()+" "), "\n", " ")
	for i := 0; i+1 < len(doc); i++ {
		if doc[i] == '.' && doc[i+1] == ' ' {
			return doc[:i]
		}
	}
	return strings.TrimSuffix(doc, ".")
}

func (a *app) builtinPage(w io.Writer, b *schema.Builtin) error {
	t := a.outTerm
	fmt.Fprintf(w, "%s\n\n%s\n", t.Bold(signature(b)), b.Doc())
	if r := b.Returned(); r != "" {
		fmt.Fprintf(w, "\n%s %s.\n", t.Bold("Returns"), strings.TrimSuffix(r, "."))
	}
	fmt.Fprintf(w, "\n%s\n", t.Bold("Parameters:"))
	for _, p := range b.Params() {
		notes := []string{p.Type}
		switch {
		case p.Required:
			notes = append(notes, "required")
		case p.Default != "":
			notes = append(notes, "default "+p.Default)
		}
		if len(p.Enum) > 0 {
			notes = append(notes, "one of "+strings.Join(p.Enum, ", "))
		}
		if p.Keyword {
			notes = append(notes, "by name only")
		}
		fmt.Fprintf(w, "  %s %s\n", t.Cyan(p.Name), t.Dim("("+strings.Join(notes, "; ")+")"))
		for _, line := range wrap(p.Doc, 74) {
			if _, err := fmt.Fprintf(w, "      %s\n", line); err != nil {
				return err
			}
		}
	}
	return nil
}

// signature is `run(cmd, *, toolchain, outputs, inputs = None)`.
func signature(b *schema.Builtin) string {
	var parts []string
	star := false
	for _, p := range b.Params() {
		if p.Keyword && !star {
			star = true
			parts = append(parts, "*")
		}
		s := p.Name
		if p.Default != "" {
			s += " = " + p.Default
		}
		parts = append(parts, s)
	}
	return b.Name() + "(" + strings.Join(parts, ", ") + ")"
}

// wrap breaks text into lines of at most width columns.
func wrap(text string, width int) []string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && term.Width(line)+1+term.Width(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return append(lines, line)
}
