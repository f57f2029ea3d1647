//go:build !race

package host_test

// raceEnabled tells tests that the race detector is on.
const raceEnabled = false
