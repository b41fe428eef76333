package wire

import (
	"encoding/base64"
	"maps"
	"slices"
	"strconv"
	"unicode/utf8"

	"example.com/webpubsub"
)

// writer appends one compact JSON object, member by member, in the order of the
// calls: begin, members, end.
type writer struct{ buf []byte }

func (w *writer) begin() { w.buf = append(w.buf, '{') }
func (w *writer) end()   { w.buf = append(w.buf, '}') }

// key starts a member. A value never ends in an open brace, so the last byte
// shows whether this is the first.
func (w *writer) key(k key) {
	w.comma()
	w.buf = append(w.buf, '"')
	w.buf = append(w.buf, keyNames[k]...)
	w.buf = append(w.buf, '"', ':')
}

func (w *writer) comma() {
	if last := w.buf[len(w.buf)-1]; last != '{' && last != '[' {
		w.buf = append(w.buf, ',')
	}
}

func (w *writer) text(k key, s string) {
	w.key(k)
	w.buf = appendString(w.buf, s)
}

// optionalText omits the member if s is empty.
func (w *writer) optionalText(k key, s string) {
	if s != "" {
		w.text(k, s)
	}
}

// nullableText writes null if s is nil.
func (w *writer) nullableText(k key, s *string) {
	if s != nil {
		w.text(k, *s)
		return
	}
	w.key(k)
	w.buf = append(w.buf, "null"...)
}

func (w *writer) uint(k key, n uint64) {
	w.key(k)
	w.buf = strconv.AppendUint(w.buf, n, 10)
}

// optionalUint omits the member if n is nil.
func (w *writer) optionalUint(k key, n *uint64) {
	if n != nil {
		w.uint(k, *n)
	}
}

func (w *writer) int(k key, n int64) {
	w.key(k)
	w.buf = strconv.AppendInt(w.buf, n, 10)
}

func (w *writer) bool(k key, b bool) {
	w.key(k)
	w.buf = strconv.AppendBool(w.buf, b)
}

// textMap writes the entries in the order of their keys, so that equal maps
// make equal frames.
func (w *writer) textMap(k key, m map[string]string) {
	w.key(k)
	w.begin()
	for _, name := range slices.Sorted(maps.Keys(m)) {
		w.comma()
		w.buf = appendString(w.buf, name)
		w.buf = append(w.buf, ':')
		w.buf = appendString(w.buf, m[name])
	}
	w.end()
}

// message writes dataType, data and metadata of a message whose payload matches its
// type.
func (w *writer) message(m webpubsub.Message) {
	w.text(keyDataType, string(m.Type))
	w.key(keyData)
	switch m.Type {
	case webpubsub.DataTypeText:
		w.buf = appendString(w.buf, m.Data)
	case webpubsub.DataTypeJSON:
		w.buf = append(w.buf, m.Data...)
	default:
		w.buf = append(w.buf, '"')
		w.buf = base64.StdEncoding.AppendEncode(w.buf, m.Data)
		w.buf = append(w.buf, '"')
	}
	if m.Metadata != nil { // {} is kept, as by the service
		w.textMap(keyMetadata, m.Metadata)
	}
}

// error writes the name and the message, both always: the Java and the Python
// client fail if one is missing.
func (w *writer) error(e *Error) {
	w.key(keyError)
	w.begin()
	w.text(keyName, e.Name)
	w.text(keyMessage, e.Message)
	w.end()
}

const hexDigits = "0123456789abcdef"

// appendString appends a JSON string. Bytes that are not UTF-8 become U+FFFD,
// and nothing is escaped that need not be: a frame is not HTML.
func appendString[T string | []byte](dst []byte, s T) []byte {
	dst = append(dst, '"')
	done := 0
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(string(s[i:min(len(s), i+utf8.UTFMax)]))
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[done:i]...)
				dst = append(dst, "\uFFFD"...)
				done = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[done:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\n':
			dst = append(dst, '\\', 'n')
		case '\r':
			dst = append(dst, '\\', 'r')
		case '\t':
			dst = append(dst, '\\', 't')
		default:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		}
		i++
		done = i
	}
	dst = append(dst, s[done:]...)
	return append(dst, '"')
}
