package action

import "fmt"

// InputsError is an error of an op about some of its inputs. Where it is shown,
// each is named by what made it and the line of the script.
type InputsError struct {
	Inputs []string // names, as in Spec.Inputs
	Format string   // has a %s for each
	names  []any
}

// Describe fills in how each input is named to the user.
func (e *InputsError) Describe(describe func(input string) string) {
	e.names = nil
	for _, in := range e.Inputs {
		e.names = append(e.names, describe(in))
	}
}

func (e *InputsError) Error() string {
	names := e.names
	if names == nil {
		for _, in := range e.Inputs {
			names = append(names, in)
		}
	}
	return fmt.Sprintf(e.Format, names...)
}
