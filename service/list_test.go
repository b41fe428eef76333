package service_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"testing"

	"example.com/webpubsub/service"
)

// members makes srv answer lists of a group as the service does: nextLink is
// absolute, on the host that link names, with top already decreased.
func (c *capture) members(n int, link string) {
	c.reply = func(w http.ResponseWriter, r *http.Request) {
		q := r.URL.Query()
		number := func(name string, otherwise int) int {
			if v, err := strconv.Atoi(q.Get(name)); err == nil {
				return v
			}
			return otherwise
		}
		from, top, size := number("continuationToken", 0), number("top", n), number("maxpagesize", 200)
		to := min(n, from+top, from+size)
		var items []string
		for i := from; i < to; i++ {
			user := "null"
			if i%2 == 0 {
				user = fmt.Sprintf(`"u%d"`, i)
			}
			items = append(items, fmt.Sprintf(`{"connectionId":"c%d","userId":%s}`, i, user))
		}
		body := `{"value":[` + strings.Join(items, ",") + `]`
		if to < n && from+top > to {
			body += fmt.Sprintf(`,"nextLink":"%s%s?api-version=2099-01-01&continuationToken=%d&maxpagesize=%d&top=%d"`, link, r.URL.EscapedPath(), to, size, from+top-to)
		}
		w.Header().Set("Content-Type", "application/json; charset=utf-8")
		_, _ = io.WriteString(w, body+"}")
	}
}

// TestListConnectionsInGroup has the cases of the official SDKs' live tests: members, top
// and page size in, members and pages out.
func TestListConnectionsInGroup(t *testing.T) {
	tests := []struct {
		members int
		options *service.ListConnectionsInGroupOptions
		want    int
		pages   int
	}{
		{0, nil, 0, 1},
		{6, nil, 6, 1},
		{6, &service.ListConnectionsInGroupOptions{Top: 6}, 6, 1},
		{6, &service.ListConnectionsInGroupOptions{Top: 3}, 3, 1},
		{6, &service.ListConnectionsInGroupOptions{MaxPageSize: 2}, 6, 3},
		{6, &service.ListConnectionsInGroupOptions{Top: 5, MaxPageSize: 2}, 5, 3},
		{6, &service.ListConnectionsInGroupOptions{ContinuationToken: "4"}, 2, 1},
		{450, nil, 450, 3},
	}
	for _, tt := range tests {
		t.Run(fmt.Sprintf("%d %+v", tt.members, tt.options), func(t *testing.T) {
			srv := newCapture(t, false)
			srv.members(tt.members, srv.URL)
			n := 0
			for conn, err := range srv.keyClient(t, nil).ListConnectionsInGroup(t.Context(), "g", tt.options) {
				if err != nil {
					t.Fatal(err)
				}
				if n == 0 && tt.want == 6 && (conn != service.ConnectionInfo{ConnectionID: "c0", UserID: "u0"}) {
					t.Errorf("first is %+v", conn)
				}
				if n == 1 && tt.want == 6 && (conn != service.ConnectionInfo{ConnectionID: "c1"}) {
					t.Errorf("second, anonymous, is %+v", conn)
				}
				n++
			}
			r := srv.take()
			if n != tt.want || len(r) != tt.pages {
				t.Errorf("%d connections in %d pages, want %d in %d", n, len(r), tt.want, tt.pages)
			}
			for _, r := range r {
				if got := audience(t, r); got != srv.URL+r.uri {
					t.Errorf("audience %s, want that of %s", got, r.uri)
				}
			}
		})
	}
}

// TestListIgnoresNextLinkHost checks that pages are asked of the endpoint whatever host a
// nextLink names: a token must not go anywhere else.
func TestListIgnoresNextLinkHost(t *testing.T) {
	evil := newCapture(t, false)
	srv := newCapture(t, false)
	for _, link := range []string{evil.URL, evil.URL + "/other/path", "//" + strings.TrimPrefix(evil.URL, "http://"), ""} {
		srv.members(3, link)
		var ids []string
		for conn, err := range srv.keyClient(t, nil).ListConnectionsInGroup(t.Context(), "a b", &service.ListConnectionsInGroupOptions{MaxPageSize: 2}) {
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, conn.ConnectionID)
		}
		if want := []string{"c0", "c1", "c2"}; !slices.Equal(ids, want) {
			t.Errorf("ids %v, want %v", ids, want)
		}
		r := srv.take()
		if want := "/api/hubs/chat/groups/a%20b/connections?api-version=2024-12-01&continuationToken=2&maxpagesize=2&top=1"; len(r) != 2 || r[1].uri != want {
			t.Errorf("requests %v, want the second to be %s", r, want)
		}
	}
	if r := evil.take(); len(r) > 0 {
		t.Errorf("the other host was asked: %v", r)
	}
}

