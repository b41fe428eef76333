package emulator

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// member is one row of a listing. An anonymous member has a null user.
type member struct {
	ConnectionID string  `json:"connectionId"`
	UserID       *string `json:"userId"`
}

type memberPage struct {
	Value    []member `json:"value"`
	NextLink string   `json:"nextLink,omitempty"`
}

// listConnections pages through a group in the order of connection ids. The
// continuation token is the id of the last member that was returned.
func (c *call) listConnections() error {
	size, paged, err := c.number("maxpagesize", 200)
	if err != nil {
		return err
	}
	top, limited, err := c.number("top", 1<<31-1)
	if err != nil {
		return err
	}
	after, given, err := c.single("continuationToken")
	if err != nil {
		return err
	}
	if given && after == "" {
		return invalid("continuationToken", "The continuationToken is empty.")
	}
	members := c.hub.groupMembers(c.args[0])
	start, found := slices.BinarySearchFunc(members, after, func(m *conn, id string) int { return strings.Compare(m.id, id) })
	if found {
		start++
	}
	members = members[start:]
	page := memberPage{Value: []member{}}
	n := min(size, top, len(members))
	for _, m := range members[:n] {
		page.Value = append(page.Value, member{m.id, m.user()})
	}
	if n < len(members) && n < top {
		// The parameters are in the service's order.
		q := "?"
		if limited {
			q += "top=" + strconv.Itoa(top-n) + "&"
		}
		if paged {
			q += "maxpagesize=" + strconv.Itoa(size) + "&"
		}
		q += "continuationToken=" + url.QueryEscape(members[n-1].id) + "&api-version=" + apiVersions[len(apiVersions)-1]
		page.NextLink = origin(c.r) + c.r.URL.EscapedPath() + q
	}
	c.body = page
	return nil
}

// number reads a count from 1 to most, which is also its default.
func (c *call) number(name string, most int) (n int, given bool, err error) {
	text, given, err := c.single(name)
	if err != nil || !given {
		return most, given, err
	}
	if n, err = strconv.Atoi(text); err != nil || n < 1 || n > most {
		return 0, true, invalid(name, fmt.Sprintf("The field %s must be between 1 and %d.", name, most))
	}
	return n, true, nil
}
