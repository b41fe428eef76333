package service

import (
	"context"
	"fmt"

	"example.com/webpubsub/internal/names"
)

// Permission is a permission of one connection for one group.
type Permission string

// The two permissions of the service.
const (
	// PermissionSendToGroup lets a connection publish to a group.
	PermissionSendToGroup Permission = "sendToGroup"
	// PermissionJoinLeaveGroup lets a connection join and leave a group.
	PermissionJoinLeaveGroup Permission = "joinLeaveGroup"
)

// GrantPermissionOptions contains the optional parameters of
// [Client.GrantPermission]. There are none yet.
type GrantPermissionOptions struct{}

// GrantPermission grants a connection a permission for a group. The name of the
// group is literal; a permission for all groups can only be granted by a role of
// the client access token. It fails with 404 if the connection does not exist.
func (c *Client) GrantPermission(ctx context.Context, permission Permission, connectionID, group string, _ *GrantPermissionOptions) error {
	query, err := permissionQuery(permission, group)
	if err != nil {
		return fmt.Errorf("service: GrantPermission: %w", err)
	}
	return c.put(ctx, "GrantPermission", query, "permissions", string(permission), "connections", connectionID)
}

// RevokePermissionOptions contains the optional parameters of
// [Client.RevokePermission]. There are none yet.
type RevokePermissionOptions struct{}

// RevokePermission revokes a permission. A connection that is in the group stays
// in it. It is not an error if the connection does not exist.
func (c *Client) RevokePermission(ctx context.Context, permission Permission, connectionID, group string, _ *RevokePermissionOptions) error {
	query, err := permissionQuery(permission, group)
	if err != nil {
		return fmt.Errorf("service: RevokePermission: %w", err)
	}
	return c.delete(ctx, "RevokePermission", query, "permissions", string(permission), "connections", connectionID)
}

// HasPermissionOptions contains the optional parameters of
// [Client.HasPermission]. There are none yet.
type HasPermissionOptions struct{}

// HasPermission reports whether a connection has a permission for a group. It
// is false if the connection does not exist.
func (c *Client) HasPermission(ctx context.Context, permission Permission, connectionID, group string, _ *HasPermissionOptions) (bool, error) {
	query, err := permissionQuery(permission, group)
	if err != nil {
		return false, fmt.Errorf("service: HasPermission: %w", err)
	}
	return c.exists(ctx, "HasPermission", query, "permissions", string(permission), "connections", connectionID)
}

// permissionQuery names the group. The specification declares the parameter
// optional, yet the service responds with 400 without it.
func permissionQuery(p Permission, group string) (map[string][]string, error) {
	if p != PermissionSendToGroup && p != PermissionJoinLeaveGroup {
		return nil, fmt.Errorf("unknown permission %q: use PermissionSendToGroup or PermissionJoinLeaveGroup", p)
	}
	if err := names.Group(group); err != nil {
		return nil, err
	}
	return map[string][]string{"targetName": {group}}, nil
}
