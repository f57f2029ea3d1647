package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"
	"time"

	"github.com/spf13/pflag"

	"github.com/labstar/labstar"
	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/flash"
	"github.com/labstar/labstar/internal/term"
)

func flashCommand() command {
	return command{
		name: "flash", args: "[FILE] TARGET DEVICE",
		short: "write a disk to a stick or a card",
		long: `
Builds TARGET, a raw disk image, and writes it to DEVICE, such as /dev/sdb. It shows
what the device is and what is on it, and asks; --yes is for scripts. It refuses a
device that is in use, that this machine runs from, that is too small, that is a
partition, and one that can't be taken out, unless --force names it once more.

What was written is read back and compared. Until then the device has no partition
table: one that was interrupted is empty, not half new. The second copy of a GPT goes
to the device's end. Nothing but DEVICE is written to.`,
		examples: `
labstar flash stick /dev/sdb
labstar flash examples/usbstick/lab.star stick /dev/disk/by-id/usb-SanDisk_Ultra-0:0
labstar flash --yes --force loop0 stick /dev/loop0`,
		setup: func(a *app, fs *pflag.FlagSet) runner {
			o := &flashOptions{runOptions: runOptions{app: a, jobs: runtime.NumCPU()}}
			fs.BoolVarP(&o.yes, "yes", "y", false, "don't ask")
			fs.StringVar(&o.force, "force", "", "write to a device that is not removable: its `name`, such as sda")
			fs.BoolVar(&o.locked, "locked", false, "fail if lab.lock lacks something, instead of adding it")
			a.quietFlag(fs)
			a.cacheFlag(fs)
			a.secretFlag(fs)
			return o.run
		},
	}
}

// flashOptions are the flags of flash.
type flashOptions struct {
	runOptions
	yes   bool
	force string
}

func (o *flashOptions) run(ctx context.Context, args []string) (err error) {
	file, rest := splitFile(args)
	if len(rest) != 2 {
		return usagef("flash", "got %s, want a target and a device", plural(len(rest), "argument", "arguments"))
	}
	if !o.yes && !isTerminal() {
		return usagef("flash", "standard input is no terminal to ask on; say --yes if %s is the right device", rest[1])
	}
	// What speaks against the device is told before anything is built.
	dev, err := flash.Inspect(rest[1])
	if err != nil {
		return err
	}
	if err := dev.Refuse(0, o.force); err != nil {
		return err
	}
	ls, lab, err := o.open(ctx, file)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, ls.Close()) }()
	if len(lab.Wants) > 0 {
		if lab, err = o.fillLock(ctx, ls, lab); err != nil {
			return err
		}
	}
	image, err := o.build(ctx, ls, lab, rest[0])
	if err != nil {
		return err
	}
	fi, err := os.Stat(image)
	if err != nil {
		return err
	}
	if err := dev.Refuse(fi.Size(), o.force); err != nil {
		return err
	}
	o.show(dev, rest[0], fi.Size())
	if err := o.ask(ctx, dev); err != nil {
		return err
	}
	return o.write(ctx, dev, rest[0], image, fi.Size())
}

// build builds the target and returns where its image is.
func (o *flashOptions) build(ctx context.Context, ls *labstar.Labstar, lab *labstar.Lab, name string) (string, error) {
	targets, err := lab.Pick(name)
	if err != nil {
		return "", err
	}
	t := targets[0]
	if len(t.Items) != 1 || t.Items[0].Artifact.Kind() != action.File || t.Items[0].Type == labstar.TestType {
		return "", fmt.Errorf("%s is a %s, want a disk image", name, t.Type)
	}
	o.app.targets = lab.Targets
	report, err := ls.BuildTargets(ctx, lab, targets)
	o.sink.close()
	if err != nil {
		return "", err
	}
	if report.Failed > 0 {
		return "", errReported
	}
	return report.FilePath(ctx, t.Items[0].Artifact)
}

// show tells what the device is and what will be lost.
func (o *flashOptions) show(dev *flash.Device, name string, size int64) {
	if o.app.quiet {
		return
	}
	a := o.app
	a.say("%s: %s, %s", dev.Path, term.Clean(dev.String()), term.Bytes(dev.Size))
	for _, p := range dev.Partitions {
		label := ""
		if p.Label != "" {
			label = "  " + term.Clean(p.Label)
		}
		a.say("  %s  %s%s", p.Name, term.Bytes(p.Size), label)
	}
	if len(dev.Partitions) == 0 {
		a.say("  no partitions")
	}
	a.say("all of it will be lost: %s (%s) is written there", name, term.Bytes(size))
}

// errDeclined is the answer no.
var errDeclined = errors.New("nothing was written")

func (o *flashOptions) ask(ctx context.Context, dev *flash.Device) error {
	if o.yes {
		return nil
	}
	fmt.Fprintf(o.app.err, "write to %s? Type its name, %s: ", dev.Path, dev.Name)
	answer := make(chan string, 1)
	go func() {
		line, _ := bufio.NewReader(os.Stdin).ReadString('\n') // the end of the input is no answer
		answer <- strings.TrimSpace(line)
	}()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case got := <-answer:
		if got != dev.Name {
			return errDeclined
		}
	}
	return nil
}

// write writes the image, with its progress on the screen.
func (o *flashOptions) write(ctx context.Context, dev *flash.Device, name, image string, size int64) error {
	a := o.app
	show := func(flash.Phase, int64, int64) {}
	if !a.quiet && a.term.Live {
		p := term.NewProgress(a.term, a.err)
		a.showProgress(p)
		now := flash.Phase("")
		show = func(phase flash.Phase, done, total int64) {
			if phase != now {
				p.Drop(now)
				p.Start(phase, fmt.Sprintf("%s %s", phase, dev.Path))
				now = phase
			}
			p.Bytes(phase, done, total)
		}
	} else if !a.quiet {
		now := flash.Phase("")
		show = func(phase flash.Phase, _, _ int64) {
			if phase != now {
				a.say("%s %s", phase, dev.Path)
				now = phase
			}
		}
	}
	began := time.Now()
	err := flash.Write(ctx, dev, image, show)
	a.restore()
	if err != nil {
		return err
	}
	if !a.quiet {
		a.say("%s", a.term.Green(fmt.Sprintf("wrote %s (%s) to %s and read it back in %s", name, term.Bytes(size), dev.Path, term.Duration(time.Since(began)))))
	}
	return nil
}
