package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/internal/cluster"
	"github.com/labstar/labstar/internal/term"
)

// manifestsType is the type of the targets that apply takes.
const manifestsType = "manifests"

// clusterOptions are the flags of the commands that are about a cluster.
type clusterOptions struct {
	runOptions
	kubeconfig, context, namespace string
	name                           string // of the lab in the cluster
	change                         bool   // --cluster-change
	yes, noWait                    bool
	timeout, patience              time.Duration // see cluster.Waiting

	cluster *cluster.Cluster
	script  string // its path, as the record of clusters has it
	lab     *labstar.Lab
}

func (o *clusterOptions) flags(fs *pflag.FlagSet) {
	fs.StringVar(&o.context, "context", "", "`context` of the kubeconfig (default its current one)")
	fs.StringVarP(&o.namespace, "namespace", "n", "", "`namespace` of objects that name none (default the context's)")
	fs.StringVar(&o.kubeconfig, "kubeconfig", "", "`file` to use instead of $KUBECONFIG and ~/.kube/config")
	fs.StringVar(&o.name, "name", "", "`name` of the lab in the cluster (default that of the script's folder)")
	o.app.quietFlag(fs)
	o.app.jsonFlag(fs)
}

func (o *clusterOptions) buildFlags(fs *pflag.FlagSet) {
	fs.BoolVar(&o.locked, "locked", false, "fail if lab.lock lacks something, instead of adding it")
	o.app.cacheFlag(fs)
	o.app.secretFlag(fs)
}

func (o *clusterOptions) waitFlags(fs *pflag.FlagSet) {
	fs.BoolVarP(&o.yes, "yes", "y", false, "don't ask before something is removed or replaced")
	fs.BoolVar(&o.change, "cluster-change", false, "this is the script's cluster from now on")
	fs.DurationVar(&o.timeout, "timeout", 5*time.Minute, "how `long` to wait, as 90s or 10m")
}

// connect reads the kubeconfig and names the script.
func (o *clusterOptions) connect(file string) error {
	abs, err := filepath.Abs(file)
	if err != nil {
		return err
	}
	if real, err := filepath.EvalSymlinks(abs); err == nil {
		abs = real
	}
	o.script = abs
	if o.name == "" {
		o.name = filepath.Base(filepath.Dir(abs))
		if base := filepath.Base(abs); base != defaultScript {
			o.name += "-" + strings.TrimSuffix(base, ".star")
		}
	}
	o.cluster, err = cluster.Connect(cluster.Options{
		Kubeconfig: o.kubeconfig, Context: o.context, Namespace: o.namespace, Version: labstar.Version,
		Warn: o.warn,
	})
	return err
}

// warn tells what the cluster warns of.
func (o *clusterOptions) warn(text string) {
	if o.app.json {
		_ = o.app.events.write(warningEvent{Event: "warning", Text: text}) // the next event reports it
		return
	}
	o.app.say("%s %s", o.app.term.Yellow("the cluster warns:"), term.Clean(text))
}

// guard refuses a cluster that is not the script's, unless the user named it; the first
// one that a script is applied to is.
func (o *clusterOptions) guard(ctx context.Context, record bool) error {
	cfg, err := settings()
	if err != nil {
		return err
	}
	homes, err := cluster.OpenHomes(filepath.Join(filepath.Dir(cfg.Path), "clusters.json"))
	if err != nil {
		return err
	}
	uid, err := o.cluster.UID(ctx)
	if err != nil {
		return err
	}
	if o.change || record && !homes.Has(o.script) {
		return homes.Set(o.script, o.cluster, uid)
	}
	if o.context != "" {
		return nil
	}
	return homes.Check(o.script, o.cluster, uid)
}

// sets builds the manifests and returns what the cluster is to have of them. If no
// target is named, those that the script once had are there too, with nothing in them.
func (o *clusterOptions) sets(ctx context.Context, file string, names []string) ([]*cluster.Set, error) {
	built, err := o.manifests(ctx, file, names)
	if err != nil {
		return nil, err
	}
	var sets []*cluster.Set
	for _, t := range built {
		sets = append(sets, cluster.NewSet(o.name, t.name, o.cluster.Namespace, t.objects))
	}
	if len(names) > 0 {
		return sets, nil
	}
	old, err := o.cluster.Sets(ctx, o.name)
	if err != nil {
		return nil, err
	}
	for _, s := range old {
		if !slices.ContainsFunc(sets, func(n *cluster.Set) bool { return n.Name() == s.Name() }) {
			sets = append(sets, s)
		}
	}
	return sets, nil
}

// manifests is a target that was built.
type manifests struct {
	name    string
	objects []*cluster.Object
}

