//go:build !unix

package mem

// setLinkTime does nothing: the time of a symlink can't be set here.
func setLinkTime(string) error { return nil }
