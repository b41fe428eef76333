package wire

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"math"
	"strconv"
	"strings"
	"unicode/utf8"

	"example.com/webpubsub"
)

// object is one JSON object of a frame: the raw values of the members that the
// protocols know, each nil if absent. encoding/json accepts "GROUP" for "group" and
// the last of two duplicates, and takes longer (BenchmarkJSONCodec).
//
// The reading methods record the first error in err and continue, so that a
// frame is read field by field and checked once.
type object struct {
	raw [keyCount][]byte
	err error
	// foldMetadata makes the last of several metadata keys that differ in case
	// win: an event handler gets them as headers.
	foldMetadata bool
}

// parse reads the one JSON object of a frame.
func (o *object) parse(frame []byte) {
	switch {
	case !utf8.Valid(frame):
		o.fail(errors.New("it is not UTF-8"))
	case !json.Valid(frame):
		o.fail(errors.New("it is not valid JSON: send one JSON object"))
	default:
		o.scan(frame)
	}
}

// scan reads valid JSON.
func (o *object) scan(valid []byte) {
	start := skipSpace(valid, 0)
	if valid[start] != '{' {
		o.fail(errors.New("it is not a JSON object"))
		return
	}
	for name, value := range members(valid[start:]) {
		k, ok := keys[string(name)]
		if !ok {
			continue // a member of a newer version
		}
		// Microsoft's emulator uses the last one. Which one the service uses is not
		// documented, and sending two is an error of the client.
		if o.raw[k] != nil {
			o.fail(fmt.Errorf("%s is given twice", keyNames[k]))
		}
		o.raw[k] = value
	}
}

func (o *object) fail(err error) {
	if o.err == nil {
		o.err = err
	}
}

// has reports whether the member is there and not null.
func (o *object) has(k key) bool { return o.raw[k] != nil && string(o.raw[k]) != "null" }

// notNull fails if the member is null. The service accepts null for an absent member
// only for some (as seen of Microsoft's emulator).
func (o *object) notNull(k key) {
	if string(o.raw[k]) == "null" {
		o.fail(fmt.Errorf("%s must not be null: omit it", keyNames[k]))
	}
}

// require fails unless the member is there and not null.
func (o *object) require(k key) bool {
	if !o.has(k) {
		o.fail(fmt.Errorf("%s is missing", keyNames[k]))
		return false
	}
	return true
}

// text returns a string, "" if absent.
func (o *object) text(k key) string {
	if !o.has(k) {
		return ""
	}
	s, ok := unquote(o.raw[k])
	if !ok {
		o.fail(fmt.Errorf("%s must be a string", keyNames[k]))
	}
	return string(s)
}

// textPointer returns a string, nil if absent.
func (o *object) textPointer(k key) *string {
	if !o.has(k) {
		return nil
	}
	s := o.text(k)
	return &s
}

func (o *object) boolean(k key) bool {
	switch string(o.raw[k]) {
	case "true":
		return true
	case "false", "null", "":
	default:
		o.fail(fmt.Errorf("%s must be true or false", keyNames[k]))
	}
	return false
}

// uint returns a number from 0 to limit, 0 if absent.
func (o *object) uint(k key, limit uint64) uint64 {
	if !o.has(k) {
		return 0
	}
	// The conversion to a string does not outlive the call, and costs nothing
	// for any number that is in range.
	n, err := strconv.ParseUint(string(o.raw[k]), 10, 64)
	if err != nil || n > limit {
		o.fail(fmt.Errorf("%s must be a whole number from 0 to %d", keyNames[k], limit))
		return 0
	}
	return n
}

// uintPointer returns a number, nil if absent.
func (o *object) uintPointer(k key) *uint64 {
	if !o.has(k) {
		return nil
	}
	n := o.uint(k, math.MaxUint64)
	return &n
}

func (o *object) int64(k key) int64 {
	if !o.has(k) {
		return 0
	}
	n, err := strconv.ParseInt(string(o.raw[k]), 10, 64)
	if err != nil {
		o.fail(fmt.Errorf("%s must be a whole number", keyNames[k]))
	}
	return n
}

// object returns a member that is an object, nil if absent.
func (o *object) object(k key) *object {
	if !o.has(k) {
		return nil
	}
	if o.raw[k][0] != '{' {
		o.fail(fmt.Errorf("%s must be an object", keyNames[k]))
		return nil
	}
	inner := new(object)
	inner.scan(o.raw[k])
	o.fold(k, inner)
	return inner
}

// fold adopts the error of a member.
func (o *object) fold(k key, inner *object) {
	if inner.err != nil {
		o.fail(fmt.Errorf("%s: %w", keyNames[k], inner.err))
	}
}

// textMap returns an object of strings, nil if absent.
func (o *object) textMap(k key) map[string]string {
	if !o.has(k) {
		return nil
	}
	if o.raw[k][0] != '{' {
		o.fail(fmt.Errorf("%s must be an object", keyNames[k]))
		return nil
	}
	m := make(map[string]string)
	for name, value := range members(o.raw[k]) {
		v, ok := unquote(value)
		if !ok {
			o.fail(fmt.Errorf("the values of %s must be strings", keyNames[k]))
		}
		if _, twice := m[string(name)]; twice {
			o.fail(fmt.Errorf("%s has a key twice", keyNames[k]))
		}
		m[string(name)] = string(v)
	}
	return m
}

func (o *object) metadata() map[string]string {
	m := o.textMap(keyMetadata)
	if !o.foldMetadata || len(m) < 2 {
		return m
	}
	last := make(map[string]string, len(m)) // the spelling that came last
	for name := range members(o.raw[keyMetadata]) {
		lower := lowerASCII(string(name))
		if before, ok := last[lower]; ok && before != string(name) {
			delete(m, before)
		}
		last[lower] = string(name)
	}
	return m
}

