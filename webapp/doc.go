// Package webapp implements the parts that the server side of every application
// has: it reads the configuration from the environment, authenticates the callers of
// negotiate and issues client access URLs, handles CORS, verifies events, and serves
// a page. An application adds callbacks:
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
// [Main] runs it as an Azure Functions custom handler, an AWS Lambda function or a
// standalone server:
//
//	func main() { webapp.Main(app.New) }
//
// The routes are /api/negotiate, /api/events and /api/index.
//
// # Settings
//
// [ConfigFromEnv] reads these environment variables. The names of the first six are
// those of the Azure Functions bindings for Web PubSub. List settings are
// comma-separated, Boolean settings are true or false.
//
//	setting                                                default  meaning
//	WebPubSubConnectionString                              none     connection string of the resource, with its access key
//	WebPubSubConnectionString__serviceUri                  none     endpoint of the resource, for use without an access key
//	WebPubSubConnectionString__credential                  none     "managedidentity"; by default the environment decides
//	WebPubSubConnectionString__clientId                    none     client id of a user-assigned identity
//	WebPubSubConnectionString__managedIdentityResourceId   none     resource id of a user-assigned identity
//	WebPubSubHub                                           chat     the hub
//	WebPubSubAccessKeys                                    none     additional keys that verify events, such as the secondary key (list)
//	WebPubSubEventTenant                                   none     verification of events by Entra: tenant of the service's identity,
//	WebPubSubEventAudience                                 none     audience of its tokens (list),
//	WebPubSubEventPrincipals                               none     its object id or application id (list)
//	WebPubSubAllowUserIdQuery                              false    accept the user from the query parameter userId (development only)
//	WebPubSubTrustPlatformAuth                             see below  trust the headers of App Service authentication
//	WebPubSubUserNameKeys                                  see below  keys that sign the names of signed-in users (list)
//	WebPubSubAllowedOrigins                                none     origins whose pages may call negotiate (list)
//
// Either the connection string or serviceUri is required; the connection string
// takes precedence. With serviceUri the application authenticates as the managed
// identity of the platform, or if there is none with the credential that
// azidentity.DefaultAzureCredential finds, for example that of "az login". The
// identity needs the role "Web PubSub Service Owner".
//
// Verification of events is required. The access key of the connection string
// verifies them; without one set WebPubSubAccessKeys, or the three WebPubSubEvent
// settings together. If both keys and Entra are configured, an event must pass both
// checks.
//
// negotiate responds with 401 unless the caller is authenticated. There are two
// ways: App Service authentication (Static Web Apps included), whose headers are
// trusted if it is enabled for the app (the platform sets WEBSITE_AUTH_ENABLED) or
// if WebPubSubTrustPlatformAuth is true; and WebPubSubAllowUserIdQuery, which
// accepts any user ID and must not be enabled in production. Trust the headers only
// behind a platform that removes them from requests of clients: otherwise a caller
// can set them.
//
// WebPubSubAllowedOrigins is for a page of another site, on AWS Lambda and on a
// standalone server. On Azure Functions leave it empty and configure CORS of the
// function app, because the host responds to preflight requests itself.
//
// # User names
//
// A user ID is ASCII, because the Functions host rejects requests with other
// characters in a header and the service sends the user ID as one. [EncodeUserID]
// describes the form; ASCII names are their own ID, Jürgen is J%C3%BCrgen.
//
// If the platform has authenticated the user, the user ID is made of its stable
// principal ID: X-MS-CLIENT-PRINCIPAL-ID, prefixed with the identity provider, as in
// github:42, unless that is Microsoft Entra; or userId in X-MS-CLIENT-PRINCIPAL of
// Static Web Apps. Names can be changed and given to another user, so the name is
// transmitted separately: negotiate adds two parameters to the client access URL,
//
//	userName           the name
//	userNameSignature  <expiry>.<signature>
//
// and the connect event verifies them. It rejects the client with 403 if they do not
// match or have expired, and stores the name in the connection state as userName.
// Expiry is in Unix seconds, one hour ahead. Signature is the HMAC-SHA256, in
// hexadecimal, of these lines joined by line feeds: "webpubsub user name", the hub
// in lower case, the user ID, the expiry, the name. The key is the first of
// WebPubSubUserNameKeys, or if there is none the access key of the connection
// string, or the first of WebPubSubAccessKeys; any of them verifies, so that keys
// can be rotated. Without a key names are not transmitted, and [UserName] returns
// the user ID.
//
// # The page
//
// [Config].Page contains static files. index.html is served at /api/index, the others
// below that path, all from memory and with an Etag. They refer to each other by
// relative URLs that begin with "index/", and to negotiate as "negotiate", so that
// the routes can be mounted below any path. The default policy allows only the
// page's own files, no inline scripts and styles, and connections to its own host
// and to the service.
//
// A WebSocket client for pages without a build step is served as index/client.js,
// unless the page has a file of its name. It recovers interrupted connections, and
// its comments describe it:
//
//	import { Client, negotiate } from './client.js';
//
//	const client = new Client(() => negotiate({ userId: 'alice' }));
//	client.addEventListener('message', (e) => console.log(e.detail.data));
//	client.start();
//	await client.sendEvent('message', { text: 'hello' });
package webapp
