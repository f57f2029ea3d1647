package disk

import (
	"os"
	"sync"
	"testing"
)

// A folder that a process has just made its own is not swept, wherever in that a
// sweeper comes.
func TestSweepLeavesTheLiving(t *testing.T) {
	s := open(t, t.TempDir())
	defer s.Close()
	stop := make(chan struct{})
	var sweepers sync.WaitGroup
	for range 3 {
		sweepers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					sweepTmp(s.path("tmp"))
				}
			}
		})
	}
	for i := range 1000 {
		var own tmpDir
		name, err := own.name(s)
		if err == nil {
			err = os.WriteFile(name, nil, 0o600)
		}
		if err != nil {
			t.Errorf("the folder number %d: %v", i, err)
			break
		}
		own.close()
	}
	close(stop)
	sweepers.Wait()
}
