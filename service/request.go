package service

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/streaming"

	"example.com/webpubsub/internal/names"
)

// request is one call of the REST API.
type request struct {
	name string // of the method, for spans and errors
	verb string
	path []string // segments, not yet escaped
	query,
	header map[string][]string
	body        []byte
	contentType string
	send        bool // not to be retried
	secret      bool // the response must not be logged
	anonymous   bool // no credential is sent
}

// hubPath returns the segments of a path below the hub.
func (c *Client) hubPath(segments ...string) []string {
	return append([]string{"api", "hubs", c.hub}, segments...)
}

// do sends a request and returns the response if its status is one of ok.
func (c *Client) do(ctx context.Context, r request, ok ...int) (resp *http.Response, err error) {
	ctx, end := runtime.StartSpan(ctx, "Client."+r.name, c.az.Tracer(), nil)
	defer func() { end(err) }()
	req, err := c.newRequest(ctx, r)
	if err != nil {
		return nil, fmt.Errorf("service: %s: %w", r.name, err)
	}
	resp, err = c.az.Pipeline().Do(req)
	if err == nil && !runtime.HasStatusCode(resp, ok...) {
		err = runtime.NewResponseError(resp)
	}
	if err != nil {
		return nil, c.explain(r.name, err)
	}
	return resp, nil
}

func (c *Client) newRequest(ctx context.Context, r request) (*policy.Request, error) {
	u := c.endpoint
	for i, s := range r.path {
		if i > 0 {
			if err := checkName(r.name, r.path[i-1], s); err != nil {
				return nil, err
			}
		}
		u += "/" + url.PathEscape(s)
	}
	query := make(url.Values)
	maps.Copy(query, r.query)
	query.Set("api-version", c.apiVersion)
	// A blank is %20 in every part of a URL, "+" in some only; the audience of
	// the token repeats the URL.
	u += "?" + strings.ReplaceAll(query.Encode(), "+", "%20")
	req, err := runtime.NewRequest(ctx, r.verb, u)
	if err != nil {
		return nil, err
	}
	maps.Copy(req.Raw().Header, r.header)
	req.Raw().Header.Set("Accept", "application/json")
	if r.contentType != "" {
		if err := req.SetBody(streaming.NopCloser(bytes.NewReader(r.body)), r.contentType); err != nil {
			return nil, err
		}
	}
	if r.send {
		req.SetOperationValue(isSend{})
	}
	if r.anonymous {
		req.SetOperationValue(isAnonymous{})
	}
	if r.secret {
		runtime.SkipBodyDownload(req)
	}
	return req, nil
}

// checkName checks a path segment that follows the segment collection.
func checkName(method, collection, s string) error {
	var kind string
	switch collection {
	case "groups":
		if err := names.Group(s); err != nil {
			return err
		}
		kind = "group"
	case "users":
		kind = "user ID"
	case "connections":
		kind = "connection ID"
	default:
		return nil
	}
	if s == "" {
		return fmt.Errorf("the %s is empty", kind)
	}
	if err := names.RoutableInPath(s); err != nil {
		return fmt.Errorf("%s %w: %s", kind, err, alternative(method, kind))
	}
	return nil
}

// alternative describes what can be done about a name that has no place in a
// path.
func alternative(method, kind string) string {
	if kind == "connection ID" {
		return "pass the ID as the service reports it"
	}
	switch method {
	case "SendToGroup":
		return "use SendToAll with the filter webpubsub.FilterGroup, or choose another name"
	case "SendToUser":
		return "use SendToAll with the filter webpubsub.FilterUsers, or choose other user IDs"
	case "AddUserToGroup":
		return "use AddConnectionsToGroups with the filter webpubsub.FilterUsers, or choose another name"
	case "AddConnectionToGroup":
		return "use AddConnectionsToGroups with the filter webpubsub.FilterConnections, or choose another name"
	case "RemoveUserFromGroup", "RemoveUserFromAllGroups":
		return "use RemoveConnectionsFromGroups with the filter webpubsub.FilterUsers, or choose another name"
	case "RemoveConnectionFromGroup":
		return "use RemoveConnectionsFromGroups with the filter webpubsub.FilterConnections, or choose another name"
	default:
		return "choose another name, the REST API has no other way to do this"
	}
}

// checkUTF8 rejects text that the service would change: it replaces bytes that
// are not UTF-8.
func checkUTF8(what string, values ...string) error {
	for _, s := range values {
		if strings.ToValidUTF8(s, "") != s {
			return errors.New(what + " is not UTF-8")
		}
	}
	return nil
}
