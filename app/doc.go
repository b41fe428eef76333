// Package app is the sample application: a group chat with rooms, presence and a
// page. Replace this package, whole, with your own application: the programs in
// functions and the command dev need only its function [New]. What it stands on,
// from the configuration to negotiate, is in package webapp.
//
// # Protocol
//
// A room is a group named room.<name>. The connect event puts a client into the
// room of the query parameter room, which it adds to the URL that negotiate
// gave it, and grants it the roles to join and to publish to groups room.*. The
// service keeps the room as the connection's state.
//
//	client sends                         and gets
//	event join {room}                    {type: room, room, members, names}
//	event message {id, text}             {type: sent, id, room, time}
//	  the others in the room get         {type: message, id, room, user, name, text, time}
//	comes, goes or changes rooms
//	  the others in the room get         {type: presence, room, user, name, event: joined | left, time}
//	publishes {type: typing}             the others in the group get it
//	something that breaks a rule         {type: error, id, error}
//
// Members are user IDs; names has the names of those who are called otherwise.
// The id is the client's own and may be left out; a message that comes again
// under the same id, from the same user, is the same message. A client that
// writes plain text frames sends its text as it is. What comes with a
// fromUserId was published by a client and may hold anything.
//
// # The page
//
// The page is plain HTML, CSS and ES modules, embedded, with no build step and
// no request to any other site. It speaks the reliable JSON subprotocol with a
// client of its own (page/client.js): the official @azure/web-pubsub-client is
// published as many modules with dependencies, which a browser cannot load
// without a bundler. A fork that has one should take the official client.
//
// ?name=alice&room=general opens a room directly, ?debug=1 shows the connection
// and a button that cuts it, to see how it is recovered.
package app
