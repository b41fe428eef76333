package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"example.com/webpubsub/internal/names"
)

// AddConnectionToGroup puts an open connection into a group. It fails with 404
// when there is no such connection.
func (c *Client) AddConnectionToGroup(ctx context.Context, group, connectionID string) error {
	return c.put(ctx, "AddConnectionToGroup", nil, "groups", group, "connections", connectionID)
}

// RemoveConnectionFromGroup takes a connection out of a group. A connection
// that is not in it is no error.
func (c *Client) RemoveConnectionFromGroup(ctx context.Context, group, connectionID string) error {
	return c.delete(ctx, "RemoveConnectionFromGroup", nil, "groups", group, "connections", connectionID)
}

// RemoveConnectionFromAllGroups takes a connection out of every group. A
// connection that does not exist is no error.
func (c *Client) RemoveConnectionFromAllGroups(ctx context.Context, connectionID string) error {
	if err := c.need(v2022, "leaving all groups"); err != nil {
		return fmt.Errorf("service: RemoveConnectionFromAllGroups: %w", err)
	}
	return c.delete(ctx, "RemoveConnectionFromAllGroups", nil, "connections", connectionID, "groups")
}

// AddUserToGroup puts the connections that a user has now into a group. Later
// connections of that user do not join by themselves: membership belongs to
// connections. It fails with 404 when the user has no open connection.
func (c *Client) AddUserToGroup(ctx context.Context, group, userID string) error {
	return c.put(ctx, "AddUserToGroup", nil, "users", userID, "groups", group)
}

// RemoveUserFromGroup takes a user's connections out of a group. A user who is
// not in it is no error.
func (c *Client) RemoveUserFromGroup(ctx context.Context, group, userID string) error {
	return c.delete(ctx, "RemoveUserFromGroup", nil, "users", userID, "groups", group)
}

// RemoveUserFromAllGroups takes a user's connections out of every group. A user
// who is not connected is no error.
func (c *Client) RemoveUserFromAllGroups(ctx context.Context, userID string) error {
	return c.delete(ctx, "RemoveUserFromAllGroups", nil, "users", userID, "groups")
}

// AddConnectionsToGroups puts every connection of the hub for which the filter
// is true into all the groups, of which there must be one at least. An empty
// filter selects every connection. A filter that selects nobody is no error.
// See [Filter] for a safe way to write one.
func (c *Client) AddConnectionsToGroups(ctx context.Context, groups []string, filter string) error {
	return c.bulk(ctx, "AddConnectionsToGroups", ":addToGroups", groups, filter)
}

// RemoveConnectionsFromGroups takes every connection of the hub for which the
// filter is true out of all the groups, of which there must be one at least.
// An empty filter selects every connection.
func (c *Client) RemoveConnectionsFromGroups(ctx context.Context, groups []string, filter string) error {
	return c.bulk(ctx, "RemoveConnectionsFromGroups", ":removeFromGroups", groups, filter)
}

func (c *Client) bulk(ctx context.Context, method, action string, groups []string, filter string) error {
	body, err := c.bulkBody(groups, filter)
	if err != nil {
		return fmt.Errorf("service: %s: %w", method, err)
	}
	_, err = c.do(ctx, request{
		name: method, verb: http.MethodPost, path: c.hubPath(action), body: body, contentType: "application/json",
	}, http.StatusOK)
	return err
}

func (c *Client) bulkBody(groups []string, filter string) ([]byte, error) {
	if err := c.need(v2023, "a change to many connections"); err != nil {
		return nil, err
	}
	if len(groups) == 0 {
		return nil, errors.New("no groups are given")
	}
	for _, g := range groups {
		if err := names.Group(g); err != nil {
			return nil, err
		}
	}
	if err := c.checkFilter(filter); err != nil {
		return nil, err
	}
	body, err := json.Marshal(struct {
		Groups []string `json:"groups"`
		Filter string   `json:"filter,omitempty"`
	}{groups, filter})
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("the request has %d bytes: the service takes at most %d", len(body), maxBody)
	}
	return body, err
}
