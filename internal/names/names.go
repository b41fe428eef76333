// Package names checks names and metadata against the rules of the service, with
// errors that contain the rule, and reports which hosts are this machine.
//
//	if err := names.Group(g); err != nil { … }
package names

import (
	"errors"
	"fmt"
	"net"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"example.com/webpubsub/internal/clip"
)

// Limits of names and metadata.
const (
	MaxHub           = 128
	MaxGroup         = 1024
	MaxEvent         = 128
	MaxMetadataKey   = 256
	MaxMetadataValue = 1024
	MaxMetadata      = 8 << 10
)

// maxShown bounds what errors quote of text from others, in bytes.
const maxShown = 64

// Hub checks a hub name against ^[A-Za-z][A-Za-z0-9_`,.[\]]{0,127}$ (REST API
// specification, parameter hub).
func Hub(s string) error {
	ok := s != "" && len(s) <= MaxHub && isAlpha(s[0])
	for i := 1; ok && i < len(s); i++ {
		ok = isAlpha(s[i]) || isDigit(s[i]) || strings.IndexByte("_`,.[]", s[i]) >= 0
	}
	if !ok {
		return fmt.Errorf("invalid hub name %q: it starts with a letter and has at most 128 letters, digits and _ ` , . [ ]", clip.Text(s, maxShown))
	}
	return nil
}

// ErrGroup has the text that the service sends for an invalid group name.
//
//lint:ignore ST1005 clients see the wording of the service
var ErrGroup = errors.New("Invalid group name. Valid group name should be in between 1 and 1024 characters long.")

// Group checks a group name: 1 to 1,024 characters, not only white space. As the
// service counts UTF-16 code units, an emoji is two.
func Group(s string) error {
	if s == "" || len(s) > 3*MaxGroup || !utf8.ValidString(s) || len(s) > MaxGroup && len(utf16.Encode([]rune(s))) > MaxGroup || strings.TrimSpace(s) == "" {
		return ErrGroup
	}
	return nil
}

// Event checks a user event name: a letter, then at most 127 letters, digits
// and _ . - (specification of the client protocol).
func Event(s string) error {
	ok := s != "" && len(s) <= MaxEvent && isAlpha(s[0])
	for i := 1; ok && i < len(s); i++ {
		ok = isAlpha(s[i]) || isDigit(s[i]) || strings.IndexByte("_.-", s[i]) >= 0
	}
	if !ok {
		return fmt.Errorf("invalid event name %q: it starts with a letter and has at most 128 letters, digits and _ . -", clip.Text(s, maxShown))
	}
	return nil
}

func isAlpha(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }
func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isToken(s string) bool {
	for i := range len(s) {
		c := s[i]
		if !isAlpha(c) && !isDigit(c) && strings.IndexByte("!#$%&'*+-.^_`|~", c) < 0 {
			return false
		}
	}
	return true
}

// Loopback reports whether a host, without a port, is a loopback address or
// localhost.
func Loopback(host string) bool {
	ip := net.ParseIP(host)
	return strings.EqualFold(host, "localhost") || (ip != nil && ip.IsLoopback())
}
