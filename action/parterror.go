package action

// PartError is an error of an op about one value that the script gave, made
// somewhere else than the action. It is told at that line.
type PartError struct {
	Part string // as in Spec.Parts
	Err  error
	At   *Frame // set where the error is not told at its own line
}

func (e *PartError) Error() string {
	if e.At == nil {
		return e.Err.Error()
	}
	return e.Err.Error() + " (" + e.At.String() + ")"
}

func (e *PartError) Unwrap() error { return e.Err }
