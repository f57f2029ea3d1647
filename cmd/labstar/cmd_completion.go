package main

import (
	"context"
	_ "embed"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/internal/flash"
	"github.com/labstar/labstar/internal/term"
)

// completeName is the hidden command that the shells' scripts call with the
// words of the line, the last of which is to be completed. It prints candidates,
// one a line, with a description after a tab.
const completeName = "__complete"

// The scripts do nothing but call it.
var (
	//go:embed completion/bash
	bashCompletion string
	//go:embed completion/zsh
	zshCompletion string
	//go:embed completion/fish
	fishCompletion string
)

func completionCommand() command {
	return command{
		name: "completion", args: "bash|zsh|fish",
		short: "print what makes a shell complete commands, flags and targets",
		examples: `
source <(labstar completion bash)    # in ~/.bashrc
source <(labstar completion zsh)     # in ~/.zshrc
labstar completion fish > ~/.config/fish/completions/labstar.fish`,
		setup: func(a *app, _ *pflag.FlagSet) runner {
			return func(_ context.Context, args []string) error {
				if len(args) != 1 {
					return usagef("completion", "want one shell: bash, zsh or fish")
				}
				script, ok := map[string]string{"bash": bashCompletion, "zsh": zshCompletion, "fish": fishCompletion}[args[0]]
				if !ok {
					return usagef("completion", "got shell %q, want bash, zsh or fish", args[0])
				}
				_, err := io.WriteString(a.out, script)
				return err
			}
		},
	}
}

// candidate is one way to complete a word.
type candidate struct{ word, about string }

// complete answers the shells' scripts. Whatever goes wrong, it offers less.
func (a *app) complete(ctx context.Context, words []string) error {
	ctx, cancel := context.WithTimeout(ctx, time.Second)
	defer cancel()
	last := ""
	if len(words) > 0 {
		last, words = words[len(words)-1], words[:len(words)-1]
	}
	for _, c := range a.candidates(ctx, words, last) {
		if strings.HasPrefix(c.word, last) {
			a.printf("%s\t%s\n", c.word, c.about)
		}
	}
	return nil
}

func (a *app) candidates(ctx context.Context, before []string, last string) []candidate {
	if len(before) == 0 {
		var list []candidate
		for _, c := range commands() {
			list = append(list, candidate{c.name, c.short})
		}
		return list
	}
	c, ok := findCommand(before[0])
	if !ok {
		return nil
	}
	fs := pflag.NewFlagSet(c.name, pflag.ContinueOnError)
	c.setup(a, fs)
	a.commonFlags(fs)
	if strings.HasPrefix(last, "-") {
		return flagCandidates(fs)
	}
	if list, isValue := valueCandidates(before[len(before)-1]); isValue {
		return list
	}
	args, err := arguments(fs, before[1:])
	if err != nil {
		return nil
	}
	return a.argCandidates(ctx, c.name, args)
}

func flagCandidates(fs *pflag.FlagSet) []candidate {
	var list []candidate
	fs.VisitAll(func(f *pflag.Flag) {
		_, usage := pflag.UnquoteUsage(f)
		list = append(list, candidate{"--" + f.Name, usage})
	})
	return list
}

// valueCandidates are the values of the flag before the word.
func valueCandidates(flag string) (list []candidate, ok bool) {
	values := map[string][]string{"--color": {"auto", "always", "never"}, "--format": {"text", "dot", "json"}}
	for _, v := range values[flag] {
		list = append(list, candidate{word: v})
	}
	return list, len(list) > 0
}

// arguments are the words that are not flags.
func arguments(fs *pflag.FlagSet, words []string) ([]string, error) {
	fs.SetOutput(io.Discard)
	fs.Usage = func() {}
	err := fs.Parse(words)
	return fs.Args(), err
}

func (a *app) argCandidates(ctx context.Context, command string, args []string) []candidate {
	switch command {
	case "help":
		return a.candidates(ctx, nil, "")
	case "completion":
		return words("bash", "zsh", "fish")
	case "cache":
		if len(args) == 0 {
			return words("stats", "verify", "gc", "dir")
		}
	case "docs":
		var list []candidate
		for _, b := range builtins.All() {
			list = append(list, candidate{b.Name(), firstSentence(b)})
		}
		return list
	case "fmt":
		return scripts()
	case "targets", "lock":
		if len(args) == 0 {
			return scripts()
		}
	case "run", "plan", "why", "graph", "apply", "diff", "delete":
		var list []candidate
		if len(args) == 0 {
			list = scripts()
		}
		file, given := splitFile(args)
		return append(list, a.targetCandidates(ctx, file, given)...)
	case "test", "boot", "flash":
		file, given := splitFile(args)
		switch {
		case command == "test":
			return append(firstScripts(args), a.testCandidates(ctx, file, given)...)
		case len(given) == 0:
			return append(firstScripts(args), a.targetCandidates(ctx, file, given)...)
		case command == "flash" && len(given) == 1:
			return sticks()
		}
	}
	return nil
}

func words(list ...string) []candidate {
	var out []candidate
	for _, w := range list {
		out = append(out, candidate{word: w})
	}
	return out
}

// scripts are those in this folder.
func scripts() []candidate {
	names, err := filepath.Glob("*.star")
	if err != nil {
		return nil
	}
	return words(names...)
}

// firstScripts are the scripts, for a line that has no argument yet.
func firstScripts(args []string) []candidate {
	if len(args) > 0 {
		return nil
	}
	return scripts()
}

// sticks are the disks that can be taken out.
func sticks() []candidate {
	var list []candidate
	names, err := filepath.Glob("/sys/block/*")
	if err != nil {
		return nil
	}
	for _, n := range names {
		path := "/dev/" + filepath.Base(n)
		if d, err := flash.Inspect(path); err == nil && d.Removable && d.Size > 0 {
			list = append(list, candidate{path, term.Clean(d.String()) + ", " + term.Bytes(d.Size)})
		}
	}
	return list
}

// testCandidates are the tests of the script that are not on the line yet.
func (a *app) testCandidates(ctx context.Context, file string, given []string) []candidate {
	var list []candidate
	if isRecipeTest(file) {
		a.err = io.Discard // as withLab
		tests, _ := a.recipeTests(ctx, file, nil)
		for _, t := range tests {
			if !slices.Contains(given, t.Name) {
				list = append(list, candidate{t.Name, t.Site.String()})
			}
		}
		return list
	}
	a.withLab(ctx, file, func(lab *labstar.Lab) {
		tests, err := lab.Tests()
		if err != nil {
			return
		}
		for _, t := range tests {
			if !slices.Contains(given, t.Name) {
				list = append(list, candidate{t.Name, t.Site.String()})
			}
		}
	})
	return list
}

// withLab calls f with the lab of a script, if it evaluates.
func (a *app) withLab(ctx context.Context, file string, f func(*labstar.Lab)) {
	a.err = io.Discard // what the script prints is not for this line
	if _, err := os.Stat(file); err != nil {
		return
	}
	ls, lab, err := a.load(ctx, file)
	if err != nil {
		return
	}
	defer ls.Close() //nolint:errcheck // nothing was written
	f(lab)
}

// targetCandidates are the targets of the script that are not on the line yet.
func (a *app) targetCandidates(ctx context.Context, file string, given []string) []candidate {
	var list []candidate
	a.withLab(ctx, file, func(lab *labstar.Lab) {
		for _, t := range lab.Targets {
			if !slices.Contains(given, t.Name) {
				list = append(list, candidate{t.Name, fmt.Sprintf("%s, %s", t.Type, t.Site)})
			}
		}
	})
	return list
}
