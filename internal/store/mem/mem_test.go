package mem_test

import (
	"testing"

	"github.com/labstar/labstar/internal/store"
	"github.com/labstar/labstar/internal/store/mem"
	"github.com/labstar/labstar/internal/store/storetest"
)

func TestConformance(t *testing.T) {
	storetest.Run(t, func(testing.TB) store.Store { return mem.New() })
}
