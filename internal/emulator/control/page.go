package control

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// list is one page of a listing.
type list[T any] struct {
	Value    []T    `json:"value"`
	NextLink string `json:"nextLink,omitempty"`
}

// maxPage is the largest page.
const maxPage = 1000

// page returns the page that the caller asks for of all values, and the link to
// the next one, if there is one. The key of a value is its place in the order:
// values may come and go between two pages.
func page[T any](c *call, all []T, key func(T) string, descending bool) ([]T, string, error) {
	size, err := c.number("limit", 100, 1, maxPage)
	if err != nil {
		return nil, "", err
	}
	compare := func(a, b string) int { return strings.Compare(a, b) }
	if descending {
		compare = func(a, b string) int { return strings.Compare(b, a) }
	}
	type keyed struct {
		key   string
		value T
	}
	sorted := make([]keyed, len(all))
	for i, v := range all {
		sorted[i] = keyed{key(v), v}
	}
	slices.SortFunc(sorted, func(a, b keyed) int { return compare(a.key, b.key) })
	if text := c.query.Get("continue"); text != "" {
		after, err := base64.RawURLEncoding.DecodeString(text)
		if err != nil {
			return nil, "", invalidf("The parameter continue is not part of a nextLink.")
		}
		at, found := slices.BinarySearchFunc(sorted, string(after), func(k keyed, after string) int { return compare(k.key, after) })
		if found {
			at++
		}
		sorted = sorted[at:]
	}
	next := ""
	if len(sorted) > size {
		sorted = sorted[:size]
		next = c.nextLink(sorted[size-1].key)
	}
	out := make([]T, len(sorted))
	for i, k := range sorted {
		out[i] = k.value
	}
	return out, next, nil
}

func (c *call) nextLink(key string) string {
	q := make(url.Values, len(c.query)+1)
	for name, values := range c.query {
		q[name] = values
	}
	q.Set("continue", base64.RawURLEncoding.EncodeToString([]byte(key)))
	return c.Access.Address(c.r) + c.r.URL.EscapedPath() + "?" + q.Encode()
}

// answerPage responds with a page of values, each as show returns it.
func answerPage[T, S any](c *call, all []T, key func(T) string, descending bool, show func(T) S) error {
	values, next, err := page(c, all, key, descending)
	if err != nil {
		return err
	}
	out := list[S]{Value: make([]S, len(values)), NextLink: next}
	for i, v := range values {
		out.Value[i] = show(v)
	}
	return c.answer(out)
}

// ordinal is a number as part of a key.
func ordinal[N ~int | ~int64 | ~uint64](n N) string { return fmt.Sprintf("%020d", n) }

// keyOf joins the parts of a key. No part contains U+0000 that an order depends on.
func keyOf(parts ...string) string { return strings.Join(parts, "\x00") }

// number reads a whole number.
func (c *call) number(name string, missing, least, most int) (int, error) {
	text := c.query.Get(name)
	if !c.query.Has(name) {
		return missing, nil
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < least || n > most {
		return 0, invalidf("The parameter %s must be a whole number from %d to %d.", name, least, most)
	}
	return n, nil
}

// oneOf reads a parameter with a fixed set of values, the first of which is the
// default.
func (c *call) oneOf(name string, values ...string) (string, error) {
	given := c.query.Get(name)
	if !c.query.Has(name) {
		return values[0], nil
	}
	if !slices.Contains(values, given) {
		return "", invalidf("The parameter %s must be one of %s.", name, strings.Trim(strings.Join(values, ", "), ", "))
	}
	return given, nil
}

// searcher returns a function that reports whether one of some texts contains the
// parameter search.
func (c *call) searcher() func(texts ...string) bool {
	want := strings.ToLower(c.query.Get("search"))
	return func(texts ...string) bool {
		return want == "" || slices.ContainsFunc(texts, func(s string) bool { return strings.Contains(strings.ToLower(s), want) })
	}
}
