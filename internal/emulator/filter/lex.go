package filter

import (
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

type tokenKind uint8

const (
	tokEnd    tokenKind = iota
	tokName             // identifiers, functions, operators, null, true and false
	tokString           // 'text'
	tokInt              // a 32-bit integer
	tokNumber           // any other number: the language has none
	tokOpen             // (
	tokClose            // )
	tokComma            // ,
	tokOther            // punctuation that OData knows and this language does not
)

type token struct {
	kind     tokenKind
	text     string // as written
	val      value  // of a string or an integer
	pos, end int    // byte offsets
}

// next reads the next token into p.tok.
func (p *parser) next() {
	if p.err != nil {
		return
	}
	rest := strings.TrimLeftFunc(p.text[p.tok.end:], unicode.IsSpace)
	start := len(p.text) - len(rest)
	t := token{pos: start}
	c, size := utf8.DecodeRuneInString(rest)
	switch {
	case rest == "":
		size = 0
	case c == '(':
		t.kind = tokOpen
	case c == ')':
		t.kind = tokClose
	case c == ',':
		t.kind = tokComma
	case c == '\'':
		t.kind = tokString
		if size = quoted(rest); size < 0 {
			p.failAt("There is an unterminated string literal at position", len(p.text))
			return
		}
		t.val = text(strings.ReplaceAll(rest[1:size-1], "''", "'"))
	case isDigit(rest), (c == '-' || c == '+') && isDigit(rest[1:]):
		size = 1 + span(rest[1:], func(c rune) bool {
			return c == '.' || '0' <= c && c <= '9' || 'a' <= c|0x20 && c|0x20 <= 'z'
		})
		t.kind = tokNumber
		if n, err := strconv.ParseInt(rest[:size], 10, 32); err == nil {
			t.kind, t.val = tokInt, number(int(n))
		}
	case isNameStart(c):
		t.kind = tokName
		size = span(rest, isNamePart)
	case strings.ContainsRune("-=/?.*:;", c):
		t.kind = tokOther
	default:
		p.failAt("Syntax error: character '"+string(c)+"' is not valid at position", start)
		return
	}
	t.text = rest[:size]
	t.end = start + size
	p.tok = t
}

// quoted returns the length of the string literal that s starts with, or -1
// when it does not end.
func quoted(s string) int {
	for i := 1; i < len(s); i++ {
		if s[i] != '\'' {
			continue
		}
		if i+1 == len(s) || s[i+1] != '\'' {
			return i + 1
		}
		i++ // a doubled quote
	}
	return -1
}

// span returns the length of the longest start of s whose characters are in.
func span(s string, in func(rune) bool) int {
	if i := strings.IndexFunc(s, func(c rune) bool { return !in(c) }); i >= 0 {
		return i
	}
	return len(s)
}

func isDigit(s string) bool { return s != "" && '0' <= s[0] && s[0] <= '9' }

func isNameStart(c rune) bool {
	return c == '_' || c == '$' || unicode.IsLetter(c) || unicode.Is(unicode.Nl, c)
}

func isNamePart(c rune) bool {
	return isNameStart(c) || unicode.In(c, unicode.Nd, unicode.Mn, unicode.Mc, unicode.Pc, unicode.Cf)
}
