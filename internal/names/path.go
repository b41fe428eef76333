package names

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"example.com/webpubsub/internal/clip"
)

// RoutableInPath reports why the service cannot route a REST request that has s,
// a group name, user ID or connection ID, in its path. It returns nil if it can.
// Clients can use such a group, and such a user can connect; only the REST
// operations that carry the name in their path do not reach it:
//
//   - A slash: the service does not decode %2F in a path, so the request
//     succeeds without effect (Azure Web PubSub data plane REST reference,
//     Limitations; https://github.com/Azure/azure-webpubsub/issues/40).
//   - "." and "..": servers and proxies remove dot segments, percent-encoded or
//     not (RFC 3986, section 6.2.2), so that a send to the group ".." would
//     become a send to the hub.
//   - Text that is not UTF-8.
//
// Every other character, a percent sign included, is routable when it is
// percent-encoded. Whether s may be empty is for the caller to check.
func RoutableInPath(s string) error {
	switch {
	case s == "." || s == "..":
		return fmt.Errorf("%q cannot be part of a REST path: the path segments . and .. are removed", s)
	case strings.Contains(s, "/"):
		return fmt.Errorf("%q cannot be part of a REST path: the service does not decode %%2F to /", clip.Text(s, maxShown))
	case !utf8.ValidString(s):
		return fmt.Errorf("%q cannot be part of a REST path: it is not UTF-8", clip.Text(s, maxShown))
	}
	return nil
}

// Unaddressable reports which of the names that a client is granted cannot be
// used in REST calls later, one error for each, or nil. An empty user ID is an
// anonymous client. Of a role, only the group name or pattern is considered.
func Unaddressable(userID string, roles, groups []string) []error {
	var found []error
	check := func(kind, s string) {
		if err := RoutableInPath(s); err != nil {
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
				// Formatted only if needed: every connect event is checked.
				if err := RoutableInPath(group); err != nil {
					found = append(found, fmt.Errorf("role %q: %w", clip.Text(r, maxShown), err))
				}
			}
		}
	}
	return found
}