// manifests builds the targets and reads what came out.
func (o *clusterOptions) manifests(ctx context.Context, file string, names []string) (built []manifests, err error) {
	a := o.app
	ls, lab, err := o.open(ctx, file)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, ls.Close()) }()
	if len(lab.Wants) > 0 {
		if lab, err = o.fillLock(ctx, ls, lab); err != nil {
			return nil, err
		}
	}
	o.lab = lab
	targets, err := pickManifests(lab, names)
	if err != nil {
		return nil, err
	}
	a.targets = lab.Targets
	report, err := ls.BuildTargets(ctx, lab, targets)
	o.sink.close()
	if err != nil {
		return nil, err
	}
	if report.Failed > 0 {
		return nil, errReported
	}
	cfg, err := settings()
	if err != nil {
		return nil, err
	}
	secret, err := a.secretSource(cfg)
	if err != nil {
		return nil, err
	}
	for _, t := range targets {
		m := manifests{name: t.Name}
		for _, item := range t.Items {
			objects, err := readManifests(ctx, report, item)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", t.Name, err)
			}
			m.objects = append(m.objects, objects...)
		}
		if o.cluster != nil { // a list of names needs no secrets
			if err := cluster.FillSecrets(m.objects, secret); err != nil {
				return nil, fmt.Errorf("%s: %w", t.Name, err)
			}
		}
		built = append(built, m)
	}
	return built, nil
}

func readManifests(ctx context.Context, report *labstar.Report, item labstar.Item) ([]*cluster.Object, error) {
	path, err := report.FilePath(ctx, item.Artifact)
	if err != nil {
		return nil, err
	}
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	return cluster.Parse(b)
}

// pickManifests returns the named targets, all if none are named, with their items that
// are manifests.
func pickManifests(lab *labstar.Lab, names []string) ([]labstar.Target, error) {
	all, err := lab.Pick(names...)
	if err != nil {
		return nil, err
	}
	var picked []labstar.Target
	for _, t := range all {
		kind := t.Type
		t.Items = slices.DeleteFunc(slices.Clone(t.Items), func(i labstar.Item) bool { return i.Type != manifestsType })
		switch {
		case len(t.Items) > 0:
			picked = append(picked, t)
		case len(names) > 0:
			return nil, fmt.Errorf("%s is a %s, want manifests, as k8s_manifest makes them", t.Name, kind)
		}
	}
	if len(picked) == 0 {
		return nil, fmt.Errorf("%s has no manifests: a target of k8s_manifest(...) is what goes into a cluster", lab.File)
	}
	return picked, nil
}

// confirm asks a question that y answers.
func (o *clusterOptions) confirm(ctx context.Context, question string) error {
	if o.yes {
		return nil
	}
	if !isTerminal() {
		return fmt.Errorf("%s Standard input is no terminal to ask on: say --yes if that is right", question)
	}
	fmt.Fprintf(o.app.err, "%s [y/N] ", question)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n') // the end of the input is no answer
		answer <- strings.ToLower(strings.TrimSpace(line))
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case got := <-answer:
		if got != "y" && got != "yes" {
			return errors.New("nothing was changed")
		}
	}
	return nil
}

// hold waits until nobody else changes the sets, and keeps others from it.
func (o *clusterOptions) hold(ctx context.Context, sets []*cluster.Set) (*cluster.Hold, error) {
	tell, end := o.watch()
	defer end()
	return o.cluster.Hold(ctx, sets, cluster.Waiting{Timeout: o.timeout, Tell: tell})
}

// mark is how a verb is shown.
func mark(t term.Term, v cluster.Verb) string {
	switch v {
	case cluster.Create:
		return t.Green("+")
	case cluster.Change:
		return t.Yellow("~")
	case cluster.Replace:
		return t.Red("±")
	case cluster.Remove:
		return t.Red("-")
	}
	return " "
}

// past words what was done.
var past = map[cluster.Verb]string{cluster.Create: "created", cluster.Change: "changed", cluster.Replace: "replaced", cluster.Remove: "removed"}

// watch returns what shows the events of a cluster, and its end.
func (o *clusterOptions) watch() (tell func(cluster.Event), end func()) {
	a := o.app
	switch {
	case a.json:
		return func(e cluster.Event) {
			verb := past[e.Verb]
			switch e.Kind {
			case cluster.Waits:
				verb = "waits"
			case cluster.Ready:
				verb = "ready"
			}
			_ = a.objectJSON(e.Object, verb, e.Text) // the next event reports it
		}, func() {}
	case a.quiet:
		return func(cluster.Event) {}, func() {}
	}
	var live *term.Progress
	if a.term.Live {
		live = term.NewProgress(a.term, a.err)
		a.showProgress(live)
	}
	return func(e cluster.Event) {
		name := term.Clean(e.Object.String())
		switch e.Kind {
		case cluster.Done:
			if live != nil {
				live.Drop(e.Object.ID())
			}
			if verb := past[e.Verb]; verb != "" {
				a.say("%s %s", a.term.Green(verb), name)
			}
		case cluster.Waits:
			if live != nil {
				live.Title(e.Object.ID(), name+" "+e.Text)
			} else {
				a.say("%s: %s", name, term.Clean(e.Text))
			}
		case cluster.Ready:
			if live != nil {
				live.Drop(e.Object.ID())
			}
		}
	}, a.restore
}
