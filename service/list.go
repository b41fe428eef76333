package service

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"net/url"
	"strconv"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
)

// ConnectionInfo is one connection of a list.
type ConnectionInfo struct {
	// ConnectionID is the id that the service gave the connection.
	ConnectionID string `json:"connectionId"`
	// UserID is empty for an anonymous connection.
	UserID string `json:"userId"`
}

// ConnectionPage is one page of a list of connections.
type ConnectionPage struct {
	// Value holds the connections of the page, ordered by connection id.
	Value []ConnectionInfo `json:"value"`
	// NextLink is the service's URL of the next page, empty on the last.
	NextLink string `json:"nextLink"`
	// ContinuationToken continues the list after this page in another process,
	// through [ListConnectionsOptions]. Empty on the last page.
	ContinuationToken string `json:"-"`
}

// ListConnectionsOptions narrows a list. The zero value, or nil, lists all.
type ListConnectionsOptions struct {
	// Top is the most connections to list in all. Default: no limit.
	Top int
	// PageSize is the most connections of one page, 1 to 200. Default: the
	// service decides, which is 200.
	PageSize int
	// ContinuationToken starts after the page that it was taken from.
	ContinuationToken string
}

// Connections lists the connections in a group, asking for pages as they are
// needed. The first error ends the list.
//
//	for conn, err := range chat.Connections(ctx, "news", nil) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(conn.ConnectionID, conn.UserID)
//	}
func (c *Client) Connections(ctx context.Context, group string, o *ListConnectionsOptions) iter.Seq2[ConnectionInfo, error] {
	return func(yield func(ConnectionInfo, error) bool) {
		pager := c.NewListConnectionsInGroupPager(group, o)
		for pager.More() {
			page, err := pager.NextPage(ctx)
			if err != nil {
				yield(ConnectionInfo{}, err)
				return
			}
			for _, conn := range page.Value {
				if !yield(conn, nil) {
					return
				}
			}
		}
	}
}

// NewListConnectionsInGroupPager lists the connections in a group page by page.
// A group that nobody joined has one empty page. [Client.Connections] is the
// simpler way where pages do not matter.
func (c *Client) NewListConnectionsInGroupPager(group string, o *ListConnectionsOptions) *runtime.Pager[ConnectionPage] {
	if o == nil {
		o = &ListConnectionsOptions{}
	}
	return runtime.NewPager(runtime.PagingHandler[ConnectionPage]{
		More: func(p ConnectionPage) bool { return p.NextLink != "" },
		Fetcher: func(ctx context.Context, last *ConnectionPage) (ConnectionPage, error) {
			return c.listPage(ctx, group, o, last)
		},
		Tracer: c.az.Tracer(),
	})
}

func (c *Client) listPage(ctx context.Context, group string, o *ListConnectionsOptions, last *ConnectionPage) (ConnectionPage, error) {
	const method = "ListConnectionsInGroup"
	query, err := c.listQuery(o, last)
	if err != nil {
		return ConnectionPage{}, fmt.Errorf("service: %s: %w", method, err)
	}
	resp, err := c.do(ctx, request{
		name: method, verb: http.MethodGet, path: c.hubPath("groups", group, "connections"), query: query,
	}, http.StatusOK)
	if err != nil {
		return ConnectionPage{}, err
	}
	var page ConnectionPage
	if err := runtime.UnmarshalAsJSON(resp, &page); err != nil {
		return ConnectionPage{}, fmt.Errorf("service: %s: %w", method, err)
	}
	if page.NextLink != "" {
		next, err := url.Parse(page.NextLink)
		if err != nil {
			return ConnectionPage{}, fmt.Errorf("service: %s: the service's nextLink is not a URL", method)
		}
		page.ContinuationToken = next.Query().Get("continuationToken")
		if page.ContinuationToken == "" || query["continuationToken"] != nil && page.ContinuationToken == query["continuationToken"][0] {
			return ConnectionPage{}, fmt.Errorf("service: %s: the service's nextLink does not lead on", method)
		}
	}
	return page, nil
}

// listQuery returns the query of the page after last, or of the first. Of
// nextLink only the query counts: the request goes to the client's own endpoint
// whatever host the link names, so that no link can lead a token astray, and a
// service behind a gateway need not know the gateway's name.
func (c *Client) listQuery(o *ListConnectionsOptions, last *ConnectionPage) (map[string][]string, error) {
	if last != nil {
		next, err := url.Parse(last.NextLink)
		if err != nil {
			return nil, err
		}
		return next.Query(), nil
	}
	if err := c.need(v2412, "listing connections"); err != nil {
		return nil, err
	}
	if o.Top < 0 {
		return nil, errors.New("the option Top is negative")
	}
	if o.PageSize < 0 || o.PageSize > 200 {
		return nil, fmt.Errorf("PageSize %d: it must be from 1 to 200", o.PageSize)
	}
	query := make(map[string][]string)
	if o.Top > 0 {
		query["top"] = []string{strconv.Itoa(o.Top)}
	}
	if o.PageSize > 0 {
		query["maxpagesize"] = []string{strconv.Itoa(o.PageSize)}
	}
	if o.ContinuationToken != "" {
		query["continuationToken"] = []string{o.ContinuationToken}
	}
	return query, nil
}
