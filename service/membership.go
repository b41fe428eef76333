package service

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/names"
)

// AddConnectionToGroupOptions contains the optional parameters of
// [Client.AddConnectionToGroup]. There are none yet.
type AddConnectionToGroupOptions struct{}

// AddConnectionToGroup adds a connection to a group. It fails with 404 if the
// connection does not exist.
func (c *Client) AddConnectionToGroup(ctx context.Context, group, connectionID string, _ *AddConnectionToGroupOptions) error {
	return c.put(ctx, "AddConnectionToGroup", nil, "groups", group, "connections", connectionID)
}

// RemoveConnectionFromGroupOptions contains the optional parameters of
// [Client.RemoveConnectionFromGroup]. There are none yet.
type RemoveConnectionFromGroupOptions struct{}

// RemoveConnectionFromGroup removes a connection from a group. It is not an
// error if the connection is not in the group.
func (c *Client) RemoveConnectionFromGroup(ctx context.Context, group, connectionID string, _ *RemoveConnectionFromGroupOptions) error {
	return c.delete(ctx, "RemoveConnectionFromGroup", nil, "groups", group, "connections", connectionID)
}

// RemoveConnectionFromAllGroupsOptions contains the optional parameters of
// [Client.RemoveConnectionFromAllGroups]. There are none yet.
type RemoveConnectionFromAllGroupsOptions struct{}

// RemoveConnectionFromAllGroups removes a connection from every group. It is
// not an error if the connection does not exist.
func (c *Client) RemoveConnectionFromAllGroups(ctx context.Context, connectionID string, _ *RemoveConnectionFromAllGroupsOptions) error {
	if err := c.requireVersion(v2022, "leaving all groups"); err != nil {
		return fmt.Errorf("service: RemoveConnectionFromAllGroups: %w", err)
	}
	return c.delete(ctx, "RemoveConnectionFromAllGroups", nil, "connections", connectionID, "groups")
}

// AddUserToGroupOptions contains the optional parameters of
// [Client.AddUserToGroup]. There are none yet.
type AddUserToGroupOptions struct{}

// AddUserToGroup adds the current connections of a user to a group. Membership
// belongs to connections: later connections of the user do not join. It fails
// with 404 if the user has no open connection.
func (c *Client) AddUserToGroup(ctx context.Context, group, userID string, _ *AddUserToGroupOptions) error {
	return c.put(ctx, "AddUserToGroup", nil, "users", userID, "groups", group)
}

// RemoveUserFromGroupOptions contains the optional parameters of
// [Client.RemoveUserFromGroup]. There are none yet.
type RemoveUserFromGroupOptions struct{}

// RemoveUserFromGroup removes the connections of a user from a group. It is not
// an error if the user is not in the group.
func (c *Client) RemoveUserFromGroup(ctx context.Context, group, userID string, _ *RemoveUserFromGroupOptions) error {
	return c.delete(ctx, "RemoveUserFromGroup", nil, "users", userID, "groups", group)
}

// RemoveUserFromAllGroupsOptions contains the optional parameters of
// [Client.RemoveUserFromAllGroups]. There are none yet.
type RemoveUserFromAllGroupsOptions struct{}

// RemoveUserFromAllGroups removes the connections of a user from every group.
// It is not an error if the user is not connected.
func (c *Client) RemoveUserFromAllGroups(ctx context.Context, userID string, _ *RemoveUserFromAllGroupsOptions) error {
	return c.delete(ctx, "RemoveUserFromAllGroups", nil, "users", userID, "groups")
}

// AddConnectionsToGroupsOptions contains the optional parameters of
// [Client.AddConnectionsToGroups]. There are none yet.
type AddConnectionsToGroupsOptions struct{}

// AddConnectionsToGroups adds the connections that the filter selects to all of
// the groups, of which there must be at least one. The empty filter selects
// every connection of the hub. It is not an error if no connection is selected.
func (c *Client) AddConnectionsToGroups(ctx context.Context, groups []string, filter webpubsub.Filter, _ *AddConnectionsToGroupsOptions) error {
	return c.bulk(ctx, "AddConnectionsToGroups", ":addToGroups", groups, filter)
}

// RemoveConnectionsFromGroupsOptions contains the optional parameters of
// [Client.RemoveConnectionsFromGroups]. There are none yet.
type RemoveConnectionsFromGroupsOptions struct{}

// RemoveConnectionsFromGroups removes the connections that the filter selects
// from all of the groups, of which there must be at least one. The empty filter
// selects every connection of the hub.
func (c *Client) RemoveConnectionsFromGroups(ctx context.Context, groups []string, filter webpubsub.Filter, _ *RemoveConnectionsFromGroupsOptions) error {
	return c.bulk(ctx, "RemoveConnectionsFromGroups", ":removeFromGroups", groups, filter)
}

func (c *Client) bulk(ctx context.Context, method, action string, groups []string, filter webpubsub.Filter) error {
	body, err := c.bulkBody(groups, filter)
	if err != nil {
		return fmt.Errorf("service: %s: %w", method, err)
	}
	_, err = c.do(ctx, request{
		name: method, verb: http.MethodPost, path: c.hubPath(action), body: body, contentType: "application/json",
	}, http.StatusOK)
	return err
}

func (c *Client) bulkBody(groups []string, filter webpubsub.Filter) ([]byte, error) {
	if err := c.requireVersion(v2023, "changing the groups of many connections"); err != nil {
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
		Groups []string         `json:"groups"`
		Filter webpubsub.Filter `json:"filter,omitempty"`
	}{groups, filter})
	if err == nil && len(body) > maxBody {
		err = fmt.Errorf("the request body has %d bytes: the service accepts at most %d", len(body), maxBody)
	}
	return body, err
}
