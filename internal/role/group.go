package role

import (
	"fmt"

	"example.com/webpubsub/internal/clip"
)

// MatchGroup reports whether a group name matches a pattern in the language of
// the roles webpubsub.sendToGroups and webpubsub.joinLeaveGroups. It returns an
// error if the pattern is invalid. The filters of group presence events use the
// same language, as far as it is documented.
func MatchGroup(pattern, group string) (bool, error) {
	p, err := compile(pattern)
	if err != nil {
		return false, fmt.Errorf("group pattern %q: %w", clip.Text(pattern, maxShown), err)
	}
	return p.match(group), nil
}