// message returns the payload with its metadata, zero if there is neither.
// The payload may share memory with the frame.
func (o *object) message() webpubsub.Message {
	m := webpubsub.Message{Metadata: o.metadata()}
	data := o.raw[keyData]
	if data == nil {
		if o.has(keyMetadata) {
			m.Type, m.Data = webpubsub.DataTypeText, []byte{}
		}
		return m
	}
	m.Type = webpubsub.DataTypeJSON
	if o.has(keyDataType) {
		m.Type = webpubsub.DataType(o.text(keyDataType))
	}
	switch lowerASCII(string(m.Type)) {
	case "json":
		m.Type, m.Data = webpubsub.DataTypeJSON, data
	case "text":
		m.Type = webpubsub.DataTypeText
		text, ok := unquote(data)
		if !ok {
			o.fail(errors.New("data must be a string if dataType is text"))
		}
		m.Data = text
	case "binary":
		m.Type, m.Data = webpubsub.DataTypeBinary, o.base64(data)
	case "protobuf":
		m.Type, m.Data = webpubsub.DataTypeProtobuf, o.base64(data)
	default:
		// Whether this is an error depends on the caller.
		m.Data = data
	}
	return m
}

// base64 decodes as .NET's Convert.FromBase64String does: white space is ignored, and
// the unused bits before padding must be zero.
func (o *object) base64(raw []byte) []byte {
	text, ok := unquote(raw)
	if bytes.ContainsAny(text, " \t") { // the decoder skips line ends by itself
		text = bytes.Map(func(r rune) rune {
			if r == ' ' || r == '\t' {
				return -1
			}
			return r
		}, text)
	}
	data := make([]byte, base64.StdEncoding.DecodedLen(len(text)))
	n, err := base64.StdEncoding.Strict().Decode(data, text)
	if !ok || err != nil {
		o.fail(errors.New("data must be a string in standard base64 if dataType is binary or protobuf"))
		return nil
	}
	return data[:n]
}

// members yields the names, unescaped, and the raw values of a valid JSON
// object that starts at the first byte.
func members(obj []byte) iter.Seq2[[]byte, []byte] {
	return func(yield func(name, value []byte) bool) {
		for i := 1; ; {
			i = skipSpace(obj, i)
			if obj[i] == '}' {
				return
			}
			end := endOfValue(obj, i)
			name, _ := unquote(obj[i:end])
			i = skipSpace(obj, skipSpace(obj, end)+1) // the colon
			end = endOfValue(obj, i)
			if !yield(name, obj[i:end]) {
				return
			}
			if i = skipSpace(obj, end); obj[i] == ',' {
				i++
			}
		}
	}
}

// elements yields the raw values of a valid JSON array that starts at the first
// byte.
func elements(array []byte) iter.Seq[[]byte] {
	return func(yield func(value []byte) bool) {
		for i := 1; ; {
			i = skipSpace(array, i)
			if array[i] == ']' {
				return
			}
			end := endOfValue(array, i)
			if !yield(array[i:end]) {
				return
			}
			if i = skipSpace(array, end); array[i] == ',' {
				i++
			}
		}
	}
}

// MaxDepth is how deeply the objects and arrays of a frame or of a REST body may
// be nested: the limit of System.Text.Json, which the service uses.
const MaxDepth = 64

// TooDeep reports whether valid JSON is nested more deeply than MaxDepth.
func TooDeep(valid []byte) bool {
	if bytes.Count(valid, []byte("{"))+bytes.Count(valid, []byte("[")) <= MaxDepth {
		return false
	}
	depth := 0
	for i := 0; i < len(valid); i++ {
		switch valid[i] {
		case '"':
			for i++; valid[i] != '"'; i++ {
				if valid[i] == '\\' {
					i++
				}
			}
		case '{', '[':
			if depth++; depth > MaxDepth {
				return true
			}
		case '}', ']':
			depth--
		}
	}
	return false
}

// lowerASCII is [strings.ToLower] for ASCII letters only: to Unicode, the letter
// İ is an i, too.
func lowerASCII(s string) string {
	return strings.Map(func(r rune) rune {
		if 'A' <= r && r <= 'Z' {
			r += 'a' - 'A'
		}
		return r
	}, s)
}

func skipSpace(b []byte, i int) int {
	for i < len(b) && (b[i] == ' ' || b[i] == '\n' || b[i] == '\r' || b[i] == '\t') {
		i++
	}
	return i
}

// endOfValue returns the index after the valid JSON value that starts at i.
func endOfValue(b []byte, i int) int {
	depth := 0
	for ; i < len(b); i++ {
		switch b[i] {
		case '"':
			for i++; b[i] != '"'; i++ {
				if b[i] == '\\' {
					i++
				}
			}
			if depth == 0 {
				return i + 1
			}
		case '{', '[':
			depth++
		case '}', ']':
			if depth == 0 {
				return i // a number or a literal before it
			}
			if depth--; depth == 0 {
				return i + 1
			}
		case ',', ' ', '\n', '\r', '\t':
			if depth == 0 {
				return i
			}
		}
	}
	return i
}

// unquote returns the text of a valid JSON string. Without escapes it shares
// memory with raw.
func unquote(raw []byte) ([]byte, bool) {
	if raw[0] != '"' {
		return nil, false
	}
	inner := raw[1 : len(raw)-1]
	if bytes.IndexByte(inner, '\\') < 0 {
		return inner[:len(inner):len(inner)], true
	}
	var s string
	err := json.Unmarshal(raw, &s)
	return []byte(s), err == nil
}
