package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/bazelbuild/buildtools/build"
	"github.com/spf13/pflag"
)

func fmtCommand() command {
	return command{
		name: "fmt", args: "[FILE…]",
		short: "format scripts",
		long: `
Formats the scripts in the one usual way (that of buildifier) and writes them back;
all *.star files of this folder if none are named.`,
		examples: `
labstar fmt
labstar fmt --check lab.star web.star`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			check := fs.Bool("check", false, "change nothing; list what would be changed, and exit with 1 if anything would")
			return func(_ context.Context, args []string) error {
				if len(args) == 0 {
					var err error
					if args, err = filepath.Glob("*.star"); err != nil {
						return err
					}
				}
				if len(args) == 0 {
					return errors.New("there are no *.star files here: name the scripts to format")
				}
				return a.format(args, *check)
			}
		},
	}
}

func (a *app) format(files []string, check bool) error {
	var errs []error
	unformatted := false
	for _, name := range files {
		old, err := os.ReadFile(name)
		if err != nil {
			errs = append(errs, fmt.Errorf("reading script: %w", err))
			continue
		}
		parsed, err := build.ParseDefault(name, old)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		formatted := build.Format(parsed)
		if bytes.Equal(old, formatted) {
			continue
		}
		unformatted = true
		a.printf("%s\n", name)
		if !check {
			errs = append(errs, rewrite(name, formatted))
		}
	}
	if err := errors.Join(errs...); err != nil {
		return err
	}
	if check && unformatted {
		return errReported
	}
	return nil
}

// rewrite replaces the content of a file in one step, keeping its mode.
func rewrite(name string, content []byte) error {
	fi, err := os.Stat(name)
	if err != nil {
		return fmt.Errorf("writing script: %w", err)
	}
	f, err := os.CreateTemp(filepath.Dir(name), ".labstar-fmt-*")
	if err != nil {
		return fmt.Errorf("writing script: %w", err)
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Chmod(fi.Mode().Perm()), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), name)
	}
	if err != nil {
		return errors.Join(fmt.Errorf("writing script: %w", err), os.Remove(f.Name()))
	}
	return nil
}
