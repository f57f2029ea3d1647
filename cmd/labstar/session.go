package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/builtins"
	"github.com/labstar/labstar/internal/config"
	"github.com/labstar/labstar/starlark/schema"
)

// defaultScript is the script that commands are about when none is named.
const defaultScript = "lab.star"

// splitFile takes the script off the front of args: an argument that ends in
// .star, or names a file that is there. Otherwise it is lab.star, of the folder
// if the first argument is one that has it.
func splitFile(args []string) (file string, rest []string) {
	if len(args) == 0 {
		return defaultScript, nil
	}
	if strings.HasSuffix(args[0], ".star") {
		return args[0], args[1:]
	}
	fi, err := os.Stat(args[0])
	if err != nil {
		return defaultScript, args
	}
	if fi.Mode().IsRegular() {
		return args[0], args[1:]
	}
	inside := filepath.Join(args[0], defaultScript)
	if _, err := os.Stat(inside); err == nil && fi.IsDir() {
		return inside, args[1:]
	}
	return defaultScript, args
}

// settings are this machine's.
func settings() (*config.Config, error) {
	home, err := os.UserHomeDir()
	if err != nil {
		home = "" // then there is no config file
	}
	return config.Load(os.Getenv, home)
}

// open makes a Labstar for the script file.
func (a *app) open(file string, opts ...labstar.Option) (*labstar.Labstar, error) {
	a.file = file
	if _, err := os.Stat(file); err != nil {
		return nil, noScript(file, err)
	}
	cfg, err := settings()
	if err != nil {
		return nil, err
	}
	secret, err := a.secretSource(cfg)
	if err != nil {
		return nil, err
	}
	base := []labstar.Option{
		labstar.WithBuiltins(builtins.All()...),
		labstar.WithResolvers(builtins.Resolvers()),
		labstar.WithDir(filepath.Dir(file)),
		labstar.WithConfig(cfg.Get),
		labstar.WithSecrets(secret),
		labstar.WithPrint(a.scriptPrints),
		labstar.WithLockProgress(a.transfers.tell),
		labstar.WithLockNotes(func(s string) { a.say("note: %s", s) }),
	}
	if a.cache != "" {
		base = append(base, labstar.WithStoreDir(a.cache))
	}
	return labstar.New(append(base, opts...)...)
}

// secretSource gives the values of secrets: those of --secret before those of the
// environment and the settings.
func (a *app) secretSource(cfg *config.Config) (func(string) (string, error), error) {
	files := map[string]string{}
	for _, s := range a.secrets {
		name, file, ok := strings.Cut(s, "=")
		if !ok || !schema.ValidSecretName(name) || file == "" {
			return nil, usagef(a.command, "--secret: got %q, want NAME=FILE, as root=password.txt", s)
		}
		files[name] = file
	}
	return func(name string) (string, error) {
		if file, ok := files[name]; ok {
			return config.SecretFile(name, file)
		}
		return cfg.Secret(name)
	}, nil
}

func noScript(file string, err error) error {
	if !os.IsNotExist(err) {
		return fmt.Errorf("reading the script: %w", err)
	}
	if file == defaultScript {
		return fmt.Errorf("there is no %s here: name a script (labstar run FILE), or write one; `labstar help` shows a first one", file)
	}
	return fmt.Errorf("there is no script %s", file)
}

// scriptPrints takes what the script prints.
func (a *app) scriptPrints(msg string) {
	if a.json {
		_ = a.events.write(printEvent{Event: "print", Text: msg}) // the next event reports it
		return
	}
	if !a.quiet {
		a.say("%s", msg)
	}
}

// load opens the script file and evaluates it.
func (a *app) load(ctx context.Context, file string, opts ...labstar.Option) (*labstar.Labstar, *labstar.Lab, error) {
	ls, err := a.open(file, opts...)
	if err != nil {
		return nil, nil, err
	}
	if a.opened != nil {
		a.opened(ls)
	}
	lab, err := ls.Load(ctx, filepath.Base(file))
	if err != nil {
		_ = ls.Close() // nothing was written
		return nil, nil, err
	}
	return ls, lab, nil
}

// storeDir is the store's folder, for commands that are about it.
func (a *app) storeDir() (string, error) {
	if a.cache != "" {
		return filepath.Abs(a.cache)
	}
	return labstar.DefaultStoreDir()
}
