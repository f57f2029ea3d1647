package disk

import (
	"context"
	"testing"

	"github.com/labstar/labstar/internal/store"
	"github.com/labstar/labstar/internal/store/storetest"
)

var ctx = context.Background()

func open(t testing.TB, dir string) *Store {
	t.Helper()
	s, err := Open(dir, Options{})
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestConformance(t *testing.T) {
	storetest.Run(t, func(t testing.TB) store.Store { return open(t, t.TempDir()) })
}
