//go:build linux

package compile

import (
	"errors"
	"strconv"
	"time"
)

// maxInput is the size in bytes of the largest text that a probe reads.
const maxInput = 64 << 10

// probe answers a probe.
func (s *Server) probe(q *request, p *probe, sh shim) (why string) {
	var input []byte
	if p.input {
		var err error
		if input, err = sh.input(maxInput); errors.Is(err, errTooLong) {
			return "reads a long text"
		} else if err != nil {
			return ""
		}
		if !plainInput(input) {
			return "reads a text that includes files"
		}
	}
	key := s.keyOf("probe 1\x00"+strconv.Itoa(len(input))+"\x00"+string(input), q, p.key)
	want := []file{{role: "stdout"}, {role: "status"}}
	if p.output > 0 {
		want = append(want, file{role: "object", path: q.argv[p.output], replace: true, missing: true})
	}
	if e, err := s.opts.Cache.load(s.ctx, key, want); err == nil && !s.chosen() {
		e.status, err = strconv.Atoi(string(e.files[1].content))
		if err == nil {
			e.stdout, e.files = e.files[0].content, e.files[2:]
			s.count(func(st *Stats) { st.Probes++ })
			_ = s.give(sh, e)
			return ""
		}
	}
	start := time.Now()
	out, err := sh.run(q.argv, true)
	if err != nil && !errors.Is(err, errTooLong) {
		return ""
	}
	if errors.Is(err, errTooLong) || out.status&0x7f != 0 {
		s.count(func(st *Stats) { st.Passed++; st.Reasons["a long answer"]++ })
		_ = sh.same()
		return ""
	}
	e := &entry{stderr: out.stderr}
	want[0].content, want[1].content = out.stdout, []byte(strconv.Itoa(int(out.status>>8&0xff)))
	if p.output > 0 {
		b, ok, err := sh.get(want[2].path)
		if err != nil {
			return ""
		}
		want[2].content, want[2].absent = b, !ok
	}
	e.files = want
	s.count(func(st *Stats) { st.Asked++ })
	_ = sh.same()
	_ = s.opts.Cache.save(s.ctx, key, e, time.Since(start).Milliseconds()) // the next build asks again
	return ""
}
