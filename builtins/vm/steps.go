package vm

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"

	"go.starlark.net/starlark"

	"github.com/labstar/labstar/action"
	"github.com/labstar/labstar/starlark/schema"
)

// Step is one thing that a test expects or does, as a value of the language.
type Step struct {
	kind   string // of the driver
	shown  string // as messages and the result name it
	fields []field
	port   int // of the guest, which is forwarded; 0 for none
	key    *schema.Artifact
	secret *schema.Secret // the password
}

type field struct{ name, value string }

// The methods of starlark.Value.
func (s *Step) String() string        { return s.shown }
func (s *Step) Type() string          { return "step" }
func (s *Step) Freeze()               {}
func (s *Step) Truth() starlark.Bool  { return true }
func (s *Step) Hash() (uint32, error) { return starlark.String(s.shown).Hash() }

var stepBuiltins = []*schema.Builtin{Expect, Send, Login, Run, SSH, HTTP, TCP, Poweroff}

// builder makes a step and keeps what is wrong with it.
type builder struct {
	c    *schema.Call
	step *Step
	errs []error
}

// newStep begins a step that is shown as the builtin's name with its main argument.
func newStep(c *schema.Call, kind, main string, timeout int) *builder {
	b := &builder{c: c, step: &Step{kind: kind}}
	shown := c.Session().Scope.Readable(main)
	if r := []rune(shown); len(r) > 60 {
		shown = string(r[:59]) + "…"
	}
	b.step.shown = fmt.Sprintf("%s(%s)", c.Builtin().Name(), shown)
	if timeout < 0 {
		b.fail("timeout", "got %d, want a number of seconds, or 0 for what is left of the test's", timeout)
	}
	if timeout > 0 {
		b.add("timeout", fmt.Sprint(timeout))
	}
	return b
}

func (b *builder) fail(arg, format string, args ...any) {
	b.errs = append(b.errs, b.c.ArgErrorf(arg, format, args...))
}

// add adds a field for the driver, which gets it as an argument of a command.
func (b *builder) add(name, value string) {
	if strings.IndexByte(value, 0) >= 0 {
		b.fail(name, "got a zero byte, which a command line can't hold")
	}
	b.step.fields = append(b.step.fields, field{name, value})
}

// regex adds a regular expression. What Go takes perl takes too, with few
// exceptions, which the driver finds before the machine starts.
func (b *builder) regex(arg, name, pattern string) {
	if pattern == "" {
		return
	}
	if err := checkRegex(pattern); err != nil {
		b.fail(arg, "%w", err)
	}
	b.add(name, pattern)
}

func checkRegex(pattern string) error {
	if strings.IndexByte(pattern, 0) >= 0 {
		return errors.New("got a zero byte in a regular expression")
	}
	if _, err := regexp.Compile(pattern); err != nil {
		return fmt.Errorf("got the regular expression %q, which does not compile: %s", pattern, strings.TrimPrefix(err.Error(), "error parsing regexp: "))
	}
	return nil
}

// forward makes the step one that needs a port of the guest.
func (b *builder) forward(arg string, port int) {
	if port < 1 || port > 65535 {
		b.fail(arg, "got %d, want a port of 1 to 65535", port)
	}
	b.step.port = port
	b.add("guest", fmt.Sprint(port))
}

// password adds a password that the script has, or the name of the variable of the
// driver's environment that has a secret's.
func (b *builder) password(v starlark.Value) {
	switch v := v.(type) {
	case starlark.String:
		b.add("password", string(v))
	case *schema.Secret:
		b.step.secret = v
		b.add("secret", secretVariable(v))
	default:
		b.fail("password", "got %s, want string or secret", v.Type())
	}
}

func (b *builder) done() (starlark.Value, error) {
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	return b.step, nil
}

type expectArgs struct {
	Regex   string `star:"regex" doc:"a regular expression; ^ and $ are the ends of a line"`
	Timeout int    `star:"timeout,keyword" default:"0" doc:"seconds to wait; 0 is what is left of the test's time"`
}

