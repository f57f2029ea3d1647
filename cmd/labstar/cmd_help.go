package main

import (
	"context"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/pflag"
)

func helpCommand() command {
	return command{
		name: "help", args: "[COMMAND]",
		short:    "explain labstar, or one of its commands",
		examples: "labstar help run",
		setup: func(a *app, _ *pflag.FlagSet) runner {
			return func(_ context.Context, args []string) error {
				if len(args) == 0 {
					a.overview(a.out)
					return nil
				}
				c, ok := findCommand(args[0])
				if !ok {
					return unknownCommand(args[0])
				}
				a.describe(a.out, c)
				return nil
			}
		},
	}
}

// overview is what a newcomer reads first.
func (a *app) overview(w io.Writer) {
	t := a.outTerm
	if w == a.err {
		t = a.term
	}
	fmt.Fprint(w, `labstar builds what a script describes: toolchains, programs, root file systems,
disks, container images, Kubernetes manifests. The same script gives the same
bytes on every machine, and nothing is built twice.

`+t.Bold("Usage:")+` labstar COMMAND [FLAGS] [ARGUMENTS]

`+t.Bold("Commands:")+"\n")
	for _, c := range commands() {
		fmt.Fprintf(w, "  %s %s\n", t.Cyan(fmt.Sprintf("%-11s", c.name)), c.short)
	}
	fmt.Fprint(w, `
`+t.Bold("To start:")+` write a lab.star

    greeting = text("hello, world\n")

and build it with

    labstar run

Every public variable that holds something to build is a target; labstar lays it
under out/ by its name, here out/greeting. "labstar docs" lists what a script can
use, "labstar help COMMAND" explains a command, and "labstar doctor" tells whether
this machine is ready.
`)
}

// describe is the help of one command.
func (a *app) describe(w io.Writer, c command) {
	t := a.outTerm
	fmt.Fprintf(w, "%s labstar %s [FLAGS]", t.Bold("Usage:"), c.name)
	if c.args != "" {
		fmt.Fprint(w, " "+c.args)
	}
	long := c.long
	if long == "" {
		long = strings.ToUpper(c.short[:1]) + c.short[1:] + "."
	}
	fmt.Fprintf(w, "\n\n%s\n", strings.TrimSpace(long))
	fs := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	fs.SortFlags = false
	c.setup(a, fs)
	a.commonFlags(fs)
	fmt.Fprintf(w, "\n%s\n", t.Bold("Flags:"))
	printFlags(w, fs)
	if c.examples != "" {
		fmt.Fprintf(w, "\n%s\n", t.Bold("Examples:"))
		for line := range strings.SplitSeq(strings.TrimSpace(c.examples), "\n") {
			fmt.Fprintln(w, "  "+strings.TrimSpace(line))
		}
	}
}

// printFlags prints a line for each flag: `  -j, --jobs N   how many …`.
func printFlags(w io.Writer, fs *pflag.FlagSet) {
	var names, about []string
	width := 0
	fs.VisitAll(func(f *pflag.Flag) {
		name := "    --" + f.Name
		if f.Shorthand != "" {
			name = "-" + f.Shorthand + ", --" + f.Name
		}
		value, usage := pflag.UnquoteUsage(f)
		switch f.Value.Type() {
		case "bool":
			value = ""
		case "int":
			value = " N"
		default:
			value = " " + strings.ToUpper(value)
		}
		if f.DefValue != "" && f.DefValue != "false" && f.Name != "jobs" {
			usage += " (default " + f.DefValue + ")"
		}
		names, about = append(names, name+value), append(about, usage)
		width = max(width, len(name+value))
	})
	for i := range names {
		lines := wrap(about[i], 84-width)
		fmt.Fprintf(w, "  %-*s  %s\n", width, names[i], lines[0])
		for _, l := range lines[1:] {
			fmt.Fprintf(w, "  %*s  %s\n", width, "", l)
		}
	}
}
