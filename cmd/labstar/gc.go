package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

// A run builds a graph, keeps it, and mostly ends. So nothing is collected before
// the heap has some size, and beyond it the garbage stays a fraction of what is
// live: fast where the graph is small, small where it is large.
const (
	smallHeap   = 64 << 20 // bytes: below this, the collector need not run
	largeGrowth = 50       // per cent: what the heap may grow by beyond that
)

// tuneGC keeps to that: it sets the collector's percentage anew after each of its
// cycles. A GOGC of the user's own goes before.
func tuneGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(smallHeap / (4 << 20) * 100) // of the 4 MB that Go takes for the least
	afterGC()
}

// cycle is garbage at once, so its cleanup runs after the next cycle.
type cycle struct{ _ [16]byte }

func afterGC() {
	runtime.AddCleanup(&cycle{}, func(struct{}) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		debug.SetGCPercent(growth(live[0].Value.Uint64()))
		afterGC()
	}, struct{}{})
}

// growth is how many per cent a heap with so many live bytes may grow by.
func growth(live uint64) int {
	if live >= smallHeap*100/(100+largeGrowth) {
		return largeGrowth
	}
	return int((smallHeap - live) * 100 / max(live, 1<<20))
}
