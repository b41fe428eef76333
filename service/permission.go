package service

import (
	"context"
	"fmt"

	"example.com/webpubsub/internal/names"
)

// Permission is what one connection may do with one group.
type Permission string

// The two permissions of the service.
const (
	// PermissionSendToGroup lets a connection publish to a group.
	PermissionSendToGroup Permission = "sendToGroup"
	// PermissionJoinLeaveGroup lets a connection join and leave a group.
	PermissionJoinLeaveGroup Permission = "joinLeaveGroup"
)

// GrantPermission lets an open connection do something with a group. The name
// is literal; there is no grant for all groups, only the roles of a client
// access token reach so far. It fails with 404 when there is no such connection.
func (c *Client) GrantPermission(ctx context.Context, p Permission, connectionID, group string) error {
	query, err := permissionQuery(p, group)
	if err != nil {
		return fmt.Errorf("service: GrantPermission: %w", err)
	}
	return c.put(ctx, "GrantPermission", query, "permissions", string(p), "connections", connectionID)
}

// RevokePermission takes a permission away. A connection that is in the group
// stays there. A connection that does not exist is no error.
func (c *Client) RevokePermission(ctx context.Context, p Permission, connectionID, group string) error {
	query, err := permissionQuery(p, group)
	if err != nil {
		return fmt.Errorf("service: RevokePermission: %w", err)
	}
	return c.delete(ctx, "RevokePermission", query, "permissions", string(p), "connections", connectionID)
}

// HasPermission reports whether a connection has a permission for a group. For
// a connection that does not exist it is false.
func (c *Client) HasPermission(ctx context.Context, p Permission, connectionID, group string) (bool, error) {
	query, err := permissionQuery(p, group)
	if err != nil {
		return false, fmt.Errorf("service: HasPermission: %w", err)
	}
	return c.exists(ctx, "HasPermission", query, "permissions", string(p), "connections", connectionID)
}

// permissionQuery names the group. The specification calls the parameter
// optional, yet the service answers 400 without it.
func permissionQuery(p Permission, group string) (map[string][]string, error) {
	if p != PermissionSendToGroup && p != PermissionJoinLeaveGroup {
		return nil, fmt.Errorf("unknown permission %q: use PermissionSendToGroup or PermissionJoinLeaveGroup", p)
	}
	if err := names.Group(group); err != nil {
		return nil, err
	}
	return map[string][]string{"targetName": {group}}, nil
}
