// Package webapp is the way from the environment to a running application: it
// reads the configuration, authenticates the callers of negotiate, answers CORS
// requests, verifies events, and serves a page. An application adds callbacks:
//
//	func New(c webapp.Config) (*webapp.App, error) {
//		a, err := webapp.New(c)
//		if err != nil {
//			return nil, err
//		}
//		a.OnConnect(connect)
//		a.Events.OnEvent("message", message)
//		return a, nil
//	}
//
// and [Main] runs it as an Azure Functions custom handler, an AWS Lambda function
// or a plain server:
//
//	func main() { webapp.Main(app.New) }
//
// Its routes are /api/negotiate, /api/events and /api/index.
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
// # The page
//
// [Config].Page holds static files. index.html is served at /api/index, the others
// below that path, all from memory and with an Etag. They refer to each other by
// relative URLs that begin with "index/", and to negotiate as "negotiate", so that
// the routes can be mounted below any path. The default policy allows only the
// page's own files, no inline scripts and styles, and connections to its own host
// and to the service.
package webapp
