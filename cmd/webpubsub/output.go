package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"unicode/utf8"
)

// unsafe reports whether a character could change how a terminal displays what
// surrounds it: control characters, which start escape sequences, and those that
// reverse the direction of text.
func unsafe(r rune) bool {
	switch {
	case r < ' ', 0x7f <= r && r < 0xa0, // C0 and C1
		r == 0x061c, r == 0x200e, r == 0x200f, // directional marks
		0x202a <= r && r <= 0x202e, 0x2066 <= r && r <= 0x2069, // overrides and isolates
		r == 0x2028, r == 0x2029: // line and paragraph separators
		return true
	}
	return false
}

// printable returns text of others as it can be printed in one line.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		if unsafe(r) {
			return '·'
		}
		return r
	}, s)
}

// safeWriter replaces what a terminal would execute, in all that a command prints:
// messages, response bodies and names come from others. Line feeds and tabs are
// kept.
type safeWriter struct{ w io.Writer }

func (s safeWriter) Write(p []byte) (int, error) {
	if !bytes.ContainsFunc(p, func(r rune) bool { return unsafe(r) && r != '\n' && r != '\t' }) && utf8.Valid(p) {
		return s.w.Write(p)
	}
	_, err := io.WriteString(s.w, strings.Map(func(r rune) rune {
		if unsafe(r) && r != '\n' && r != '\t' {
			return '·'
		}
		return r
	}, string(p)))
	if err != nil {
		return 0, err
	}
	return len(p), nil
}

// printJSON prints a value as one line of JSON, in which unsafe characters are
// escaped.
func printJSON(w io.Writer, v any) error {
	var b bytes.Buffer
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(v); err != nil {
		return err
	}
	var out bytes.Buffer
	for _, r := range strings.TrimSuffix(b.String(), "\n") {
		if unsafe(r) { // never outside a string
			fmt.Fprintf(&out, `\u%04x`, r)
			continue
		}
		out.WriteRune(r)
	}
	out.WriteByte('\n')
	_, err := w.Write(out.Bytes())
	return err
}

// warn prints a warning.
func (e *env) warn(format string, args ...any) {
	fmt.Fprintf(e.err, "webpubsub: warning: %s\n", printable(fmt.Sprintf(format, args...)))
}
