// Command labstar builds what a Starlark script describes. `labstar help` is
// its manual; a file here per command turns flags into one call of package
// labstar.
//
// Exit codes: 0 all went well; 1 the script is wrong, or something failed;
// 2 wrong usage; 130 interrupted. Those of diff are kubectl's.
package main

import (
	"context"
	"errors"
	"os"
)

func main() {
	tuneGC()
	ctx, in := interruptible(context.Background())
	os.Exit(execute(ctx, in, os.Args[1:]))
}

// execute carries out one command line and returns the exit code.
func execute(ctx context.Context, in *interrupts, args []string) int {
	a := newApp(in)
	defer a.restore() // the terminal, after a panic too
	err := a.dispatch(ctx, args)
	var usage *usageError
	switch {
	case err == nil:
		return 0
	case in.happened():
		a.restore()
		a.interrupted()
		return 130
	case errors.As(err, &usage):
		a.reportUsage(usage)
		return 2
	}
	a.report(err)
	var exit *exitError
	if errors.As(err, &exit) {
		return exit.code
	}
	return 1
}
