package sensitivity

// PaddleSlim keeps sensitivities as a pickled dict, {parameter: {ratio: loss}}, whose numbers are Python's or numpy's. Reading is
// gopickle's; nothing in a file is executed: the only names that are known are numpy's for a scalar and its type.

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"math/big"
	"strconv"

	"github.com/nlpodyssey/gopickle/pickle"
	"github.com/nlpodyssey/gopickle/types"
)

// pickle writes protocol 2, which Python 2 and 3 read.
func (c *Curves) pickle(b *bytes.Buffer) {
	b.WriteString("\x80\x02}(") // protocol, empty dict, mark
	for _, k := range c.Curves {
		b.WriteByte('X')
		b.Write(binary.LittleEndian.AppendUint32(nil, uint32(len(k.Param))))
		b.WriteString(k.Param)
		b.WriteString("}(")
		for _, p := range k.Points {
			for _, v := range []float64{p.Ratio, p.Loss} {
				b.WriteByte('G')
				b.Write(binary.BigEndian.AppendUint64(nil, math.Float64bits(v)))
			}
		}
		b.WriteByte('u') // set the items behind the mark
	}
	b.WriteString("u.")
}

// readPickle reads PaddleSlim's dict. Parameters keep the dict's order.
func readPickle(b []byte) (c *Curves, err error) {
	defer func() {
		if p := recover(); p != nil {
			c, err = nil, fmt.Errorf("not a file of sensitivity curves (nor a whole pickle): %v", p)
		}
	}()
	raw, err := checkPickle(b)
	if err != nil {
		return nil, fmt.Errorf("not a file of sensitivity curves (nor a whole pickle): %w", err)
	}
	u := pickle.NewUnpickler(bytes.NewReader(b))
	u.FindClass = func(module, name string) (any, error) {
		switch module + "." + name {
		case "numpy.core.multiarray.scalar", "numpy._core.multiarray.scalar":
			return scalarOf{}, nil
		case "numpy.dtype":
			return dtypeOf{}, nil
		case "_codecs.encode": // how protocol 2 writes Python 3's bytes
			return bytesOf{raw}, nil
		}
		return nil, fmt.Errorf("it holds a %s.%s, which no sensitivity file has", module, name)
	}
	v, err := u.Load()
	if err != nil {
		return nil, fmt.Errorf("not a file of sensitivity curves (nor a whole pickle): %w", err)
	}
	top, ok := v.(*types.Dict)
	if !ok {
		return nil, fmt.Errorf("the pickle holds a %T, not a dict of parameters", v)
	}
	c = New(Setting{})
	for i, e := range *top {
		name, ok := text(e.Key)
		if !ok {
			return nil, fmt.Errorf("the pickle's key %d is a %T, not a parameter's name", i, e.Key)
		}
		if raw {
			name = unescape(name)
		}
		losses, ok := e.Value.(*types.Dict)
		if !ok {
			return nil, fmt.Errorf("%s: the pickle holds a %T, not a dict of ratios and losses", name, e.Value)
		}
		for _, l := range *losses {
			ratio, ok1 := number(l.Key)
			loss, ok2 := number(l.Value)
			if !ok1 || !ok2 {
				return nil, fmt.Errorf("%s: %v: %v is not a ratio and a loss", name, l.Key, l.Value)
			}
			c.Put(Curve{Param: name, Place: i}, Point{Ratio: ratio, Loss: loss})
		}
	}
	return c, c.check()
}

func text(v any) (string, bool) {
	switch v := v.(type) {
	case string:
		return v, true
	case []byte:
		return string(v), true
	}
	return "", false
}

func number(v any) (float64, bool) {
	switch v := v.(type) {
	case float64:
		return v, true
	case float32:
		return float64(v), true
	case int:
		return float64(v), true
	case *big.Int:
		f, _ := new(big.Float).SetInt(v).Float64()
		return f, true
	case bool:
		return 0, false
	}
	return 0, false
}

// scalarOf is numpy's function that makes a scalar of a type and its bytes.
type scalarOf struct{}

func (scalarOf) Call(args ...any) (any, error) {
	if len(args) != 2 {
		return nil, fmt.Errorf("a numpy scalar of %d arguments", len(args))
	}
	t, ok := args[0].(*dtype)
	if !ok {
		return nil, fmt.Errorf("a numpy scalar of the type %T", args[0])
	}
	data, ok := text(args[1])
	if !ok {
		return nil, fmt.Errorf("a numpy scalar made of %T", args[1])
	}
	return t.scalar([]byte(data))
}

// dtypeOf is numpy.dtype, called with a type's name.
type dtypeOf struct{}

func (dtypeOf) Call(args ...any) (any, error) {
	if len(args) == 0 {
		return nil, fmt.Errorf("a numpy type without a name")
	}
	name, ok := text(args[0])
	if !ok {
		return nil, fmt.Errorf("a numpy type whose name is a %T", args[0])
	}
	return &dtype{name, binary.LittleEndian}, nil
}

