// Command count reads the output of `go test -json` and prints what failed, why
// what was skipped was skipped, and, as its last line, how many tests there were.
package main

import (
	"bufio"
	"encoding/json"
	"fmt"
	"os"
	"strings"
)

type event struct {
	Action, Package, Test, Output string
	Elapsed                       float64
}

func main() {
	f, err := os.Open(os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer f.Close()
	output := map[string][]string{}
	var passed, failed, skipped int
	in := bufio.NewScanner(f)
	in.Buffer(nil, 16<<20)
	for in.Scan() {
		var e event
		if json.Unmarshal(in.Bytes(), &e) != nil {
			fmt.Println(in.Text()) // what the go command itself said
			continue
		}
		name := e.Package + " " + e.Test
		switch {
		case e.Action == "output" || e.Action == "build-output":
			output[name] = append(output[name], e.Output)
		case e.Test == "" && e.Action == "pass":
			fmt.Printf("ok   %6.1f s  %s\n", e.Elapsed, e.Package)
		case e.Test == "" && e.Action == "fail":
			fmt.Printf("FAIL %6.1f s  %s\n%s", e.Elapsed, e.Package, strings.Join(output[name], ""))
		case e.Test == "":
		case e.Action == "pass":
			passed++
		case e.Action == "fail":
			failed++
			fmt.Printf("FAIL %s\n%s", name, strings.Join(output[name], ""))
		case e.Action == "skip":
			skipped++
			fmt.Printf("skip %s: %s\n", name, reason(output[name]))
		}
	}
	fmt.Printf("%d passed, %d failed, %d skipped\n", passed, failed, skipped)
}

// reason finds what the test said when it skipped itself.
func reason(lines []string) string {
	for _, l := range lines {
		if i := strings.Index(l, ".go:"); i >= 0 {
			if _, said, ok := strings.Cut(l[i+len(".go:"):], ": "); ok {
				return strings.TrimSpace(said)
			}
		}
	}
	return "no reason given"
}
