package eventhub

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// The types of AMQP 1.0 that a sender and this peer use (OASIS, "AMQP 1.0, Part 1:
// Types"). A described type is a described, a symbol a symbol, a list a []any, and a
// map a map[any]any; the widths of numbers are kept.
type (
	described struct {
		code  uint64
		value any
	}
	symbol string
)

var errShort = errors.New("the AMQP value is cut off")

// reader decodes values.
type reader struct{ b []byte }

func (r *reader) take(n int) ([]byte, error) {
	if n < 0 || n > len(r.b) {
		return nil, errShort
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out, nil
}

// number reads a big-endian number of n bytes.
func (r *reader) number(n int) (uint64, error) {
	b, err := r.take(n)
	if err != nil {
		return 0, err
	}
	var out uint64
	for _, c := range b {
		out = out<<8 | uint64(c)
	}
	return out, nil
}

func (r *reader) value() (any, error) {
	code, err := r.number(1)
	if err != nil {
		return nil, err
	}
	if code == 0 {
		d, err := r.value()
		if err != nil {
			return nil, err
		}
		v, err := r.value()
		n, ok := d.(uint64)
		if !ok && err == nil {
			err = fmt.Errorf("the descriptor is %T", d)
		}
		return described{n, v}, err
	}
	return r.constructed(byte(code))
}

// constructed reads a value of the format code.
func (r *reader) constructed(code byte) (any, error) {
	switch code { // fixed widths of zero
	case 0x40:
		return nil, nil
	case 0x41:
		return true, nil
	case 0x42:
		return false, nil
	case 0x43:
		return uint32(0), nil
	case 0x44:
		return uint64(0), nil
	case 0x45:
		return []any{}, nil
	}
	width := map[byte]int{4: 0, 5: 1, 6: 2, 7: 4, 8: 8, 9: 16, 0xa: 1, 0xb: 4, 0xc: 1, 0xd: 4, 0xe: 1, 0xf: 4}[code>>4]
	if code>>4 == 9 {
		b, err := r.take(width)
		return b, err
	}
	n, err := r.number(width)
	if err != nil {
		return nil, err
	}
	switch code {
	case 0x50:
		return uint8(n), nil
	case 0x52, 0x70:
		return uint32(n), nil
	case 0x53, 0x80:
		return n, nil
	case 0x54:
		return int32(int8(n)), nil
	case 0x55:
		return int64(int8(n)), nil
	case 0x56:
		return n == 1, nil
	case 0x60:
		return uint16(n), nil
	case 0x71:
		return int32(n), nil
	case 0x81, 0x83: // 0x83 is a timestamp
		return int64(n), nil
	case 0x82:
		return math.Float64frombits(n), nil
	}
	if code < 0xa0 {
		return nil, fmt.Errorf("the format code %#x is not implemented", code)
	}
	b, err := r.take(int(n))
	if err != nil {
		return nil, err
	}
	switch code {
	case 0xa0, 0xb0:
		return b, nil
	case 0xa1, 0xb1:
		return string(b), nil
	case 0xa3, 0xb3:
		return symbol(b), nil
	}
	inner := &reader{b}
	count, err := inner.number(width)
	if err != nil || count > uint64(len(b)) {
		return nil, errShort
	}
	var element byte
	if code>>4 >= 0xe { // an array has one constructor
		c, err := inner.number(1)
		if err != nil {
			return nil, err
		}
		element = byte(c)
	}
	list := make([]any, 0, count)
	for range count {
		var v any
		if element != 0 {
			v, err = inner.constructed(element)
		} else {
			v, err = inner.value()
		}
		if err != nil {
			return nil, err
		}
		list = append(list, v)
	}
	if code != 0xc1 && code != 0xd1 {
		return list, nil
	}
	m := make(map[any]any, count/2)
	for i := 0; i+1 < len(list); i += 2 {
		m[list[i]] = list[i+1]
	}
	return m, nil
}

// encode appends a value.
func encode(b []byte, v any) []byte {
	wide := func(code byte, data string) []byte {
		b = append(b, code)
		b = binary.BigEndian.AppendUint32(b, uint32(len(data)))
		return append(b, data...)
	}
	switch v := v.(type) {
	case nil:
		return append(b, 0x40)
	case bool:
		return append(b, map[bool]byte{true: 0x41, false: 0x42}[v])
	case uint8:
		return append(b, 0x50, v)
	case uint16:
		return binary.BigEndian.AppendUint16(append(b, 0x60), v)
	case uint32:
		return binary.BigEndian.AppendUint32(append(b, 0x70), v)
	case uint64:
		return binary.BigEndian.AppendUint64(append(b, 0x80), v)
	case int32:
		return binary.BigEndian.AppendUint32(append(b, 0x71), uint32(v))
	case []byte:
		return wide(0xb0, string(v))
	case string:
		return wide(0xb1, v)
	case symbol:
		return wide(0xb3, string(v))
	case described:
		return encode(append(b, 0, 0x53, byte(v.code)), v.value) // go-amqp reads no wider descriptor
	case []any, map[any]any:
		code, count := byte(0xd0), 0
		var items []byte
		if m, ok := v.(map[any]any); ok {
			code, count = 0xd1, 2*len(m)
			for k, e := range m {
				items = encode(encode(items, k), e)
			}
		} else {
			for _, e := range v.([]any) {
				items = encode(items, e)
				count++
			}
		}
		b = binary.BigEndian.AppendUint32(append(b, code), uint32(len(items)+4))
		b = binary.BigEndian.AppendUint32(b, uint32(count))
		return append(b, items...)
	default:
		panic(fmt.Sprintf("%T cannot be encoded", v))
	}
}