type dtype struct {
	name  string
	order binary.ByteOrder
}

// PySetState takes in (version, byte order, ...).
func (t *dtype) PySetState(state any) error {
	if s, ok := state.(*types.Tuple); ok && s.Len() > 1 {
		if order, _ := text(s.Get(1)); order == ">" {
			t.order = binary.BigEndian
		}
	}
	return nil
}

func (t *dtype) scalar(b []byte) (any, error) {
	switch {
	case t.name == "f8" && len(b) == 8:
		return math.Float64frombits(t.order.Uint64(b)), nil
	case t.name == "f4" && len(b) == 4:
		return float64(math.Float32frombits(t.order.Uint32(b))), nil
	case t.name == "i8" && len(b) == 8:
		return float64(int64(t.order.Uint64(b))), nil
	case t.name == "i4" && len(b) == 4:
		return float64(int32(t.order.Uint32(b))), nil
	}
	return nil, fmt.Errorf("a numpy scalar of the type %s in %d bytes", t.name, len(b))
}

// bytesOf is _codecs.encode(text, "latin1").
type bytesOf struct{ raw bool }

func (o bytesOf) Call(args ...any) (any, error) {
	s, ok := "", len(args) > 0
	if ok {
		s, ok = args[0].(string)
	}
	if !ok {
		return nil, fmt.Errorf("bytes that are made of no text")
	}
	if o.raw {
		s = unescape(s)
	}
	var out []byte
	for _, r := range s {
		if r > 0xff {
			return nil, fmt.Errorf("bytes with the character %q", r)
		}
		out = append(out, byte(r))
	}
	return out, nil
}

// unescape reads Python's raw-unicode-escape: a byte is a character, and \u and \U with four and eight hexadecimal digits stand for others.
func unescape(s string) string {
	var out []rune
	for i := 0; i < len(s); i++ {
		digits := 0
		if s[i] == '\\' && i+1 < len(s) {
			digits = map[byte]int{'u': 4, 'U': 8}[s[i+1]]
		}
		if digits > 0 && i+2+digits <= len(s) {
			if v, err := strconv.ParseUint(s[i+2:i+2+digits], 16, 32); err == nil {
				out = append(out, rune(v))
				i += 1 + digits
				continue
			}
		}
		out = append(out, rune(s[i]))
	}
	return string(out)
}

// checkPickle walks over a pickle's opcodes and refuses a length that the file does not hold: the reader would make room for it
// first. What follows an opcode is listed in Python's pickletools. raw tells that texts are written as in protocol 0, a byte a
// character, which the reader hands over as they are.
func checkPickle(b []byte) (raw bool, err error) {
	const (
		line   = -1 // up to the end of the line
		lines2 = -2
		len1   = -3 // a length in so many bytes, then that many bytes
		len4   = -4
		len8   = -5
	)
	behind := map[byte]int{ // what is not listed has nothing behind it
		'F': line, 'I': line, 'L': line, 'S': line, 'V': line, 'g': line, 'p': line, 'P': line, 'c': lines2, 'i': lines2,
		'J': 4, 'K': 1, 'M': 2, 'G': 8, 'h': 1, 'q': 1, 'j': 4, 'r': 4, 0x80: 1, 0x82: 1, 0x83: 2, 0x84: 4,
		'U': len1, 'C': len1, 0x8a: len1, 0x8c: len1, 'T': len4, 'B': len4, 'X': len4, 0x8b: len4,
		0x8d: len8, 0x8e: len8, 0x96: len8, 0x95: 8,
	}
	for at := 0; at < len(b); {
		op := b[at]
		at++
		if op == '.' {
			return raw, nil
		}
		raw = raw || op == 'V'
		n := uint64(0)
		switch k := behind[op]; k {
		case line, lines2:
			for range -k {
				end := bytes.IndexByte(b[at:], '\n')
				if end < 0 {
					return raw, io.ErrUnexpectedEOF
				}
				at += end + 1
			}
		case len1, len4, len8:
			size := map[int]int{len1: 1, len4: 4, len8: 8}[k]
			if len(b)-at < size {
				return raw, io.ErrUnexpectedEOF
			}
			var wide [8]byte
			copy(wide[:], b[at:at+size])
			n = binary.LittleEndian.Uint64(wide[:])
			at += size
		default:
			if op == 0x95 && len(b)-at >= 8 { // the frame's length is of what the walk goes over next
				if binary.LittleEndian.Uint64(b[at:]) > uint64(len(b)-at-8) {
					return raw, io.ErrUnexpectedEOF
				}
			}
			n = uint64(k)
		}
		if n > uint64(len(b)-at) {
			return raw, io.ErrUnexpectedEOF
		}
		at += int(n)
	}
	return raw, io.ErrUnexpectedEOF
}
