package main

import (
	"context"
	"strings"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar/starlark/schema"
)

func cacheCommand() command {
	return command{
		name: "cache", args: "dir",
		short: "look at, check and clean the store",
		setup: func(a *app, fs *pflag.FlagSet) runner {
			a.cacheFlag(fs)
			return func(_ context.Context, args []string) error {
				want := []string{"dir"}
				if len(args) == 0 {
					return usagef("cache", "want one of %s", strings.Join(want, ", "))
				}
				switch args[0] {
				case "dir":
					dir, err := a.storeDir()
					if err != nil {
						return err
					}
					a.printf("%s\n", dir)
					return nil
				}
				if s := schema.Suggest(args[0], want); s != "" {
					return usagef("cache", "unknown part %q (did you mean %q?)", args[0], s)
				}
				return usagef("cache", "unknown part %q, want one of %s", args[0], strings.Join(want, ", "))
			}
		},
	}
}
