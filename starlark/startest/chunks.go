package startest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"strconv"
	"strings"
	"testing/fstest"
	"time"

	"go.starlark.net/syntax"

	"github.com/labstar/labstar/starlark/host"
)

const in = syntax.IN

// chunk is a part of a file, with blank lines before it so that the lines keep
// their numbers.
type chunk struct {
	line   int // its first
	source []byte
	want   []expectation
}

type expectation struct {
	line    int
	pattern *regexp.Regexp
}

// Chunks runs one file of chunks. Modules that it loads come from fsys. An
// expected error is compared with the message and, after "hint: " on a line of
// its own, the hint.
func Chunks(ctx context.Context, cfg host.Config, fsys fs.FS, file string, src []byte) []Result {
	chunks, err := split(src)
	if err != nil {
		return []Result{{File: file, Name: "chunks", Err: err}}
	}
	var results []Result
	for _, c := range chunks {
		var out []string
		cfg := configure(cfg, overlay{fsys, fstest.MapFS{file: {Data: c.source}}}, &out)
		start := time.Now()
		_, err := host.Load(ctx, cfg, file)
		results = append(results, Result{
			File: file, Name: fmt.Sprintf("chunk %d", c.line), Err: c.compare(file, err),
			Output: out, Elapsed: time.Since(start),
		})
	}
	return results
}

// split cuts the file at "---" and reads the expectations.
func split(src []byte) ([]chunk, error) {
	var chunks []chunk
	cur := chunk{line: 1}
	blank := func(n int) []byte { return bytes.Repeat([]byte("\n"), n) }
	for i, line := range bytes.Split(src, []byte("\n")) {
		n := i + 1
		if string(bytes.TrimSpace(line)) == "---" {
			chunks = append(chunks, cur)
			cur = chunk{line: n + 1, source: blank(n)}
			continue
		}
		cur.source = append(append(cur.source, line...), '\n')
		if _, comment, ok := strings.Cut(string(line), "###"); ok {
			text, err := strconv.Unquote(strings.TrimSpace(comment))
			if err != nil {
				return nil, fmt.Errorf("line %d: malformed expectation: want ### and a quoted regular expression, got %q", n, comment)
			}
			re, err := regexp.Compile(text)
			if err != nil {
				return nil, fmt.Errorf("line %d: malformed expectation: %w", n, err)
			}
			cur.want = append(cur.want, expectation{n, re})
		}
	}
	return append(chunks, cur), nil
}

// compare returns what was wanted and did not happen, and the other way round.
func (c *chunk) compare(file string, err error) error {
	var got host.Errors
	if err != nil && !errors.As(err, &got) {
		return err
	}
	var wrong []error
	left := append([]expectation(nil), c.want...)
	for _, e := range got {
		text := e.Msg
		if e.Hint != "" {
			text += "\nhint: " + e.Hint
		}
		matched := -1
		for i, w := range left {
			if e.File == file && e.Line == w.line && w.pattern.MatchString(text) {
				matched = i
				break
			}
		}
		if matched < 0 {
			wrong = append(wrong, fmt.Errorf("unexpected error: %w", host.Errors{e}))
			continue
		}
		left = append(left[:matched], left[matched+1:]...)
	}
	for _, w := range left {
		wrong = append(wrong, fmt.Errorf("%s:%d: got no error that matches %q", file, w.line, w.pattern))
	}
	return errors.Join(wrong...)
}

// overlay is a file system with one file replaced.
type overlay struct {
	fs.FS
	top fstest.MapFS
}

// Open prefers the replaced file.
func (o overlay) Open(name string) (fs.File, error) {
	if _, ok := o.top[name]; ok {
		return o.top.Open(name)
	}
	return o.FS.Open(name)
}
