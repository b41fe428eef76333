// Package app is the sample application: a group chat with rooms, presence and
// a page. It is the part that a fork replaces, and shows how the others are put
// together. Three handlers make it up: Negotiate gives a client its URL, Events
// answers what the service sends, Page is the chat itself.
//
//	chat, err := app.FromEnv(os.Getenv, log)
//	if err != nil {
//		return err // names every setting that is missing or wrong
//	}
//	return hosting.Run(ctx, chat.Handler(), nil)
//
// # Settings
//
// [ConfigFromEnv] reads these environment variables; the first six have the
// names that the Azure Functions bindings for Web PubSub use. Lists are separated
// by commas, switches are true or false.
//
//	setting                                                default  meaning
//	WebPubSubConnectionString                              none     connection string of the resource, with its key
//	WebPubSubConnectionString__serviceUri                  none     without a key: the resource's endpoint
//	WebPubSubConnectionString__credential                  none     "managedidentity", or nothing to choose by environment
//	WebPubSubConnectionString__clientId                    none     client id of a user-assigned identity
//	WebPubSubConnectionString__managedIdentityResourceId   none     or its resource id
//	WebPubSubHub                                           chat     the hub
//	WebPubSubAccessKeys                                    none     more keys that may sign events, such as the secondary key
//	WebPubSubEventTenant                                   none     verify events by Entra: tenant of the service's identity,
//	WebPubSubEventAudience                                 none     audience of its tokens (a list),
//	WebPubSubEventPrincipals                               none     its object id or application id (a list)
//	WebPubSubAllowUserIdQuery                              false    let anybody negotiate as ?userId=
//	WebPubSubTrustPlatformAuth                             see below  take the user from App Service authentication
//	WebPubSubUserNameKeys                                  see below  keys that sign the names of signed-in users (a list)
//	WebPubSubAllowedOrigins                                none     sites that may call negotiate from a browser
//
// A connection string or a serviceUri is needed, and of the two the connection
// string wins. With a serviceUri the identity is the managed identity of the
// platform, or where there is none whatever azidentity.DefaultAzureCredential
// finds, such as "az login"; it needs the role "Web PubSub Service Owner".
//
// Events must be verified. The key of the connection string does it; without
// one set WebPubSubAccessKeys, or the three WebPubSubEvent settings together.
// Where keys and Entra are both set, an event must pass both.
//
// negotiate responds with 401 unless the caller is authenticated. There are two
// ways: App Service authentication (Static Web Apps included), whose headers are
// trusted if it is enabled for the app (the platform sets WEBSITE_AUTH_ENABLED) or
// if WebPubSubTrustPlatformAuth is true; and WebPubSubAllowUserIdQuery, which
// accepts any user ID and must not be enabled in production. Trust the headers
// only behind a platform that removes them from requests of clients: anywhere else
// the caller writes them.
//
// WebPubSubAllowedOrigins is for a page on another site, where nobody answers
// for CORS: AWS Lambda, a plain server. On Azure Functions leave it empty and
// set CORS on the function app, since the host answers in the handler's place.
//
// # User names
//
// A user ID is ASCII, because the Functions host rejects requests with other
// characters in a header and the service sends the user ID as one. [EncodeUserID]
// describes the form; ASCII names are their own ID, Jürgen is J%C3%BCrgen.
//
// The ID of a user whom the platform has signed in is the platform's own,
// X-MS-CLIENT-PRINCIPAL-ID (with the identity provider in front, as in github:42,
// unless that is Microsoft Entra), or userId in X-MS-CLIENT-PRINCIPAL of Static Web
// Apps. It never changes and is never given to another user; the name can be. So the
// name travels apart: negotiate adds two parameters to the query of the client URL,
//
//	userName           the name
//	userNameSignature  <expiry>.<signature>
//
// and the connect event verifies them, rejects the client with 403 if they do not
// match or have expired, and keeps the name in the connection's state as userName.
// Expiry is in Unix seconds, one hour ahead. Signature is the HMAC-SHA256, in
// hexadecimal, of these lines joined by line feeds: "webpubsub user name", the hub
// in lower case, the user ID, the expiry, the name. The key is the first of
// WebPubSubUserNameKeys, or if there is none the access key of the connection
// string, or the first of WebPubSubAccessKeys; any of them verifies, so that keys
// can be rotated. Without any key names are not passed on, and users are shown by
// their IDs.
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
