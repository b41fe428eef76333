package service

import (
	"context"
	"fmt"
	"iter"
	"maps"
	"math"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"example.com/webpubsub/internal/query"
)

// ConnectionInfo describes a connection in a group.
type ConnectionInfo struct {
	// ConnectionID is the ID that the service has assigned to the connection.
	ConnectionID string `json:"connectionId"`
	// UserID is empty for an anonymous connection.
	UserID string `json:"userId"`
}

// ListConnectionsInGroupOptions contains the optional parameters of
// [Client.ListConnectionsInGroup] and [Client.NewListConnectionsInGroupPager].
type ListConnectionsInGroupOptions struct {
	// Top is the maximum number of connections to list. Default: no limit.
	Top int
	// MaxPageSize is the maximum number of connections in one page, 1 to 200.
	// Default: 200.
	MaxPageSize int
	// ContinuationToken continues a list after the page that it was taken from.
	// Default: the list starts with the first connection.
	ContinuationToken string
}

// ListConnectionsInGroupResponse is one page of the connections in a group.
type ListConnectionsInGroupResponse struct {
	// Value contains the connections of the page, ordered by connection ID.
	Value []ConnectionInfo `json:"value"`
	// NextLink is the URL of the next page, as the service reports it. It is empty
	// for the last page.
	NextLink string `json:"nextLink"`
	// ContinuationToken continues the list after this page, also in another
	// process, see [ListConnectionsInGroupOptions]. It is empty for the last page.
	ContinuationToken string `json:"-"`
}

// ListConnectionsInGroup returns an iterator over the connections in a group. It
// requests pages as they are needed and ends with the first error.
//
//	for conn, err := range chat.ListConnectionsInGroup(ctx, "news", nil) {
//		if err != nil {
//			return err
//		}
//		fmt.Println(conn.ConnectionID, conn.UserID)
//	}
func (c *Client) ListConnectionsInGroup(ctx context.Context, group string, options *ListConnectionsInGroupOptions) iter.Seq2[ConnectionInfo, error] {
	return func(yield func(ConnectionInfo, error) bool) {
		pager := c.NewListConnectionsInGroupPager(group, options)
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

// NewListConnectionsInGroupPager returns a pager over the connections in a
// group. A group without connections has one empty page. Use
// [Client.ListConnectionsInGroup] if pages do not matter.
func (c *Client) NewListConnectionsInGroupPager(group string, options *ListConnectionsInGroupOptions) *runtime.Pager[ListConnectionsInGroupResponse] {
	if options == nil {
		options = &ListConnectionsInGroupOptions{}
	}
	return runtime.NewPager(runtime.PagingHandler[ListConnectionsInGroupResponse]{
		More: func(p ListConnectionsInGroupResponse) bool { return p.NextLink != "" },
		Fetcher: func(ctx context.Context, last *ListConnectionsInGroupResponse) (ListConnectionsInGroupResponse, error) {
			return c.listPage(ctx, group, options, last)
		},
		Tracer: c.az.Tracer(),
	})
}

func (c *Client) listPage(ctx context.Context, group string, o *ListConnectionsInGroupOptions, last *ListConnectionsInGroupResponse) (ListConnectionsInGroupResponse, error) {
	const method = "ListConnectionsInGroup"
	params, err := c.listQuery(o, last)
	if err != nil {
		return ListConnectionsInGroupResponse{}, fmt.Errorf("service: %s: %w", method, err)
	}
	resp, err := c.do(ctx, request{
		name: method, verb: http.MethodGet, path: c.hubPath("groups", group, "connections"), query: params,
	}, http.StatusOK)
	if err != nil {
		return ListConnectionsInGroupResponse{}, err
	}
	var page ListConnectionsInGroupResponse
	if err := runtime.UnmarshalAsJSON(resp, &page); err != nil {
		return ListConnectionsInGroupResponse{}, fmt.Errorf("service: %s: %w", method, err)
	}
	if page.NextLink != "" {
		next, err := url.Parse(page.NextLink)
		if err != nil {
			return ListConnectionsInGroupResponse{}, fmt.Errorf("service: %s: the nextLink of the response is not a URL", method)
		}
		page.ContinuationToken = query.Parse(next.RawQuery).Get("continuationToken")
		if page.ContinuationToken == "" || page.ContinuationToken == params.Get("continuationToken") {
			return ListConnectionsInGroupResponse{}, fmt.Errorf("service: %s: the nextLink of the response does not continue the list", method)
		}
	}
	return page, nil
}

// listQuery returns the query for the page after last, or for the first page if
// last is nil. Only the query of nextLink is used: the request is sent to the
// client's own endpoint, so that a link cannot direct a token to another host,
// and a service behind a gateway need not know the gateway's name.
func (c *Client) listQuery(o *ListConnectionsInGroupOptions, last *ListConnectionsInGroupResponse) (query.Values, error) {
	if last != nil {
		next, err := url.Parse(last.NextLink)
		if err != nil {
			return nil, err
		}
		params := query.Parse(next.RawQuery)
		maps.DeleteFunc(params, func(name string, _ []string) bool { return strings.EqualFold(name, "api-version") })
		return params, nil
	}
	if err := c.requireVersion(v2412, "listing connections"); err != nil {
		return nil, err
	}
	if o.Top < 0 || o.Top > math.MaxInt32 {
		return nil, fmt.Errorf("the option Top is %d: it must be from 1 to %d, or 0 for no limit", o.Top, math.MaxInt32)
	}
	if o.MaxPageSize < 0 || o.MaxPageSize > 200 {
		return nil, fmt.Errorf("the option MaxPageSize is %d: it must be from 1 to 200, or 0 for the default", o.MaxPageSize)
	}
	params := make(query.Values)
	if o.Top > 0 {
		params["top"] = []string{strconv.Itoa(o.Top)}
	}
	if o.MaxPageSize > 0 {
		params["maxpagesize"] = []string{strconv.Itoa(o.MaxPageSize)}
	}
	if o.ContinuationToken != "" {
		params["continuationToken"] = []string{o.ContinuationToken}
	}
	return params, nil
}
