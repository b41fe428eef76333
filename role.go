package webpubsub

// Roles that hold for every group. A client without any role may send events
// to the event handler and nothing else.
const (
	// RoleJoinLeaveAnyGroup lets a client join and leave every group.
	RoleJoinLeaveAnyGroup = "webpubsub.joinLeaveGroup"
	// RoleSendToAnyGroup lets a client publish to every group.
	RoleSendToAnyGroup = "webpubsub.sendToGroup"
)

// RoleJoinLeaveGroup returns the role to join and leave the one group. The name
// is taken literally: "*" is a group called "*".
func RoleJoinLeaveGroup(group string) string { return RoleJoinLeaveAnyGroup + "." + group }

// RoleSendToGroup returns the role to publish to the one group. The name is
// taken literally.
func RoleSendToGroup(group string) string { return RoleSendToAnyGroup + "." + group }

// RoleJoinLeaveGroups returns the role to join and leave the groups that match
// a pattern: ? is one character except ".", * any number of them, ** any
// characters at all, and \ takes the next character literally. A pattern has
// at most 1,024 characters and five stars; a connection has at most ten patterns.
func RoleJoinLeaveGroups(pattern string) string { return "webpubsub.joinLeaveGroups." + pattern }

// RoleSendToGroups returns the role to publish to the groups that match a
// pattern, as [RoleJoinLeaveGroups] has them.
func RoleSendToGroups(pattern string) string { return "webpubsub.sendToGroups." + pattern }
