package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar/starlark/schema"
)

// command is one of labstar's commands.
type command struct {
	name     string
	args     string // as in its usage line
	short    string // what it does, a phrase
	long     string
	examples string // "command   # what for" lines
	// setup declares the flags and returns what runs the command once they are
	// parsed.
	setup func(a *app, fs *pflag.FlagSet) runner
}

// runner carries out a command; args are what is left without flags.
type runner func(ctx context.Context, args []string) error

// commands are all of them, in the order of the help. A function, so that a
// start of labstar costs nothing for the commands that it isn't about.
func commands() []command {
	return []command{
		runCommand(), testCommand(), bootCommand(), flashCommand(), pushCommand(), pullCommand(), loadCommand(), registryCommand(), applyCommand(), diffCommand(), deleteCommand(), planCommand(), whyCommand(), targetsCommand(), graphCommand(), lockCommand(),
		docsCommand(), fmtCommand(), cacheCommand(), doctorCommand(), completionCommand(), versionCommand(), helpCommand(),
	}
}

func findCommand(name string) (command, bool) {
	for _, c := range commands() {
		if c.name == name {
			return c, true
		}
	}
	return command{}, false
}

// usageError is a command line that labstar can't make sense of.
type usageError struct {
	command string // "" if there is none
	msg     string
}

func (e *usageError) Error() string { return e.msg }

// exitError ends the program with a code of its own.
type exitError struct {
	code int
	err  error
}

func (e *exitError) Error() string { return e.err.Error() }
func (e *exitError) Unwrap() error { return e.err }

func usagef(command, format string, args ...any) error {
	return &usageError{command, fmt.Sprintf(format, args...)}
}

// dispatch finds the command and runs it.
func (a *app) dispatch(ctx context.Context, args []string) error {
	if len(args) == 0 {
		a.overview(a.err)
		return usagef("", "no command given")
	}
	name := args[0]
	switch name {
	case "-h", "--help":
		name = "help"
	case "-V", "--version":
		name = "version"
	case completeName:
		return a.complete(ctx, args[1:])
	case removeName:
		return removeLeftovers(ctx, args[1:])
	}
	c, ok := findCommand(name)
	if !ok {
		return unknownCommand(name)
	}
	fs := pflag.NewFlagSet(name, pflag.ContinueOnError)
	fs.SetOutput(a.err)
	fs.Usage = func() {}
	fs.SortFlags = false
	run := c.setup(a, fs)
	a.commonFlags(fs)
	if err := fs.Parse(args[1:]); err != nil {
		return flagError(c.name, fs, err)
	}
	if help, err := fs.GetBool("help"); err == nil && help {
		a.describe(a.out, c)
		return nil
	}
	if err := a.start(name); err != nil {
		return err
	}
	return run(ctx, fs.Args())
}

func unknownCommand(name string) error {
	var names []string
	for _, c := range commands() {
		names = append(names, c.name)
	}
	if strings.HasPrefix(name, "-") {
		return usagef("", "unknown flag %s; flags come after the command", name)
	}
	if strings.HasSuffix(name, ".star") {
		return usagef("", "unknown command %q (did you mean `labstar run %s`?)", name, name)
	}
	if s := schema.Suggest(name, names); s != "" {
		return usagef("", "unknown command %q (did you mean %q?)", name, s)
	}
	return usagef("", "unknown command %q", name)
}

// flagError words what pflag found.
func flagError(command string, fs *pflag.FlagSet, err error) error {
	var unknown *pflag.NotExistError
	var missing *pflag.ValueRequiredError
	var invalid *pflag.InvalidValueError
	switch {
	case errors.As(err, &unknown) && unknown.GetSpecifiedShortnames() != "":
		return usagef(command, "unknown flag -%s", unknown.GetSpecifiedName())
	case errors.As(err, &unknown):
		var names []string
		fs.VisitAll(func(f *pflag.Flag) { names = append(names, f.Name) })
		if s := schema.Suggest(unknown.GetSpecifiedName(), names); s != "" {
			return usagef(command, "unknown flag --%s (did you mean --%s?)", unknown.GetSpecifiedName(), s)
		}
		return usagef(command, "unknown flag --%s", unknown.GetSpecifiedName())
	case errors.As(err, &missing):
		_, usage := pflag.UnquoteUsage(missing.GetFlag())
		return usagef(command, "--%s needs a value: %s", missing.GetFlag().Name, usage)
	case errors.As(err, &invalid):
		return usagef(command, "--%s: got %q, want %s", invalid.GetFlag().Name, invalid.GetValue(), wantOf(invalid.GetFlag()))
	}
	return usagef(command, "%v", err)
}

func wantOf(f *pflag.Flag) string {
	switch f.Value.Type() {
	case "int":
		return "a whole number"
	case "bool":
		return "true or false"
	}
	_, usage := pflag.UnquoteUsage(f)
	return usage
}

// noArgs is for commands that take none.
func noArgs(command string, args []string) error {
	if len(args) > 0 {
		return usagef(command, "got argument %q, want none", args[0])
	}
	return nil
}

// oneOf checks the value of a flag.
func oneOf(command, flag, got string, want ...string) error {
	for _, w := range want {
		if got == w {
			return nil
		}
	}
	hint := ""
	if s := schema.Suggest(got, want); s != "" {
		hint = fmt.Sprintf(" (did you mean %q?)", s)
	}
	return usagef(command, "--%s: got %q%s, want one of %s", flag, got, hint, strings.Join(want, ", "))
}
