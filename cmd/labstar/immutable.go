package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/cluster"
	"github.com/labstar/labstar/internal/kube/immutable"
	"github.com/labstar/labstar/starlark/host"
	"github.com/labstar/labstar/starlark/schema"
)

// This file tells of fields that can't be changed once an object is in a cluster: apply
// and diff against what is there, plan and run against the run before.

// recreate is what removes an object and makes it anew.
const recreate = "labstar apply --recreate"

// maxRemarks is how many fields of an object are told.
const maxRemarks = 5

// remarks words what can't be changed in an object, a field each. where is who has what
// was: "the cluster has".
func remarks(object map[string]any, changes []immutable.Change, where, hint string) []labstar.Remark {
	group, kind := immutable.Kind(object)
	meta, _ := object["metadata"].(map[string]any)
	name, _ := meta["name"].(string)
	namespace, _ := meta["namespace"].(string)
	label := kind + " " + name
	var list []labstar.Remark
	for i, c := range changes {
		r := labstar.Remark{
			Part:  schema.Part{Object: []string{group, kind, namespace, name}, Path: c.Path},
			Label: label + ": " + c.Field, Hint: hint,
			Msg: fmt.Sprintf("got %s, and %s %s: the field can't be changed", orNothing(c.New), where, orNothing(c.Old)),
		}
		if c.Kept {
			r.Msg += ", and what is there is kept"
		}
		if c.Old == immutable.NotShown && c.New == immutable.NotShown {
			r.Msg = "got another value than " + where + ": the field can't be changed"
		}
		if i == maxRemarks-1 && len(changes) > maxRemarks {
			r.Msg += fmt.Sprintf(" (and %d more)", len(changes)-maxRemarks)
			return append(list, r)
		}
		list = append(list, r)
	}
	return list
}

func orNothing(v string) string {
	if v == "" {
		return "nothing"
	}
	return v
}

// atTheirLines puts what can't be changed at the lines of the script; other errors stay
// as they are.
func (o *clusterOptions) atTheirLines(ctx context.Context, err error) error {
	var rest []error
	var list []labstar.Remark
	for _, one := range flat(err) {
		var fixed *cluster.ImmutableError
		if !errors.As(one, &fixed) || len(fixed.Changes) == 0 {
			rest = append(rest, one)
			continue
		}
		list = append(list, remarks(fixed.Object.Object, fixed.Changes, "the cluster has", fixed.Hint)...)
	}
	if len(list) == 0 {
		return err
	}
	ls, openErr := o.app.open(o.app.file)
	if openErr != nil {
		return err
	}
	defer func() { _ = ls.Close() }() // it only read
	found, pointErr := ls.Point(ctx, o.lab, list)
	if pointErr != nil {
		return err
	}
	for _, one := range rest {
		found = append(found, &host.Error{File: o.lab.File, Msg: one.Error(), Err: one})
	}
	return found
}

// flat lists the errors that were joined.
func flat(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error }) //nolint:errorlint // this is the unwrapping itself
	if !ok {
		return []error{err}
	}
	var list []error
	for _, one := range joined.Unwrap() {
		list = append(list, flat(one)...)
	}
	return list
}

// manifestOp is the op whose parameters are objects.
const manifestOp = "k8s/manifest"

// fixedSince finds, in manifests that differ from the run before, the fields that a
// cluster which has the objects of then would refuse to change.
func (a *app) fixedSince(ctx context.Context, ls *labstar.Labstar, lab *labstar.Lab, altered []labstar.Altered) (host.Errors, error) {
	var list []labstar.Remark
	for _, pair := range altered {
		found, err := fixedBetween(pair.Old.Params, pair.New.Params)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	if len(list) == 0 {
		return nil, nil
	}
	return ls.Point(ctx, lab, list)
}

// fixedBetween compares the parameters of two manifests.
func fixedBetween(old, now json.RawMessage) ([]labstar.Remark, error) {
	type parameters struct {
		Objects []json.RawMessage `json:"objects"`
	}
	var was, is parameters
	if err := errors.Join(json.Unmarshal(old, &was), json.Unmarshal(now, &is)); err != nil {
		return nil, fmt.Errorf("reading the manifests of the last run: %w", err)
	}
	same := map[string]bool{}
	for _, o := range was.Objects {
		same[string(o)] = true
	}
	changed := map[string]map[string]any{} // by identity
	for _, o := range is.Objects {
		if same[string(o)] {
			same[string(o)] = false // and those that are left were changed, or went
			continue
		}
		if object, id := identify(o); id != "" {
			changed[id] = object
		}
	}
	if len(changed) == 0 {
		return nil, nil
	}
	var list []labstar.Remark
	for _, o := range was.Objects {
		if !same[string(o)] {
			continue
		}
		before, id := identify(o)
		object := changed[id]
		if object == nil {
			continue
		}
		group, kind := immutable.Kind(object)
		list = append(list, remarks(object, immutable.Since(before, object), "the last run had", immutable.Remedy(group, kind, recreate))...)
	}
	return list, nil
}

// identify reads an object; its identity is "" if its name is known only after a build:
// another content has another one.
func identify(text json.RawMessage) (object map[string]any, id string) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.UseNumber()
	if d.Decode(&object) != nil {
		return nil, ""
	}
	group, kind := immutable.Kind(object)
	meta, _ := object["metadata"].(map[string]any)
	labels, _ := meta["labels"].(map[string]any)
	name, _ := meta["name"].(string)
	if name == "" || labels["labstar/hashed"] != nil {
		return nil, ""
	}
	return object, fmt.Sprint(group, " ", kind, " ", meta["namespace"], " ", name)
}

// refusal is the heading of what can't be changed.
const refusal = "a cluster that has the objects of the last run would refuse to change:"

// warnFixed tells of them after a run.
func (o *runOptions) warnFixed(ctx context.Context, ls *labstar.Labstar, lab *labstar.Lab, report *labstar.Report) error {
	altered, err := report.Altered(manifestOp)
	if err != nil || len(altered) == 0 {
		return err
	}
	a := o.app
	found, err := a.fixedSince(ctx, ls, lab, altered)
	switch {
	case err != nil || len(found) == 0:
		return err
	case a.json:
		return a.fixedJSON(found)
	}
	a.say("%s", a.term.Yellow(refusal))
	found.Render(a.err, a.term.Color)
	return nil
}

// fixedJSON writes a warning for each.
func (a *app) fixedJSON(found host.Errors) error {
	var err error
	for _, e := range found {
		err = errors.Join(err, a.events.write(warningEvent{Event: "warning", Text: e.Msg, At: e.Position(), Hint: e.Hint}))
	}
	return err
}
