package disk

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/internal/format/ptable"
)

// layoutSpec is what the script says of the places of partitions.
type layoutSpec struct {
	Align int64        `json:"align"`
	Size  int64        `json:"size,omitempty"` // of the disk; 0 is what is needed
	Head  int64        `json:"head"`           // bytes of the table
	Tail  int64        `json:"tail,omitempty"`
	Parts []layoutPart `json:"parts"`
}

type layoutPart struct {
	Name  string `json:"name"`
	Size  int64  `json:"size,omitempty"`  // sizeFit, sizeRest or bytes
	Start int64  `json:"start,omitempty"` // 0 is after the one before
	Input string `json:"input,omitempty"` // of what is in it
}

// span is where a partition is, in bytes.
type span struct{ start, size int64 }

// placed is a disk whose partitions have their places.
type placed struct {
	spans []span
	total int64
}

// layoutError is what can't be placed; part is the partition, or -1 for the disk.
type layoutError struct {
	part      int
	msg, hint string
}

func (e *layoutError) Error() string { return e.msg + "; " + e.hint }

func (im *image) layoutSpec() layoutSpec {
	// The tail is kept free with an MBR too: the disk can then become a GPT's.
	s := layoutSpec{Align: im.align, Size: im.size, Head: im.a.head(), Tail: ptable.Tail * ptable.Sector}
	for i, p := range im.a.Partitions {
		part := layoutPart{Name: p.name, Size: p.size, Start: p.start}
		if im.files[i] != nil {
			part.Input = fmt.Sprintf("p%d", i)
		}
		s.Parts = append(s.Parts, part)
	}
	return s
}

func roundUp(n, to int64) int64 { return (n + to - 1) / to * to }

// layout gives every partition its place. sizes are those of what is in them.
func (s *layoutSpec) layout(sizes []int64) (*placed, error) {
	out := &placed{spans: make([]span, len(s.Parts))}
	left, err := s.rest(sizes)
	if err != nil {
		return nil, err
	}
	at := s.Head
	for i, p := range s.Parts {
		sp := &out.spans[i]
		sp.start = roundUp(at, s.Align)
		if p.Start > 0 {
			sp.start = p.Start
		}
		if sp.start < at {
			return nil, s.overlap(i, at)
		}
		switch p.Size {
		case sizeFit:
			sp.size = max(roundUp(sizes[i], s.Align), s.Align)
		case sizeRest:
			sp.size = left
		default:
			sp.size = roundUp(p.Size, ptable.Sector)
		}
		if sizes[i] > sp.size {
			return nil, &layoutError{i, fmt.Sprintf("what is in partition %q has %s, and the partition %s", p.Name, people(sizes[i]), people(sp.size)), "raise its size, or say \"fit\""}
		}
		at = sp.start + sp.size
	}
	out.total = roundUp(at+s.Tail, s.Align)
	if s.Size > 0 {
		if at+s.Tail > s.Size {
			return nil, s.tooSmall(at + s.Tail)
		}
		out.total = s.Size
	}
	return out, nil
}

func (s *layoutSpec) overlap(i int, at int64) error {
	before := "the partition table"
	if i > 0 {
		before = fmt.Sprintf("partition %q", s.Parts[i-1].Name)
	}
	return &layoutError{i, fmt.Sprintf("partition %q starts at byte %d, and %s reaches to byte %d: they overlap", s.Parts[i].Name, s.Parts[i].Start, before, at), "leave start out, or give a later one"}
}

func (s *layoutSpec) tooSmall(need int64) error {
	return &layoutError{-1, fmt.Sprintf("the partitions need %s, and the disk has %s", people(need), people(s.Size)), "raise the disk's size, or say \"fit\""}
}

// rest is what a partition with size "rest" gets: all but what is before and after.
func (s *layoutSpec) rest(sizes []int64) (int64, error) {
	at, before, after, which := s.Head, int64(-1), int64(0), -1
	for i, p := range s.Parts {
		size := roundUp(p.Size, ptable.Sector)
		if p.Size == sizeFit {
			size = max(roundUp(sizes[i], s.Align), s.Align)
		}
		switch {
		case p.Size == sizeRest:
			before, which = roundUp(at, s.Align), i
			if p.Start > 0 {
				before = p.Start
			}
		case before < 0:
			at = roundUp(at, s.Align)
			if p.Start > 0 {
				at = p.Start
			}
			at += size
		case p.Start > 0 && after == 0:
			after = s.Size - s.Tail - p.Start
		default:
			after += roundUp(size, s.Align)
		}
	}
	if before < 0 {
		return 0, nil
	}
	left := (s.Size-s.Tail-after)/s.Align*s.Align - before
	if left < s.Align {
		return 0, &layoutError{which, fmt.Sprintf("nothing is left for partition %q of the disk's %s", s.Parts[which].Name, people(s.Size)), "raise the disk's size, or make the others smaller"}
	}
	return left, nil
}

// sizesOf returns the sizes of what is in the partitions.
func (s *layoutSpec) sizesOf(env action.Env) []int64 {
	sizes := make([]int64, len(s.Parts))
	for i, p := range s.Parts {
		if p.Input != "" {
			sizes[i] = env.Input(p.Input).Digest.Size
		}
	}
	return sizes
}

// restSize returns the size of partition i, which gets what the others leave: now,
// if their sizes are known, else when they are built.
func (im *image) restSize(i int) (starlark.Value, error) {
	spec := im.layoutSpec()
	known := true
	var inputs []action.Input
	for k, p := range im.a.Partitions {
		if p.size == sizeFit {
			known = false
			inputs = append(inputs, action.Input{Name: spec.Parts[k].Input, Artifact: im.files[k].Artifact})
		} else {
			spec.Parts[k].Input = ""
		}
	}
	if known {
		p, err := spec.layout(make([]int64, len(spec.Parts)))
		if err != nil {
			return nil, err
		}
		return starlark.MakeInt64(p.spans[i].size), nil
	}
	act, err := im.c.Action(action.Spec{
		Op: layoutOp, Title: im.a.Name + " layout", Params: layoutParams{spec, i}, Inputs: inputs,
		Outputs: []action.Output{{Name: "size", Kind: action.File}},
	})
	if err != nil {
		return nil, err
	}
	return starlark.String(act.Output("size").Token(action.Text)), nil
}

type layoutParams struct {
	Spec layoutSpec `json:"spec"`
	Part int        `json:"part"`
}

var layoutOp = &action.Op{Name: "disk/layout", Version: 1, Check: true, Run: runLayout}

func runLayout(_ context.Context, env action.Env) error {
	var p layoutParams
	if err := env.Params(&p); err != nil {
		return err
	}
	out, err := p.Spec.layout(p.Spec.sizesOf(env))
	if err != nil {
		return explainLayout(err)
	}
	return env.WriteFile("size", []byte(strconv.FormatInt(out.spans[p.Part].size, 10)))
}

func explainLayout(err error) error {
	var bad *layoutError
	if errors.As(err, &bad) {
		return fmt.Errorf("laying out the disk: %w", err)
	}
	return err
}