// Expect is the builtin `vm_expect`.
var Expect = schema.New("vm_expect", `vm_expect waits until the machine's console says something.

It looks at what the console said since the last step's match, with carriage returns
and escape sequences left out.

	steps = [vm_expect("Welcome to .* lab"), vm_expect("login: ", timeout = 30)]`,
	func(c *schema.Call, a *expectArgs) (starlark.Value, error) {
		b := newStep(c, "expect", fmt.Sprintf("%q", a.Regex), a.Timeout)
		if a.Regex == "" {
			b.fail("regex", "got an empty regular expression, which matches everything")
		}
		b.regex("regex", "regex", a.Regex)
		return b.done()
	}, schema.Returns("a step of a vm_test"))

type sendArgs struct {
	Text  action.Late `star:"text" doc:"what to type; a line break is the Enter key"`
	Enter bool        `star:"enter,keyword" default:"True" doc:"press Enter after it"`
}

// Send is the builtin `vm_send`.
var Send = schema.New("vm_send", `vm_send types a text on the machine's console.

	steps = [vm_expect("boot:"), vm_send("linux single"), vm_send("\x03", enter = False)]`,
	func(c *schema.Call, a *sendArgs) (starlark.Value, error) {
		b := newStep(c, "send", fmt.Sprintf("%q", string(a.Text)), 0)
		text := string(a.Text)
		if a.Enter {
			text += "\n"
		}
		b.add("text", text)
		return b.done()
	}, schema.Returns("a step of a vm_test"))

type loginArgs struct {
	User     string         `star:"user" default:"\"root\"" doc:"the user's name"`
	Password starlark.Value `star:"password,keyword" default:"\"\"" doc:"the password, a string or a secret(); \"\" if none is asked for"`
	Prompt   string         `star:"prompt,keyword" default:"\"[#$] ?\\\\z\"" doc:"a regular expression for the shell's prompt"`
	Timeout  int            `star:"timeout,keyword" default:"0" doc:"seconds to wait; 0 is what is left of the test's time"`
}

// Login is the builtin `vm_login`.
var Login = schema.New("vm_login", `vm_login logs in on the machine's console: it waits for "login:", types the user's
name, the password if there is one, and waits for a prompt.

A secret's value is typed where the machine asks for it; what the machine prints of it
is left out of the log.

	steps = [vm_login("root", password = secret("root")), vm_run("id -u", equal = "0")]`,
	func(c *schema.Call, a *loginArgs) (starlark.Value, error) {
		b := newStep(c, "login", fmt.Sprintf("%q", a.User), a.Timeout)
		if a.User == "" || strings.ContainsAny(a.User, " \n") {
			b.fail("user", "got %q, want a user's name", a.User)
		}
		b.add("user", a.User)
		b.password(a.Password)
		b.regex("prompt", "prompt", a.Prompt)
		return b.done()
	}, schema.Returns("a step of a vm_test"))

type runArgs struct {
	Command action.Late    `star:"command" doc:"for the machine's shell; it may have several lines"`
	Exit    starlark.Value `star:"exit,keyword" default:"0" doc:"the exit code it must have; None is any"`
	Output  starlark.Value `star:"output,keyword,optional" doc:"a regular expression, or a list of them, that must match what it prints (^ and $ are the ends of a line)"`
	Equal   *action.Late   `star:"equal,keyword,optional" doc:"what it must print, blank space at the end aside"`
	Timeout int            `star:"timeout,keyword" default:"0" doc:"seconds it may take; 0 is what is left of the test's time"`
}

// verify adds the fields of what a command must give.
func (b *builder) verify(exit, output starlark.Value, equal *action.Late) {
	if exit != starlark.None {
		n, err := starlark.AsInt32(exit)
		if err != nil || n < 0 || n > 255 {
			b.fail("exit", "got %s, want an exit code of 0 to 255, or None for any", exit)
		}
		b.add("exit", fmt.Sprint(n))
	}
	b.regexes("output", output)
	if equal != nil {
		b.add("equal", string(*equal))
	}
}

