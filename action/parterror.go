package action

import "context"

// PartError is an error of an op about one value that the script gave, made
// somewhere else than the action. It is told at that line.
type PartError struct {
	Part string // as in Spec.Parts, or as the builtin noted it (schema.Call.Part)
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

// Place is where a script made something.
type Place struct {
	Site   []Frame // innermost call first
	EndCol int     // after its last character, on the line of Site[0]; 0 if not known
}

// Places finds where parts of an action are from: those of Spec.Parts, and those that
// whoever evaluates a script finds by doing it once more (Scope.SetPlaces). Parts that
// are not known are not in the result.
func (a *Action) Places(ctx context.Context, parts []string) map[string]Place {
	places := map[string]Place{}
	var others []string
	for _, part := range parts {
		if site := a.Parts[part]; len(site) > 0 {
			places[part] = Place{Site: site}
		} else {
			others = append(others, part)
		}
	}
	if len(others) > 0 && a.scope != nil && a.scope.places != nil {
		for part, p := range a.scope.places(ctx, a, others) {
			places[part] = p
		}
	}
	return places
}

// FindPlaces finds parts of an action of a scope.
type FindPlaces func(ctx context.Context, a *Action, parts []string) map[string]Place

// SetPlaces is called before the scope is used.
func (s *Scope) SetPlaces(find FindPlaces) { s.places = find }
