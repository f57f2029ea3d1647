//go:build !linux && !darwin

package doctor

func space(string, string) []Check { return nil }
