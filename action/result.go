package action

import "fmt"

// Encode returns the result as a REAPI ActionResult message: files under
// output_files, trees under output_directories by root digest (API 2.2), the
// log as stdout. Millis is in a field of ours (1000), which others skip.
func (r *Result) Encode() []byte {
	var w wire
	for i := range r.Outputs {
		if o := &r.Outputs[i]; o.Kind == File {
			w.msg(2, func(m *wire) { m.str(1, o.Name); m.digest(2, o.Digest) })
		}
	}
	for i := range r.Outputs {
		if o := &r.Outputs[i]; o.Kind == Tree {
			w.msg(3, func(m *wire) { m.str(1, o.Name); m.digest(5, o.Digest) })
		}
	}
	if !r.Log.IsZero() {
		w.digest(6, r.Log)
	}
	w.varint(1000, uint64(r.Millis))
	return w.b
}

// DecodeResult reads what Encode wrote. The outputs come files first.
func DecodeResult(b []byte) (*Result, error) {
	res := &Result{}
	r := reader{b: b}
	var err error
	for err == nil {
		field, data, num, ok := r.next()
		if !ok {
			err = r.err
			break
		}
		switch field {
		case 2, 3:
			var o OutputDigest
			if o, err = decodeOutput(data); err == nil {
				o.Kind = OutputKind(field - 1)
				res.Outputs = append(res.Outputs, o)
			}
		case 6:
			res.Log, err = decodeDigest(data)
		case 1000:
			res.Millis = int64(num)
		default:
			err = errWire
		}
	}
	if err != nil {
		return nil, fmt.Errorf("decoding result: %w", err)
	}
	return res, nil
}

func decodeOutput(b []byte) (o OutputDigest, err error) {
	r := reader{b: b}
	for err == nil {
		field, data, _, ok := r.next()
		if !ok {
			return o, r.err
		}
		switch field {
		case 1:
			o.Name = string(data)
		case 2, 5:
			o.Digest, err = decodeDigest(data)
		default:
			err = errWire
		}
	}
	return o, err
}

// Output returns the output called name.
func (r *Result) Output(name string) (OutputDigest, bool) {
	for _, o := range r.Outputs {
		if o.Name == name {
			return o, true
		}
	}
	return OutputDigest{}, false
}
