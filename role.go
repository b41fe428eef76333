package webpubsub

// Roles for every group. A client without a role can only send events to the
// event handler.
const (
	// RoleJoinLeaveAnyGroup lets a client join and leave every group.
	RoleJoinLeaveAnyGroup = "webpubsub.joinLeaveGroup"
	// RoleSendToAnyGroup lets a client publish to every group.
	RoleSendToAnyGroup = "webpubsub.sendToGroup"
)

// Roles for group state. The names are those that Microsoft's preview service
// packages for Web PubSub Chat (JavaScript, Python, Java and .NET) grant to every
// client. What the service rejects without them is not documented.
const (
	// RoleGetGroupState lets a client read the state of the groups that it is in.
	RoleGetGroupState = "webpubsub.getGroupState"
	// RoleSetGroupState lets a client set its state in the groups that it is in.
	RoleSetGroupState = "webpubsub.setGroupState"
)

// RoleJoinLeaveGroup returns the role to join and leave one group. The name is
// literal: "*" is the group with the name "*".
func RoleJoinLeaveGroup(group string) string { return RoleJoinLeaveAnyGroup + "." + group }

// RoleSendToGroup returns the role to publish to one group. The name is literal.
func RoleSendToGroup(group string) string { return RoleSendToAnyGroup + "." + group }

// RoleJoinLeaveGroups returns the role to join and leave the groups that match
// a pattern, in which ? matches one character except ".", * any number of
// characters except ".", ** any number of characters, and \ escapes the next
// character. A pattern has at most 1,024 characters and five stars; a connection
// has at most nine patterns, not counting **. See
// https://learn.microsoft.com/azure/azure-web-pubsub/concept-wildcard-group-roles.
func RoleJoinLeaveGroups(pattern string) string { return "webpubsub.joinLeaveGroups." + pattern }

// RoleSendToGroups returns the role to publish to the groups that match a
// pattern, see [RoleJoinLeaveGroups].
func RoleSendToGroups(pattern string) string { return "webpubsub.sendToGroups." + pattern }
