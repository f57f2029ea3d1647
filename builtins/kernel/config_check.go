package kernel

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/kconfig"
)

// configCheckOp passes its input "config" on as its output if every one of the
// "requests" took effect, that is, if the "report" is empty. "checked" is the
// .config that conf made with what the report would add.
var configCheckOp = &action.Op{Name: "kernel/config-check", Version: 1, Check: true, Preview: true, Run: runConfigCheck}

func runConfigCheck(ctx context.Context, env action.Env) error {
	requests, err := readRequests(ctx, env)
	if err != nil {
		return err
	}
	text, err := readInput(ctx, env, "report")
	if err != nil {
		return err
	}
	if len(text) == 0 {
		return env.SetFile("config", env.Input("config").Digest)
	}
	var rep report
	if err := json.Unmarshal(text, &rep); err != nil {
		return fmt.Errorf("reading the report: %w", err)
	}
	checked, err := readInput(ctx, env, "checked")
	if err != nil {
		return err
	}
	return rep.message(len(requests), kconfig.ParseConfig(checked))
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
		if !heeded(r, got) {
			failed = append(failed, r)
		}
	}
	return failed
}
