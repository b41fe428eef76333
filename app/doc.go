// Package app is the sample application: a group chat with rooms, presence, history
// and a page. In a fork, replace this package, whole, with your own application: the
// programs in functions and the command dev need only its function [New]. What the
// chat is built on, from the configuration to negotiate, is package webapp.
//
// # Settings
//
// In addition to the settings of package webapp:
//
//	setting    default  meaning
//	ChatTable  none     where the messages are stored: URL of the table service of a storage
//	                    account, https://<account>.table.core.windows.net, or a connection
//	                    string of the account
//
// By default the last messages of each room are in the memory of the process: they
// are lost when it ends, and each of several instances has only those that it
// handled. With ChatTable they are in the table "chat", which is created when the
// first message is stored. With a URL the application signs in with its identity,
// which needs the role "Storage Table Data Contributor". Messages are not deleted
// from the table. Other stores implement [Store].
//
// # Protocol
//
// A room is a group named room.<name>. A connection can be in up to 16 rooms. The
// connect event puts a client into the rooms of the query parameter room, which the
// client adds to the URL of negotiate, once for each room; without one it is
// "general". The connection state lists the rooms. A client has the permission to
// publish to the groups of its rooms, and to join none: the events join and leave
// change both.
//
//	client                               receives
//	event join {room}                    {type: room, room, members, names, history, complete}
//	event leave {room}                   {type: left, room}
//	event message {id, room, text}       {type: sent, id, room, time}
//	  the others in the room receive     {type: message, room, id, user, name, text, time}
//	joins or leaves a room
//	  the others in the room receive     {type: presence, room, user, name, event: joined | left, time}
//	publishes {type: typing}             the others in the group receive it
//	breaks a rule                        {type: error, id, room, error}
//
// Event join for a room that the connection is in returns the same reply and changes
// nothing: a client sends it for each of its rooms when it has connected. members
// are user IDs; names are the names of those whose user ID is not their name. history
// is the last messages, at most 50, as the members of a message; complete is false if
// there are earlier ones.
//
// The id of a message is chosen by the client and can be omitted; messages of a user
// with the same id are the same message. A client in a single room can omit room, and
// a simple WebSocket client sends its text as it is. Messages with a fromUserId were
// published by a client and can contain anything.
//
// A user who reloads the page disconnects and connects again, within seconds. Clients
// should wait as long before they show that a user has left.
//
// # The page
//
// The page is plain HTML, CSS and ES modules, embedded, without a build step and
// without requests to other sites. It uses the reliable JSON subprotocol with the
// client that package webapp serves: the official @azure/web-pubsub-client is
// published as many modules with dependencies, which a browser cannot load without a
// bundler. A fork that has one should use the official client.
//
// The URL ?name=alice&room=general opens a room directly; ?debug=1 shows the
// connection and a button that drops it, to see how it is recovered.
package app
