//go:build !linux

package compile

import (
	"context"
	"errors"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/store"
)

// Options say what a Server serves; commands run on Linux alone.
type Options struct {
	Cache      *Cache
	Store      store.Store
	Dir        string
	Root       []action.Digest
	Mounts     []action.PathInput
	Build, Tmp string
	Verify     float64
}

// Server is there for the compiler's sake.
type Server struct{}

// New fails: there is no sandbox here.
func New(context.Context, Options) (*Server, error) {
	return nil, errors.New("serving compilers: this system has no sandbox; commands run on Linux")
}

// Socket is the host path of the socket.
func (*Server) Socket() string { return "" }

// Close ends the server.
func (*Server) Close() (Stats, error) { return Stats{}, nil }
