// Package query reads the query of a request URL as the service reads it: with
// the rules of ASP.NET Core, which never drop a parameter.
//
// [net/url.URL.Query] drops each pair that contains a semicolon or a bad percent
// escape. A filter that is dropped sends a message to all clients, so such a pair
// has to be kept as it was sent:
//
//	q := query.Parse("filter=userId eq 'a;b'&reason=100%")
//	q.Get("Filter") // "userId eq 'a;b'"
//	q.Get("reason") // "100%"
package query

import (
	"strings"
	"unicode/utf8"
)

// Values is the parameters of a query by name. Names are compared without case,
// and have the spelling in which each one occurs first.
type Values map[string][]string

// Parse returns the parameters of a raw query. Names and values are unescaped;
// an escape that is malformed or is not UTF-8 is kept as it is. A pair without =
// has an empty value.
func Parse(raw string) Values {
	v := make(Values)
	spelling := make(map[string]string) // of each name, by the name in lower case
	for pair := range strings.SplitSeq(raw, "&") {
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name = unescape(name)
		lower := strings.ToLower(name)
		if first, ok := spelling[lower]; ok {
			name = first
		}
		spelling[lower] = name
		v[name] = append(v[name], unescape(value))
	}
	return v
}

// All returns the values of a parameter, nil if it is not given.
func (v Values) All(name string) []string {
	lower := strings.ToLower(name)
	for k, all := range v {
		if strings.ToLower(k) == lower {
			return all
		}
	}
	return nil
}

// Get returns the first value of a parameter, "" if it is not given.
func (v Values) Get(name string) string {
	if all := v.All(name); len(all) > 0 {
		return all[0]
	}
	return ""
}

func unescape(s string) string {
	s = strings.ReplaceAll(s, "+", " ")
	if !strings.ContainsFunc(s, func(r rune) bool { return r == '%' || r >= utf8.RuneSelf }) {
		return s
	}
	var out []byte
	var run []byte // of escapes: a character may consist of several
	at := 0        // where the run begins
	flush := func() {
		for len(run) > 0 {
			r, n := utf8.DecodeRune(run)
			if r == utf8.RuneError && n == 1 {
				out = append(out, s[at:at+3]...)
			} else {
				out = append(out, run[:n]...)
			}
			run, at = run[n:], at+3*n
		}
	}
	s = escapeBytes(s)
	for i := 0; i < len(s); {
		if c, ok := escaped(s[i:]); ok {
			if len(run) == 0 {
				at = i
			}
			run = append(run, c)
			i += 3
			continue
		}
		flush()
		out = append(out, s[i])
		i++
	}
	flush()
	return string(out)
}

// escapeBytes escapes the bytes beyond ASCII that a client has sent as they are.
func escapeBytes(s string) string {
	const hex = "0123456789ABCDEF"
	var b strings.Builder
	for i := range len(s) {
		if c := s[i]; c >= utf8.RuneSelf {
			b.WriteString(string([]byte{'%', hex[c>>4], hex[c&15]}))
		} else {
			b.WriteByte(c)
		}
	}
	return b.String()
}

// escaped returns the byte that s begins with, if that is percent-encoded.
func escaped(s string) (byte, bool) {
	if len(s) < 3 || s[0] != '%' {
		return 0, false
	}
	high, ok1 := unhex(s[1])
	low, ok2 := unhex(s[2])
	return high<<4 | low, ok1 && ok2
}

func unhex(c byte) (byte, bool) {
	switch {
	case '0' <= c && c <= '9':
		return c - '0', true
	case 'a' <= c|0x20 && c|0x20 <= 'f':
		return c | 0x20 - 'a' + 10, true
	}
	return 0, false
}
