// Package pattern holds back regular expressions until they are used: compiling one
// takes some ten microseconds, of which a program that starts in ten milliseconds
// has none to spare for dozens that most runs never look at.
//
//	var name = pattern.New(`^[a-z]+$`)
//
//	if !name().MatchString(s) { … }
package pattern

import (
	"regexp"
	"sync"
)

// New returns what compiles s when it is first called. An expression that does not
// compile is a panic then, so each is to be used by a test.
func New(s string) func() *regexp.Regexp {
	return sync.OnceValue(func() *regexp.Regexp { return regexp.MustCompile(s) })
}
