// Command labstar builds what a Starlark script describes. `labstar help` is
// its manual; a file here per command turns flags into one call of package
// labstar.
//
// Exit codes: 0 all went well; 1 the script is wrong, or something failed;
// 2 wrong usage; 130 interrupted.
package main

import (
	"context"
	"errors"
	"os"
	"runtime/debug"
)

// gcPercent lets the heap grow to five times what is live before it is collected:
// a graph is built once and kept, and most runs end before that.
const gcPercent = 400

func main() {
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(gcPercent)
	}
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
	return 1
}