// TestListContinues checks that a list can be taken up where it was left.
func TestListContinues(t *testing.T) {
	srv := newCapture(t, false)
	srv.members(5, srv.URL)
	c := srv.keyClient(t, nil)
	page, err := c.NewListConnectionsInGroupPager("g", &service.ListConnectionsInGroupOptions{MaxPageSize: 3}).NextPage(t.Context())
	if err != nil || page.ContinuationToken != "3" {
		t.Fatalf("first page %+v, %v", page, err)
	}
	page, err = c.NewListConnectionsInGroupPager("g", &service.ListConnectionsInGroupOptions{ContinuationToken: page.ContinuationToken}).NextPage(t.Context())
	if err != nil || len(page.Value) != 2 || page.Value[0].ConnectionID != "c3" || page.ContinuationToken != "" {
		t.Errorf("second page %+v, %v", page, err)
	}
}

// TestListStops checks that the caller can stop early, and that no answer of the
// service keeps the list going for ever.
func TestListStops(t *testing.T) {
	srv := newCapture(t, false)
	srv.members(400, srv.URL)
	c := srv.keyClient(t, nil)
	for range c.ListConnectionsInGroup(t.Context(), "g", nil) {
		break
	}
	srv.one(t)

	last := func(ctx context.Context, o *service.ListConnectionsInGroupOptions) (n int, err error) {
		for _, e := range c.ListConnectionsInGroup(ctx, "g", o) {
			n, err = n+1, e
		}
		return n, err
	}
	for body, want := range map[string]string{
		`{"value":[],"nextLink":"https://h/?top=1"}`:               "does not continue the list",
		`{"value":[],"nextLink":"https://h/?continuationToken=1"}`: "does not continue the list",
		`{"value":[],"nextLink":"https://h:port"}`:                 "not a URL",
		`{"value":[`: "unmarshalling",
	} {
		srv.answer(http.StatusOK, body)
		if n, err := last(t.Context(), nil); n != 1 || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("answer %s: %d results, error %v", body, n, err)
		}
	}
	srv.take()
	for want, o := range map[string]service.ListConnectionsInGroupOptions{
		"Top is -1": {Top: -1}, "Top is 2147483648": {Top: 1 << 31}, "from 1 to 200": {MaxPageSize: 201}, "MaxPageSize is -1": {MaxPageSize: -1},
	} {
		if _, err := last(t.Context(), &o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%+v: error %v", o, err)
		}
	}
	if _, err := c.NewListConnectionsInGroupPager("", nil).NextPage(t.Context()); err == nil {
		t.Error("a list of no group is no error")
	}
	if r := srv.take(); len(r) > 0 {
		t.Errorf("requests were made: %v", r)
	}
}

// net/url drops a parameter that contains a semicolon or a bad escape. A list whose
// continuation token was dropped would have ended early.
func TestListKeepsOddQueries(t *testing.T) {
	srv := newCapture(t, false)
	c := srv.keyClient(t, nil)
	pages := []string{
		`{"value":[{"connectionId":"c0"}],"nextLink":"https://h/x?Api-Version=2099-01-01&continuationToken=a;b%zz&top=3"}`,
		`{"value":[{"connectionId":"c1"}]}`,
	}
	page := 0
	srv.reply = func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		_, _ = io.WriteString(w, pages[min(page, 1)])
		page++
	}
	n := 0
	for _, err := range c.ListConnectionsInGroup(t.Context(), "g", nil) {
		if err != nil {
			t.Fatal(err)
		}
		n++
	}
	r := srv.take()
	if want := "/api/hubs/chat/groups/g/connections?api-version=2024-12-01&continuationToken=a%3Bb%25zz&top=3"; n != 2 || len(r) != 2 || r[1].uri != want {
		t.Errorf("%d connections, requests %v, want the second to be %s", n, r, want)
	}
}
