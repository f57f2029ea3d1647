//go:build !linux

package flash

import "errors"

type device struct{}

var errLinux = errors.New("writing to a device works on Linux only; write the image with a tool of this system")

func openDevice(string) (*device, error)          { return nil, errLinux }
func (*device) buffer(n int) []byte               { return make([]byte, n) }
func (*device) writeAt([]byte, int64) error       { return errLinux }
func (*device) readAt(int, int64) ([]byte, error) { return nil, errLinux }
func (*device) sync() error                       { return errLinux }
func (*device) reread()                           {}
func (*device) close() error                      { return nil }

func deviceNumber(string) (major, minor uint32, err error) { return 0, 0, errLinux }
