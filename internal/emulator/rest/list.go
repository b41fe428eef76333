package rest

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"example.com/webpubsub/internal/emulator/broker"
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

// listConnections pages through a group in the order of connection ids.
func (c *call) listConnections() error {
	size, paged, err := c.number("maxpagesize", 200)
	if err != nil {
		return err
	}
	top, limited, err := c.number("top", 1<<31-1)
	if err != nil {
		return err
	}
	after, err := c.resumeAfter()
	if err != nil {
		return err
	}
	members := c.hub.Members(c.args[0])
	start, found := slices.BinarySearchFunc(members, after, func(m *broker.Conn, id string) int { return strings.Compare(m.ID, id) })
	if found {
		start++
	}
	members = members[start:]
	page := memberPage{Value: []member{}}
	n := min(size, top, len(members))
	for _, m := range members[:n] {
		page.Value = append(page.Value, member{m.ID, m.User()})
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
		q += "continuationToken=" + c.continuationToken(members[n-1].ID) + "&api-version=" + apiVersions[len(apiVersions)-1]
		page.NextLink = c.api.Access.Address(c.r) + c.r.URL.EscapedPath() + q
	}
	c.body = page
	return nil
}

// continuationToken returns the token for the members after id. It is the id,
// sealed for this listing, so that a token of another one is rejected, and not
// taken for a place in this one.
func (c *call) continuationToken(id string) string {
	return base64.RawURLEncoding.EncodeToString(append(c.seal(id), id...))
}

// resumeAfter returns the id in the request's continuation token, ""
// if it has none.
func (c *call) resumeAfter() (id string, err error) {
	text, given, err := c.single("continuationToken")
	if err != nil || !given {
		return "", err
	}
	if text == "" {
		return "", invalid("continuationToken", "The continuationToken is empty.")
	}
	raw, err := base64.RawURLEncoding.DecodeString(text)
	if n := min(sealSize, len(raw)); err == nil && hmac.Equal(raw[:n], c.seal(string(raw[n:]))) {
		return string(raw[n:]), nil
	}
	e := badRequest("continuationToken", "Invalid continuationToken.")
	e.hidden = "the continuationToken was not given out for this group: follow the nextLink of the page before"
	return "", e
}

const sealSize = 16

func (c *call) seal(id string) []byte {
	m := hmac.New(sha256.New, []byte(c.api.Access.Keys[0]))
	fmt.Fprintf(m, "%q %q %q", c.hub.Name, c.args[0], id)
	return m.Sum(nil)[:sealSize]
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
