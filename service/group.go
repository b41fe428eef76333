package service

import (
	"context"
	"iter"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore/runtime"

	"example.com/webpubsub"
)

// Group is a client's view of one group: the calls of [Client] that take a
// group, without that argument.
type Group struct {
	c    *Client
	name string
}

// Group returns a view of a group. A group needs no making: it is there while
// somebody is in it. A bad name shows as the error of the calls.
func (c *Client) Group(name string) *Group { return &Group{c, name} }

// Name returns the name of the group.
func (g *Group) Name() string { return g.name }

// Send is [Client.SendToGroup].
func (g *Group) Send(ctx context.Context, m webpubsub.Message, o *webpubsub.SendOptions) error {
	return g.c.SendToGroup(ctx, g.name, m, o)
}

// Exists is [Client.GroupExists].
func (g *Group) Exists(ctx context.Context) (bool, error) { return g.c.GroupExists(ctx, g.name) }

// CloseConnections is [Client.CloseGroupConnections].
func (g *Group) CloseConnections(ctx context.Context, o *CloseOptions) error {
	return g.c.CloseGroupConnections(ctx, g.name, o)
}

// AddConnection is [Client.AddConnectionToGroup].
func (g *Group) AddConnection(ctx context.Context, connectionID string) error {
	return g.c.AddConnectionToGroup(ctx, g.name, connectionID)
}

// RemoveConnection is [Client.RemoveConnectionFromGroup].
func (g *Group) RemoveConnection(ctx context.Context, connectionID string) error {
	return g.c.RemoveConnectionFromGroup(ctx, g.name, connectionID)
}

// AddUser is [Client.AddUserToGroup].
func (g *Group) AddUser(ctx context.Context, userID string) error {
	return g.c.AddUserToGroup(ctx, g.name, userID)
}

// RemoveUser is [Client.RemoveUserFromGroup].
func (g *Group) RemoveUser(ctx context.Context, userID string) error {
	return g.c.RemoveUserFromGroup(ctx, g.name, userID)
}

// GrantPermission is [Client.GrantPermission].
func (g *Group) GrantPermission(ctx context.Context, p Permission, connectionID string) error {
	return g.c.GrantPermission(ctx, p, connectionID, g.name)
}

// RevokePermission is [Client.RevokePermission].
func (g *Group) RevokePermission(ctx context.Context, p Permission, connectionID string) error {
	return g.c.RevokePermission(ctx, p, connectionID, g.name)
}

// HasPermission is [Client.HasPermission].
func (g *Group) HasPermission(ctx context.Context, p Permission, connectionID string) (bool, error) {
	return g.c.HasPermission(ctx, p, connectionID, g.name)
}

// Connections is [Client.Connections].
func (g *Group) Connections(ctx context.Context, o *ListConnectionsOptions) iter.Seq2[ConnectionInfo, error] {
	return g.c.Connections(ctx, g.name, o)
}

// NewListConnectionsPager is [Client.NewListConnectionsInGroupPager].
func (g *Group) NewListConnectionsPager(o *ListConnectionsOptions) *runtime.Pager[ConnectionPage] {
	return g.c.NewListConnectionsInGroupPager(g.name, o)
}
