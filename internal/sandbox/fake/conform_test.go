package fake

import (
	"fmt"
	"testing"

	"github.com/labstar/labstar/internal/sandbox"
	"github.com/labstar/labstar/internal/sandbox/sandboxtest"
)

type world struct{ *Command }

func (w world) Print(text string) { fmt.Fprint(w.Output, text) }

func (w world) Wait() { <-w.Done() }

func TestConformance(t *testing.T) {
	sandboxtest.Run(t, func(_ *testing.T, program string, spec *sandbox.Spec) sandbox.Runner {
		spec.Argv = []string{program}
		return &Runner{Func: func(c *Command) int { return sandboxtest.Programs[c.Arg(0)](world{c}) }}
	})
}