// regexes adds one regular expression, or a list of them.
func (b *builder) regexes(arg string, v starlark.Value) {
	switch v := v.(type) {
	case nil, starlark.NoneType:
	case starlark.String:
		b.regex(arg, arg, string(v))
	case starlark.Indexable:
		for i := range v.Len() {
			s, ok := starlark.AsString(v.Index(i))
			if !ok {
				b.fail(fmt.Sprintf("%s[%d]", arg, i), "got %s, want string", v.Index(i).Type())
			}
			b.regex(fmt.Sprintf("%s[%d]", arg, i), arg, s)
		}
	default:
		b.fail(arg, "got %s, want string or list of strings", v.Type())
	}
}

// Run is the builtin `vm_run`.
var Run = schema.New("vm_run", `vm_run runs a command in the shell on the machine's console, and checks its exit
code and what it prints.

The shell has to be there: after vm_login, or after vm_expect of its prompt. It runs
the command in a subshell, so that nothing of it is left for the next one. What the
kernel says meanwhile gets into what the command prints: the word quiet on its command
line keeps most of it away, and vm_ssh all.

	steps = [vm_run("uname -r", output = "^6[.]"), vm_run("test -e /nothing", exit = 1)]`,
	func(c *schema.Call, a *runArgs) (starlark.Value, error) {
		b := newStep(c, "run", fmt.Sprintf("%q", string(a.Command)), a.Timeout)
		b.add("command", string(a.Command))
		b.verify(a.Exit, a.Output, a.Equal)
		return b.done()
	}, schema.Returns("a step of a vm_test"))

type sshArgs struct {
	Command  action.Late      `star:"command" doc:"for the user's shell"`
	User     string           `star:"user,keyword" default:"\"root\"" doc:"who logs in"`
	Key      *schema.Artifact `star:"key,keyword,optional" kind:"file" doc:"a private key without a passphrase"`
	Password starlark.Value   `star:"password,keyword" default:"\"\"" doc:"the password, a string or a secret(), without a key"`
	Port     int              `star:"port,keyword" default:"22" doc:"the machine's port"`
	Exit     starlark.Value   `star:"exit,keyword" default:"0" doc:"the exit code it must have; None is any"`
	Output   starlark.Value   `star:"output,keyword,optional" doc:"a regular expression, or a list of them, that must match what it prints on standard output"`
	Equal    *action.Late     `star:"equal,keyword,optional" doc:"what it must print, blank space at the end aside"`
	Timeout  int              `star:"timeout,keyword" default:"0" doc:"seconds it may take, waiting for the server included; 0 is what is left of the test's time"`
}

// SSH is the builtin `vm_ssh`.
var SSH = schema.New("vm_ssh", `vm_ssh runs a command on the machine over ssh, and checks its exit code and what it
prints. Until the server answers it tries again; a refused login is a failure at once.

	steps = [vm_ssh("cat /etc/hostname", key = file("id_ed25519"), equal = "stick")]`,
	func(c *schema.Call, a *sshArgs) (starlark.Value, error) {
		b := newStep(c, "ssh", fmt.Sprintf("%q", string(a.Command)), a.Timeout)
		if a.Key == nil && a.Password == starlark.String("") {
			b.fail("password", "got neither a key nor a password, want one of them")
		}
		b.forward("port", a.Port)
		b.add("user", a.User)
		b.password(a.Password)
		b.add("command", string(a.Command))
		b.step.key = a.Key
		b.verify(a.Exit, a.Output, a.Equal)
		return b.done()
	}, schema.Returns("a step of a vm_test"))

type httpArgs struct {
	Port    int                    `star:"port" doc:"the machine's port"`
	Path    string                 `star:"path,keyword" default:"\"/\"" doc:"what is asked for"`
	Method  string                 `star:"method,keyword" default:"\"GET\"" doc:"of the request"`
	Header  map[string]action.Late `star:"header,keyword,optional" doc:"headers of the request"`
	Data    action.Late            `star:"data,keyword" default:"\"\"" doc:"body of the request"`
	Status  int                    `star:"status,keyword" default:"200" doc:"the status it must have"`
	Body    starlark.Value         `star:"body,keyword,optional" doc:"a regular expression, or a list of them, that must match the body"`
	Headers starlark.Value         `star:"headers,keyword,optional" doc:"a regular expression, or a list of them, that must match the answer's headers, such as \"^Content-Type: text/html\""`
	Timeout int                    `star:"timeout,keyword" default:"0" doc:"seconds to wait for the answer; 0 is what is left of the test's time"`
}

