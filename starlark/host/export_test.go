package host

import "time"

// SetGrace shortens the grace period for a test and returns what undoes it.
func SetGrace(d time.Duration) (undo func()) {
	old := grace
	grace = d
	return func() { grace = old }
}
