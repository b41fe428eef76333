// Package clip shortens text that others chose, for errors and logs: what a peer
// sends must not fill them.
//
//	fmt.Errorf("invalid hub name %q", clip.Text(s, 64))
package clip

import "unicode/utf8"

// Text returns s, or at most its first n bytes, whole characters, and "…".
func Text(s string, n int) string {
	if len(s) <= n {
		return s
	}
	end := n
	for end > 0 && end > n-utf8.UTFMax && !utf8.RuneStart(s[end]) {
		end--
	}
	return s[:end] + "…"
}
