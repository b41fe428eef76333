package service

import (
	"context"
	"net/http"
)

// CloseAllConnectionsOptions contains the optional parameters of
// [Client.CloseAllConnections].
type CloseAllConnectionsOptions struct {
	// Excluded lists the IDs of connections that stay open. Default: none.
	Excluded []string
	// Reason is sent to clients that use a subprotocol, in their "disconnected"
	// message. Default: none.
	Reason string
}

// CloseGroupConnectionsOptions contains the optional parameters of
// [Client.CloseGroupConnections].
type CloseGroupConnectionsOptions struct {
	// Excluded lists the IDs of connections that stay open. Default: none.
	Excluded []string
	// Reason is sent to clients that use a subprotocol, in their "disconnected"
	// message. Default: none.
	Reason string
}

// CloseUserConnectionsOptions contains the optional parameters of
// [Client.CloseUserConnections].
type CloseUserConnectionsOptions struct {
	// Excluded lists the IDs of connections that stay open. Default: none.
	Excluded []string
	// Reason is sent to clients that use a subprotocol, in their "disconnected"
	// message. Default: none.
	Reason string
}

// CloseConnectionOptions contains the optional parameters of
// [Client.CloseConnection].
type CloseConnectionOptions struct {
	// Reason is sent to a client that uses a subprotocol, in its "disconnected"
	// message. Default: none.
	Reason string
}

// CloseAllConnections closes the connections of the hub.
func (c *Client) CloseAllConnections(ctx context.Context, options *CloseAllConnectionsOptions) error {
	if options == nil {
		options = &CloseAllConnectionsOptions{}
	}
	return c.closeMany(ctx, "CloseAllConnections", options.Excluded, options.Reason, ":closeConnections")
}

// CloseGroupConnections closes the connections in a group.
func (c *Client) CloseGroupConnections(ctx context.Context, group string, options *CloseGroupConnectionsOptions) error {
	if options == nil {
		options = &CloseGroupConnectionsOptions{}
	}
	return c.closeMany(ctx, "CloseGroupConnections", options.Excluded, options.Reason, "groups", group, ":closeConnections")
}

// CloseUserConnections closes the connections of a user.
func (c *Client) CloseUserConnections(ctx context.Context, userID string, options *CloseUserConnectionsOptions) error {
	if options == nil {
		options = &CloseUserConnectionsOptions{}
	}
	return c.closeMany(ctx, "CloseUserConnections", options.Excluded, options.Reason, "users", userID, ":closeConnections")
}

func (c *Client) closeMany(ctx context.Context, method string, excluded []string, reason string, path ...string) error {
	query := reasonQuery(reason)
	if ids := nonEmpty(excluded); len(ids) > 0 {
		query["excluded"] = ids
	}
	_, err := c.do(ctx, request{name: method, verb: http.MethodPost, path: c.hubPath(path...), query: query}, http.StatusNoContent)
	return err
}

// CloseConnection closes a connection. It is not an error if the connection does
// not exist.
func (c *Client) CloseConnection(ctx context.Context, connectionID string, options *CloseConnectionOptions) error {
	if options == nil {
		options = &CloseConnectionOptions{}
	}
	return c.delete(ctx, "CloseConnection", reasonQuery(options.Reason), "connections", connectionID)
}

func reasonQuery(reason string) map[string][]string {
	query := make(map[string][]string)
	if reason != "" {
		query["reason"] = []string{reason}
	}
	return query
}

// nonEmpty drops empty IDs, which no connection has.
func nonEmpty(ids []string) []string {
	var out []string
	for _, id := range ids {
		if id != "" {
			out = append(out, id)
		}
	}
	return out
}

// ConnectionExistsOptions contains the optional parameters of
// [Client.ConnectionExists]. There are none yet.
type ConnectionExistsOptions struct{}

// ConnectionExists reports whether a connection is open.
func (c *Client) ConnectionExists(ctx context.Context, connectionID string, _ *ConnectionExistsOptions) (bool, error) {
	return c.exists(ctx, "ConnectionExists", nil, "connections", connectionID)
}

// GroupExistsOptions contains the optional parameters of [Client.GroupExists].
// There are none yet.
type GroupExistsOptions struct{}

// GroupExists reports whether a group has any connection.
func (c *Client) GroupExists(ctx context.Context, group string, _ *GroupExistsOptions) (bool, error) {
	return c.exists(ctx, "GroupExists", nil, "groups", group)
}

// UserExistsOptions contains the optional parameters of [Client.UserExists].
// There are none yet.
type UserExistsOptions struct{}

// UserExists reports whether a user has any open connection.
func (c *Client) UserExists(ctx context.Context, userID string, _ *UserExistsOptions) (bool, error) {
	return c.exists(ctx, "UserExists", nil, "users", userID)
}

// exists sends a HEAD request, whose status 200 means true and 404 false.
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
