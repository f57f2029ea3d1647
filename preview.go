package labstar

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/engine"
	"github.com/labstar/labstar/internal/history"
)

// Preview adds to changes what they pull in: where a configuration that is made in
// seconds has changed (that of a kernel), it is made, and the lines that come out
// different are told with the cause. Nothing else runs. What can't be made or
// would take long is left out.
func (l *Labstar) Preview(ctx context.Context, lab *Lab, changes []TargetChange) error {
	if len(changes) == 0 {
		return nil
	}
	last, err := l.recall(lab, "last")
	if err != nil || last == nil {
		return err
	}
	actions := map[string]*action.Action{}
	for _, a := range artifacts(lab.Targets) {
		previewed(a.Action, actions, map[*action.Action]bool{})
	}
	if len(actions) == 0 {
		return nil
	}
	e, err := engine.New(engine.Options{Store: l.store, Runner: l.runner, Jobs: l.jobs, Config: l.config, Secret: l.secret})
	if err != nil {
		return err
	}
	defer e.Close()
	now := history.Capture(named(lab.Targets), history.Run{})
	told := map[string][]previewLine{}
	for i := range changes {
		for _, pair := range history.Previews(last, now, changes[i].Target) {
			lines, ok := told[pair.New.Definition]
			if !ok {
				lines = l.preview(ctx, e, pair, actions[pair.New.Definition])
				told[pair.New.Definition] = lines
			}
			addPreview(&changes[i], pair.New, lines)
		}
	}
	return nil
}

// previewed gathers the actions with a preview, by definition.
func previewed(a *action.Action, into map[string]*action.Action, seen map[*action.Action]bool) {
	if seen[a] {
		return
	}
	seen[a] = true
	if a.Op != nil && a.Op.Preview {
		into[a.Definition().Hex()] = a
	}
	a.Deps(func(in *action.Artifact) { previewed(in.Action, into, seen) })
}

// addPreview adds lines to the causes that the same line of the script made.
func addPreview(tc *TargetChange, n *history.Node, lines []previewLine) {
	for i := range tc.Causes {
		c := &tc.Causes[i]
		if c.Site != nil && len(n.Site) > 0 && *c.Site == n.Site[0] {
			what := slices.Clone(c.What)
			for _, line := range lines {
				what = append(what, line.without(c.What))
			}
			c.What = slices.DeleteFunc(what, func(s string) bool { return s == "" })
			return
		}
	}
}

// preview makes one configuration, if that is quick, and compares it.
func (l *Labstar) preview(ctx context.Context, e *engine.Engine, pair history.Pair, a *action.Action) []previewLine {
	key, ok := pair.Old.Key()
	if !ok || a == nil {
		return nil
	}
	was, err := l.store.Result(ctx, key)
	if err != nil || len(was.Outputs) == 0 {
		return nil
	}
	artifact := &action.Artifact{Action: a}
	plan, err := e.Plan(ctx, []*action.Artifact{artifact})
	if err != nil || !isQuick(plan) {
		return nil
	}
	rep, err := e.Build(ctx, []*action.Artifact{artifact})
	if err != nil {
		return nil
	}
	out, ok := rep.Output(artifact)
	if !ok {
		if len(rep.Errors) == 0 {
			return nil
		}
		var lines []previewLine
		for line := range strings.SplitSeq("would fail: "+rep.Errors[0].Error(), "\n") {
			lines = append(lines, previewLine{text: line})
		}
		return lines
	}
	x := explainer{ctx: ctx, store: l.store}
	before, okB := x.readText(was.Outputs[0].Digest)
	after, okA := x.readText(out.Digest)
	if !okB || !okA {
		return nil
	}
	return pulled(before, after)
}

// isQuick reports whether only checks and quick commands are left to run.
func isQuick(p *engine.Plan) bool {
	return !slices.ContainsFunc(p.Steps, func(s engine.Step) bool { return !s.Action.Op.Check && !s.Action.Quick })
}

// previewLine is a line of a preview: what happens to the options of a list.
type previewLine struct {
	text string
	list []string // NAME=value
}

// without writes the line, leaving out the options that the cause has already.
func (l previewLine) without(what []string) string {
	if l.list == nil {
		return l.text
	}
	var names []string
	for _, item := range l.list {
		name, _, _ := strings.Cut(item, "=")
		if !slices.ContainsFunc(what, func(w string) bool { return strings.Contains(w, "."+name+":") }) {
			names = append(names, item)
		}
	}
	const most = 40
	if n := len(names) - most; n > 0 {
		names = append(names[:most], fmt.Sprintf("and %d more", n))
	}
	if names == nil {
		return ""
	}
	return l.text + ": " + strings.Join(names, ", ")
}

// pulled tells the lines NAME=value in which two configurations differ, a line
// for what came, what went and what has another value.
func pulled(before, after string) []previewLine {
	a, b := values(before), values(after)
	came, went, other := previewLine{text: "pulls in"}, previewLine{text: "takes out"}, previewLine{text: "changes"}
	for name, v := range b {
		switch was, ok := a[name]; {
		case !ok:
			came.list = append(came.list, name+"="+v)
		case was != v:
			other.list = append(other.list, name+"="+was+" -> "+v)
		}
	}
	for name := range a {
		if _, ok := b[name]; !ok {
			went.list = append(went.list, name)
		}
	}
	var lines []previewLine
	for _, l := range []previewLine{came, went, other} {
		if slices.Sort(l.list); len(l.list) > 0 {
			lines = append(lines, l)
		}
	}
	if lines == nil {
		return []previewLine{{text: "the configuration comes out the same"}}
	}
	return lines
}

// values reads lines NAME=value; all others are comments.
func values(text string) map[string]string {
	m := map[string]string{}
	for line := range strings.Lines(text) {
		if name, v, ok := strings.Cut(strings.TrimSpace(line), "="); ok && !strings.HasPrefix(name, "#") {
			m[strings.TrimPrefix(name, "CONFIG_")] = v
		}
	}
	return m
}
