package main

import (
	"context"
	"runtime"
	"runtime/debug"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
)

// versionEvent is the only line of `version --json`.
type versionEvent struct {
	Event    string `json:"event"` // "version"
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"` // of the source, in git
	Modified bool   `json:"modified,omitempty"` // the source was not committed
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

func versionCommand() command {
	return command{
		name:     "version",
		short:    "print labstar's version",
		examples: "labstar version --json",
		setup: func(a *app, fs *pflag.FlagSet) runner {
			a.jsonFlag(fs)
			return func(_ context.Context, args []string) error {
				if err := noArgs("version", args); err != nil {
					return err
				}
				v := versionEvent{Event: "version", Version: labstar.Version, Go: runtime.Version(), Platform: runtime.GOOS + "/" + runtime.GOARCH}
				if info, ok := debug.ReadBuildInfo(); ok {
					for _, s := range info.Settings {
						switch s.Key {
						case "vcs.revision":
							v.Revision = s.Value
						case "vcs.modified":
							v.Modified = s.Value == "true"
						}
					}
				}
				if a.json {
					return a.events.write(v)
				}
				a.printf("labstar %s (%s, %s)", v.Version, v.Platform, v.Go)
				if v.Revision != "" {
					a.printf(" %.12s", v.Revision)
					if v.Modified {
						a.printf(" with changes")
					}
				}
				a.printf("\n")
				return nil
			}
		},
	}
}
