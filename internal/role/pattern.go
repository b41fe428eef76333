package role

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"unicode/utf8"
)

// pattern is a wildcard pattern of group names, compiled: one token a character.
// See https://learn.microsoft.com/azure/azure-web-pubsub/concept-wildcard-group-roles.
type pattern []rune

// Tokens that are not characters.
const (
	one  rune = -1 - iota // ? one character except "."
	star                  // * any number of characters except "."
	deep                  // ** any number of characters
)

// compile checks the pattern against its rules.
func compile(s string) (pattern, error) {
	if s == "" {
		return nil, errors.New("the pattern is empty: write ** for every group")
	}
	if utf8.RuneCountInString(s) > MaxPattern {
		return nil, fmt.Errorf("the pattern is too long: at most %d characters are allowed", MaxPattern)
	}
	var p pattern
	stars, escaped := 0, false
	for _, c := range s {
		switch {
		case escaped:
			if c != '*' && c != '?' && c != '\\' {
				return nil, fmt.Errorf(`a backslash precedes %q: it can only precede *, ? and \`, c)
			}
			p, escaped = append(p, c), false
		case c == '\\':
			escaped = true
		case c == '?':
			p = append(p, one)
		case c == '*':
			stars++
			if n := len(p); n > 0 && (p[n-1] == star || p[n-1] == deep) {
				p[n-1] = deep // a run of two or more is one **
			} else {
				p = append(p, star)
			}
		default:
			p = append(p, c)
		}
	}
	if escaped {
		return nil, errors.New(`the pattern ends in a single backslash: write \\ for a backslash`)
	}
	if stars > MaxStars {
		return nil, fmt.Errorf("the pattern has %d stars: at most %d are allowed, and ** counts as two", stars, MaxStars)
	}
	return slices.Clip(p), nil
}

// literal returns the one group that a pattern without wildcards means.
func (p pattern) literal() (string, bool) {
	if slices.ContainsFunc(p, func(t rune) bool { return t < 0 }) {
		return "", false
	}
	return string(p), true
}

// String returns the pattern, with a run of stars as two.
func (p pattern) String() string {
	var b strings.Builder
	for _, t := range p {
		switch t {
		case one:
			b.WriteByte('?')
		case star:
			b.WriteByte('*')
		case deep:
			b.WriteString("**")
		case '*', '?', '\\':
			b.WriteByte('\\')
			fallthrough
		default:
			b.WriteRune(t)
		}
	}
	return b.String()
}

// match reports whether the whole group name fits. The cost is the product of
// the two lengths for every pattern: reached[i] reports whether the name up to the
// current character matches the first i tokens.
func (p pattern) match(group string) bool {
	var row [MaxPattern + 1]bool
	reached := row[:len(p)+1]
	reached[0] = true
	for i, t := range p {
		reached[i+1] = reached[i] && (t == star || t == deep)
	}
	for _, c := range group {
		before := reached[0] // reached[i] as it was before c
		reached[0] = false
		for i, t := range p {
			here := reached[i+1]
			switch t {
			case one:
				reached[i+1] = before && c != '.'
			case star:
				reached[i+1] = reached[i] || here && c != '.'
			case deep:
				reached[i+1] = reached[i] || here
			default:
				reached[i+1] = before && c == t
			}
			before = here
		}
	}
	return reached[len(p)]
}
