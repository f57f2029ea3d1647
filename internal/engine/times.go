package engine

import (
	"encoding/json"

	"github.com/labstar/labstar/action"
)

// timesNote holds how long actions took, by op and title.
const timesNote = "times"

func timeName(a *action.Action) string { return a.Op.Name + " " + a.Title }

func (e *Engine) loadTimes() map[string]int64 {
	times := map[string]int64{}
	if b, err := e.opts.Store.Note(timesNote); err == nil {
		if json.Unmarshal(b, &times) != nil {
			return map[string]int64{} // a damaged note only costs the order
		}
	}
	return times
}

func (e *Engine) saveTimes(s *schedule) {
	if !s.newTimes {
		return
	}
	if b, err := json.Marshal(s.times); err == nil {
		_ = e.opts.Store.PutNote(timesNote, b) // only a hint for the next run
	}
}
