// Package hosting runs an http.Handler as an Azure Functions custom handler, as an
// AWS Lambda function, or as a plain HTTP server. The environment decides at the
// start of the process, so that one program can be deployed to all three.
//
//	func main() {
//		hosting.Main(func(log *slog.Logger) (http.Handler, error) {
//			return http.HandlerFunc(hello), nil
//		})
//	}
//
// [Main] handles all that a main function has to: the logger, signals, exit
// codes, and responses while the program is not configured. [Run] serves a handler
// for a program that does those itself.
//
// # Environment detection
//
//	environment variable           mode
//	AWS_LAMBDA_RUNTIME_API         AWS Lambda
//	FUNCTIONS_CUSTOMHANDLER_PORT   Azure Functions custom handler
//	neither                        plain server on PORT, or on 8080
//
// # Azure Functions
//
// The host starts the program, waits for a response to GET /, and sends it the
// requests of all functions over HTTP on 127.0.0.1. A current host proxies them
// (enableProxyingHttpRequest in host.json): r.Host is the loopback address, and
// the public name is in X-Forwarded-Host. A host before 4.1044 knows only
// enableForwardingHttpRequest: it rebuilds requests, and responds to one
// with a chunked body with 500 without calling the handler. Set both; a host takes the
// first if it knows it. Run makes up for what a host does not pass on:
//
//   - To a request that was forwarded, 204, 205 and 304 become 200 with an empty
//     body, since with those the host breaks the client's connection. Conditional
//     headers (If-None-Match, If-Modified-Since) are removed, so that a file is
//     sent again and 304 does not occur.
//   - What is not ASCII in a response header is percent-encoded. The host responds
//     with 500 otherwise. It does so as well, without calling the handler, to a
//     request whose headers are not ASCII.
//   - The response to a panic is 500. If the connection is dropped, the host sends the
//     request again, up to 40 times.
//
// A process that exits is restarted, except one that exits with status 0; after
// three exits with an error the host shuts down. A GET during which the process
// exits is sent to the new process, which it may end as well.
// See https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers.
//
// # AWS Lambda
//
// Function URLs with InvokeMode BUFFERED and API Gateway HTTP APIs, both with
// payload format 2.0, are supported. The handler gets the request that a server
// would get: cookies, query, decoded body, and the path without the stage and
// without [Options.BasePath]. A response is buffered, so http.Flusher and
// http.Hijacker are not available. AWS has two limits: a response has at most
// 6 MB, and one value for each header except Set-Cookie, so that several values
// are joined by commas. Web PubSub does not accept such a list in
// WebHook-Allowed-Origin: an event handler on Lambda should allow one origin, or
// any, if its resource has replicas or a custom domain.
// See https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html.
//
// The user whom a JWT authorizer of an HTTP API has authenticated is in the headers
// of App Service authentication: X-MS-CLIENT-PRINCIPAL-ID is the claim "sub",
// X-MS-CLIENT-PRINCIPAL has all claims. On Lambda these headers are never a
// client's own.
//
// # Logs
//
// [NewLogger] writes JSON lines with the invocation's ID, taken from the context
// that the handler gets with each request. On Azure Functions, records of level
// Warn and above go to standard error, from which the host takes their level; an
// Error that contains the text "warn" is shown as a Warning.
package hosting
