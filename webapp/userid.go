package webapp

import (
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/secure/precis"

	"example.com/webpubsub/internal/names"
)

// maxName is the length of the longest user name in characters.
const maxName = 128

// blank is BRAILLE PATTERN BLANK, an invisible symbol that the PRECIS freeform class
// allows.
const blank = '\u2800'

// escape matches one escaped byte of an encoded user ID.
var escape = regexp.MustCompile(`%[0-9A-Fa-f]{2}`)

// EncodeUserID returns the user ID of a user name. A user ID is ASCII, because
// the Functions host rejects requests with other characters in a header and the
// service sends the user ID as one.
//
// The name is first brought into the one form of the Nickname profile (RFC 8266):
// surrounding and repeated spaces are removed, and letters that differ only in
// width, style or composition become one. Invisible, control and unassigned
// characters are rejected. A name in ASCII is its own user ID. In any other name
// each byte outside ASCII, and each percent sign, is percent-encoded as in a URL,
// so that no two names have the same ID: a name in ASCII that contains a
// percent sign followed by two hexadecimal digits is rejected.
//
// EncodeUserID also rejects an empty name, one of more than 128 characters, and
// one that the service cannot route in the path of a REST call, such as "a/b".
func EncodeUserID(name string) (string, error) {
	name, err := normalize(name)
	if err != nil {
		return "", err
	}
	if err := names.RoutableInPath(name); err != nil {
		return "", fmt.Errorf("the user ID %w", err)
	}
	if isASCII(name) {
		if escaped := escape.FindString(name); escaped != "" {
			return "", fmt.Errorf("the user ID contains %s, which is reserved for encoded characters: leave out the percent sign", escaped)
		}
		return name, nil
	}
	var id strings.Builder
	for _, c := range []byte(name) {
		if c < utf8.RuneSelf && c != '%' {
			id.WriteByte(c)
		} else {
			fmt.Fprintf(&id, "%%%02X", c)
		}
	}
	return id.String(), nil
}

// DecodeUserID returns the name that [EncodeUserID] has encoded. An ID that it
// has not made is returned as it is.
func DecodeUserID(id string) string {
	if !strings.Contains(id, "%") {
		return id
	}
	name, err := url.PathUnescape(id)
	if err != nil {
		return id
	}
	// An ID of another origin could contain what EncodeUserID rejects.
	if again, err := EncodeUserID(name); err != nil || again != id {
		return id
	}
	return name
}

// normalize returns the name in the form of the Nickname profile (RFC 8266).
func normalize(name string) (string, error) {
	if !utf8.ValidString(name) {
		return "", errors.New("the user ID is not UTF-8")
	}
	if strings.TrimSpace(name) == "" {
		return "", errors.New("the user ID is empty")
	}
	// Bounded before it is normalised, which can make eighteen characters of one.
	if n := utf8.RuneCountInString(name); n > 2*maxName {
		return "", tooLong(n)
	}
	normal, err := precis.Nickname.String(name)
	if err != nil || strings.ContainsRune(normal, blank) {
		return "", fmt.Errorf("the user ID contains %U: control, invisible and unassigned characters are not allowed", culprit(name))
	}
	if n := utf8.RuneCountInString(normal); n > maxName {
		return "", tooLong(n)
	}
	return normal, nil
}

func tooLong(n int) error {
	return fmt.Errorf("the user ID has %d characters: at most %d are allowed", n, maxName)
}

// culprit returns the first character of a name that the profile does not allow
// by itself.
func culprit(name string) rune {
	for _, r := range name {
		if _, err := precis.Nickname.String("a" + string(r)); err != nil || r == blank {
			return r
		}
	}
	return utf8.RuneError // cannot be: context rules are broken by joiners, which fail alone
}

func isASCII(s string) bool {
	return !strings.ContainsFunc(s, func(r rune) bool { return r >= utf8.RuneSelf })
}