// HTTP is the builtin `vm_http`.
var HTTP = schema.New("vm_http", `vm_http asks the machine's web server and checks the answer. Until there is one, and
while its status is 500 or more, it asks again.

	steps = [vm_http(80, path = "/hello", body = "^hello", headers = "^Content-Type: text/plain")]`,
	func(c *schema.Call, a *httpArgs) (starlark.Value, error) {
		b := newStep(c, "http", fmt.Sprintf("%d, %q", a.Port, a.Path), a.Timeout)
		b.forward("port", a.Port)
		if !strings.HasPrefix(a.Path, "/") || strings.ContainsAny(a.Path, " \r\n") {
			b.fail("path", "got %q, want a path that starts with / and has no blanks", a.Path)
		}
		if a.Status < 100 || a.Status > 599 {
			b.fail("status", "got %d, want 100 to 599", a.Status)
		}
		b.add("path", a.Path)
		b.add("method", a.Method)
		b.add("status", fmt.Sprint(a.Status))
		b.add("data", string(a.Data))
		given := map[string]action.Late{"Host": "localhost", "Connection": "close"}
		if a.Data != "" {
			given["Content-Length"] = action.Late(fmt.Sprint(len(a.Data)))
		}
		for name, v := range a.Header {
			if name == "" || strings.ContainsAny(name+string(v), "\r\n") || strings.ContainsAny(name, ": ") {
				b.fail(fmt.Sprintf("header[%q]", name), "got a name or value that is none of a header")
			}
			given[name] = v
		}
		for _, name := range slices.Sorted(maps.Keys(given)) {
			b.add("header", name+": "+string(given[name]))
		}
		b.regexes("body", a.Body)
		b.regexes("headers", a.Headers)
		return b.done()
	}, schema.Returns("a step of a vm_test"))

type tcpArgs struct {
	Port    int         `star:"port" doc:"the machine's port"`
	Banner  string      `star:"banner,keyword" default:"\"\"" doc:"a regular expression for what the server says"`
	Send    action.Late `star:"send,keyword" default:"\"\"" doc:"what to send first"`
	Timeout int         `star:"timeout,keyword" default:"0" doc:"seconds to wait for it; 0 is what is left of the test's time"`
}

// TCP is the builtin `vm_tcp`.
var TCP = schema.New("vm_tcp", `vm_tcp waits until something listens on a port of the machine, and checks what it
says. Without a banner it is enough that the connection is not closed within a second.

	steps = [vm_tcp(22, banner = "^SSH-2.0-dropbear")]`,
	func(c *schema.Call, a *tcpArgs) (starlark.Value, error) {
		b := newStep(c, "tcp", fmt.Sprint(a.Port), a.Timeout)
		b.forward("port", a.Port)
		b.regex("banner", "banner", a.Banner)
		b.add("send", string(a.Send))
		return b.done()
	}, schema.Returns("a step of a vm_test"))

type poweroffArgs struct {
	Command action.Late `star:"command" default:"\"poweroff\"" doc:"what to type for it; \"\" presses the power button instead, which does something where the system has acpid, systemd or the like"`
	Timeout int         `star:"timeout,keyword" default:"0" doc:"seconds it may take; 0 is what is left of the test's time"`
}

// Poweroff is the builtin `vm_poweroff`.
var Poweroff = schema.New("vm_poweroff", `vm_poweroff shuts the machine down and waits until it is off. Without this step the
machine is switched off after the last one.

	steps = [vm_login("root"), vm_poweroff(timeout = 20)]`,
	func(c *schema.Call, a *poweroffArgs) (starlark.Value, error) {
		shown := fmt.Sprintf("%q", string(a.Command))
		if a.Command == "poweroff" {
			shown = ""
		}
		b := newStep(c, "poweroff", shown, a.Timeout)
		b.add("command", string(a.Command))
		return b.done()
	}, schema.Returns("a step of a vm_test"))
