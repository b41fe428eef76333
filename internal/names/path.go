package names

import (
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"
)

// PathSegment reports why s, a group name, user ID or connection ID, cannot be
// a segment of a REST API path. It returns nil if it can. Clients can use such a
// group, and the user can connect; only REST operations that carry the name in
// their path do not reach it:
//
//   - A slash: the service does not decode %2F in a path, so the request
//     succeeds and reaches nobody (Azure Web PubSub data plane REST reference,
//     https://github.com/Azure/azure-webpubsub/issues/40).
//   - "." and "..": servers and proxies resolve dot segments, percent-encoded or
//     not (RFC 3986, section 6.2.2), so that a send to the group ".." would
//     become a send to the hub.
//   - Text that is not UTF-8, and the empty string.
//
// Every other character, a percent sign included, is safe when it is
// percent-encoded.
func PathSegment(s string) error {
	switch {
	case s == "":
		return errors.New("the name is empty")
	case s == "." || s == "..":
		return fmt.Errorf("%q cannot be part of a REST path: it is resolved as a relative path segment (RFC 3986)", s)
	case strings.Contains(s, "/"):
		return fmt.Errorf("%q contains a slash, which the service does not decode in REST paths (%%2F)", clip(s))
	case !utf8.ValidString(s):
		return fmt.Errorf("%q is not UTF-8", clip(s))
	}
	return nil
}

// Unaddressable reports which of the names that a client is granted cannot be
// used in REST calls later, one error for each, or nil. An empty user ID is an
// anonymous client. Of a role, only the group name or pattern is considered.
func Unaddressable(userID string, roles, groups []string) []error {
	var found []error
	check := func(kind, s string) {
		if s == "" {
			return
		}
		if err := PathSegment(s); err != nil {
			found = append(found, fmt.Errorf("%s: %w", kind, err))
		}
	}
	check("user ID", userID)
	for _, g := range groups {
		check("group", g)
	}
	for _, r := range roles {
		// webpubsub.<permission>.<group or pattern>
		if rest, ok := strings.CutPrefix(r, "webpubsub."); ok {
			if _, group, ok := strings.Cut(rest, "."); ok {
				check("group of role "+quote(r), group)
			}
		}
	}
	return found
}

func quote(s string) string { return fmt.Sprintf("%q", clip(s)) }
