package startest

import (
	"errors"
	"regexp"
	"strings"

	"go.starlark.net/starlark"
	"go.starlark.net/starlarkstruct"

	"github.com/labstar/labstar/starlark/schema"
)

// assert is the module that tests use.
var assert = &starlarkstruct.Module{
	Name: "assert",
	Members: starlark.StringDict{
		"eq":       schema.New("assert.eq", "assert.eq fails unless both values are equal.", assertEq),
		"ne":       schema.New("assert.ne", "assert.ne fails if both values are equal.", assertNe),
		"true":     schema.New("assert.true", "assert.true fails unless the condition holds.", assertTrue),
		"contains": schema.New("assert.contains", "assert.contains fails unless the string, list or dict has the element.", assertContains),
		"fails":    schema.New("assert.fails", "assert.fails fails unless calling the function is an error that matches the pattern.", assertFails),
	},
}

type pairArgs struct {
	Got  starlark.Value `star:"got" doc:"what the code under test gave"`
	Want starlark.Value `star:"want" doc:"what it should be compared with"`
	Msg  string         `star:"msg" default:"\"\"" doc:"what is tested, for the failure's message"`
}

func assertEq(c *schema.Call, a *pairArgs) (starlark.Value, error) {
	same, err := starlark.Equal(a.Got, a.Want)
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	if !same {
		return nil, c.ArgErrorf("got", "%sgot %s, want %s", prefix(a.Msg), clip(a.Got), clip(a.Want))
	}
	return starlark.None, nil
}

func assertNe(c *schema.Call, a *pairArgs) (starlark.Value, error) {
	same, err := starlark.Equal(a.Got, a.Want)
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	if same {
		return nil, c.ArgErrorf("got", "%sgot %s twice, want different values", prefix(a.Msg), clip(a.Got))
	}
	return starlark.None, nil
}

func prefix(msg string) string {
	if msg == "" {
		return ""
	}
	return msg + ": "
}

// clip bounds what a failure shows of a value.
func clip(v starlark.Value) string {
	s := v.String()
	if len(s) > 500 {
		return strings.ToValidUTF8(s[:497], "") + "…"
	}
	return s
}

type trueArgs struct {
	Cond starlark.Value `star:"cond" doc:"the condition"`
	Msg  string         `star:"msg" default:"\"\"" doc:"what is tested, for the failure's message"`
}

func assertTrue(c *schema.Call, a *trueArgs) (starlark.Value, error) {
	if !a.Cond.Truth() {
		return nil, c.ArgErrorf("cond", "%sgot %s, want something true", prefix(a.Msg), clip(a.Cond))
	}
	return starlark.None, nil
}

type containsArgs struct {
	Whole   starlark.Value `star:"whole" doc:"the string, list, tuple, set or dict"`
	Element starlark.Value `star:"element" doc:"what must be in it"`
}

func assertContains(c *schema.Call, a *containsArgs) (starlark.Value, error) {
	found, err := starlark.Binary(in, a.Element, a.Whole)
	if err != nil {
		return nil, c.Errorf("%w", err)
	}
	if !found.Truth() {
		return nil, c.ArgErrorf("whole", "got %s, want %s in it", clip(a.Whole), clip(a.Element))
	}
	return starlark.None, nil
}

type failsArgs struct {
	Fn      starlark.Callable `star:"fn" doc:"a function without parameters, such as lambda: f(1)"`
	Pattern string            `star:"pattern" doc:"a regular expression (RE2) found in the message"`
}

func assertFails(c *schema.Call, a *failsArgs) (starlark.Value, error) {
	re, err := regexp.Compile(a.Pattern)
	if err != nil {
		return nil, c.ArgErrorf("pattern", "%w", err)
	}
	_, err = starlark.Call(c.Thread(), a.Fn, nil, nil)
	if err == nil {
		return nil, c.ArgErrorf("fn", "got no error, want one that matches %q", a.Pattern)
	}
	if c.Context().Err() != nil {
		return nil, err // the test is being cancelled, which is no failure to be expected
	}
	if msg := messages(err); !re.MatchString(msg) {
		return nil, c.ArgErrorf("fn", "got the error %q, want one that matches %q", msg, a.Pattern)
	}
	return starlark.None, nil
}

// messages is what an error says, with the hints.
func messages(err error) string {
	msg := err.Error()
	var hint *schema.Error
	if errors.As(err, &hint) && hint.Hint != "" {
		msg += "\nhint: " + hint.Hint
	}
	return msg
}
