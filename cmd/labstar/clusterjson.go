package main

import (
	"github.com/labstar/labstar/internal/cluster"
)

// objectEvent is what is to happen, or has happened, to an object in a cluster.
type objectEvent struct {
	Event     string       `json:"event"` // "object"
	Kind      string       `json:"kind"`
	Group     string       `json:"group,omitempty"`
	Namespace string       `json:"namespace,omitempty"`
	Name      string       `json:"name"`
	Verb      string       `json:"verb,omitempty"`
	Text      string       `json:"text,omitempty"`
	Fields    []fieldEvent `json:"fields,omitempty"`
}

// fieldEvent is a field that differs.
type fieldEvent struct {
	Path  string   `json:"path"`
	Old   string   `json:"old,omitempty"`
	New   string   `json:"new,omitempty"`
	Lines []string `json:"lines,omitempty"`
}

// clusterSummary is the last event of apply, diff and delete.
type clusterSummary struct {
	Event     string  `json:"event"` // "summary"
	Command   string  `json:"command"`
	Created   int     `json:"created"`
	Changed   int     `json:"changed"`
	Replaced  int     `json:"replaced"`
	Removed   int     `json:"removed"`
	Unchanged int     `json:"unchanged"`
	Left      int     `json:"left"`
	Seconds   float64 `json:"seconds"`
	Exit      int     `json:"exit"`
}

// warningEvent is what the cluster warns of, or what it would refuse to change.
type warningEvent struct {
	Event string `json:"event"` // "warning"
	Text  string `json:"text"`
	At    string `json:"at,omitempty"` // the place in the script
	Hint  string `json:"hint,omitempty"`
}

// objectJSON writes an event about an object.
func (a *app) objectJSON(o *cluster.Object, verb, text string, fields ...cluster.Difference) error {
	id := o.ID()
	ev := objectEvent{Event: "object", Kind: id.Kind.Kind, Group: id.Kind.Group, Namespace: id.Namespace, Name: id.Name, Verb: verb, Text: text}
	for _, d := range fields {
		ev.Fields = append(ev.Fields, fieldEvent{Path: d.Path, Old: d.Old, New: d.New, Lines: d.Lines})
	}
	return a.events.write(ev)
}

// clusterSummaryJSON writes the last event.
func (a *app) clusterSummaryJSON(p *cluster.Plan, exit int) error {
	return a.events.write(clusterSummary{Event: "summary", Command: a.command, Created: p.Count(cluster.Create), Changed: p.Count(cluster.Change),
		Replaced: p.Count(cluster.Replace), Removed: p.Count(cluster.Remove), Unchanged: p.Count(cluster.Keep), Left: p.Count(cluster.Leave),
		Seconds: a.seconds(), Exit: exit})
}
