//go:build linux && (amd64 || arm64)

package linux

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/labstar/labstar/internal/sandbox"
	"github.com/labstar/labstar/internal/sandbox/sandboxtest"
)

type world struct{}

func (world) Getenv(name string) string            { return os.Getenv(name) }
func (world) ReadFile(name string) ([]byte, error) { return os.ReadFile(name) }
func (world) Print(text string)                    { fmt.Print(text) }
func (world) Wait()                                { time.Sleep(time.Minute) }

func (world) WriteFile(name string, b []byte) error { return os.WriteFile(name, b, 0o644) }

func init() {
	probes["conform"] = func(args []string) int { return sandboxtest.Programs[args[0]](world{}) }
}

func TestConformance(t *testing.T) {
	sandboxtest.Run(t, func(t *testing.T, program string, spec *sandbox.Spec) sandbox.Runner {
		spec.Root = append([]string{root(t)}, spec.Root...)
		spec.Inputs = append(spec.Inputs, libraries()...)
		spec.Argv = []string{"/bin/probe:conform", program}
		return runner(t)
	})
}
