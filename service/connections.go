package service

import (
	"context"
	"errors"
	"net/http"
)

// CloseOptions tells more about closing connections. The zero value, or nil,
// closes every connection that the call names, without a reason.
type CloseOptions struct {
	// Excluded lists connection ids that stay open.
	Excluded []string
	// Reason is told to clients that use a subprotocol, in their message
	// "disconnected".
	Reason string
}

func (o *CloseOptions) query() map[string][]string {
	query := make(map[string][]string)
	if o == nil {
		return query
	}
	if excluded := someIDs(o.Excluded); len(excluded) > 0 {
		query["excluded"] = excluded
	}
	if o.Reason != "" {
		query["reason"] = []string{o.Reason}
	}
	return query
}

// CloseAllConnections closes the connections of the hub.
func (c *Client) CloseAllConnections(ctx context.Context, o *CloseOptions) error {
	return c.close(ctx, "CloseAllConnections", o, ":closeConnections")
}

// CloseGroupConnections closes the connections in a group.
func (c *Client) CloseGroupConnections(ctx context.Context, group string, o *CloseOptions) error {
	return c.close(ctx, "CloseGroupConnections", o, "groups", group, ":closeConnections")
}

// CloseUserConnections closes the connections of a user.
func (c *Client) CloseUserConnections(ctx context.Context, userID string, o *CloseOptions) error {
	return c.close(ctx, "CloseUserConnections", o, "users", userID, ":closeConnections")
}

func (c *Client) close(ctx context.Context, method string, o *CloseOptions, path ...string) error {
	_, err := c.do(ctx, request{name: method, verb: http.MethodPost, path: c.hubPath(path...), query: o.query()}, http.StatusNoContent)
	return err
}

// CloseConnection closes one connection. A connection that does not exist is
// no error. CloseOptions.Excluded is refused: there is nothing to choose from.
func (c *Client) CloseConnection(ctx context.Context, connectionID string, o *CloseOptions) error {
	query := o.query()
	if query["excluded"] != nil {
		return errors.New("service: CloseConnection: closing one connection takes no Excluded")
	}
	return c.delete(ctx, "CloseConnection", query, "connections", connectionID)
}

// ConnectionExists reports whether a connection is open.
func (c *Client) ConnectionExists(ctx context.Context, connectionID string) (bool, error) {
	return c.exists(ctx, "ConnectionExists", nil, "connections", connectionID)
}

// GroupExists reports whether any connection is in a group.
func (c *Client) GroupExists(ctx context.Context, group string) (bool, error) {
	return c.exists(ctx, "GroupExists", nil, "groups", group)
}

// UserExists reports whether a user has any open connection.
func (c *Client) UserExists(ctx context.Context, userID string) (bool, error) {
	return c.exists(ctx, "UserExists", nil, "users", userID)
}

// exists asks a question that is answered by 200 or 404.
func (c *Client) exists(ctx context.Context, method string, query map[string][]string, path ...string) (bool, error) {
	resp, err := c.do(ctx, request{name: method, verb: http.MethodHead, path: c.hubPath(path...), query: query},
		http.StatusOK, http.StatusNotFound)
	if err != nil {
		return false, err
	}
	return resp.StatusCode == http.StatusOK, nil
}

func (c *Client) put(ctx context.Context, method string, query map[string][]string, path ...string) error {
	_, err := c.do(ctx, request{name: method, verb: http.MethodPut, path: c.hubPath(path...), query: query}, http.StatusOK)
	return err
}

func (c *Client) delete(ctx context.Context, method string, query map[string][]string, path ...string) error {
	_, err := c.do(ctx, request{name: method, verb: http.MethodDelete, path: c.hubPath(path...), query: query}, http.StatusNoContent)
	return err
}
