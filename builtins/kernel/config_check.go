package kernel

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/kconfig"
)

// configCheckOp passes its input "config" on as its output if every one of the
// "requests" took effect.
var configCheckOp = &action.Op{Name: "kernel/config-check", Version: 1, Check: true, Run: runConfigCheck}

func runConfigCheck(ctx context.Context, env action.Env) error {
	config, err := readInput(ctx, env, "config")
	if err != nil {
		return err
	}
	requests, err := readRequests(ctx, env)
	if err != nil {
		return err
	}
	got := kconfig.ParseConfig(config)
	failed := unheeded(requests, got)
	if len(failed) == 0 {
		return env.SetFile("config", env.Input("config").Digest)
	}
	var lines []string
	for _, r := range failed {
		lines = append(lines, fmt.Sprintf("%s: got %s, want %s (%s)", r.Name, got.Get(r.Name), r.Value, r.From))
	}
	return fmt.Errorf("checking kernel options: %d of %d did not take effect\n  %s", len(failed), len(requests), strings.Join(lines, "\n  "))
}

func readRequests(ctx context.Context, env action.Env) ([]request, error) {
	b, err := readInput(ctx, env, "requests")
	if err != nil {
		return nil, err
	}
	var list []request
	if err := json.Unmarshal(b, &list); err != nil {
		return nil, fmt.Errorf("reading the requests: %w", err)
	}
	return list, nil
}

// unheeded returns the requests that did not take effect.
func unheeded(requests []request, got kconfig.Config) []request {
	var failed []request
	for _, r := range requests {
		if !kconfig.SameValue(got.Get(r.Name), r.Value) {
			failed = append(failed, r)
		}
	}
	return failed
}
