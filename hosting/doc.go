// Package hosting runs an http.Handler where it finds itself: as the custom
// handler of an Azure function app, as an AWS Lambda function, or as a plain
// HTTP server. The same binary serves all three; the environment decides.
//
//	func main() {
//		hosting.Main(func(log *slog.Logger) (http.Handler, error) {
//			return http.HandlerFunc(hello), nil
//		})
//	}
//
// [Main] is all that a main function needs: a logger, signals, exit codes, and
// an answer while the program is not configured. [Run] is the part below it for
// programs that do those themselves.
//
// # Where it runs
//
//	environment variable           mode
//	AWS_LAMBDA_RUNTIME_API         AWS Lambda
//	FUNCTIONS_CUSTOMHANDLER_PORT   Azure Functions custom handler
//	neither                        plain server on PORT, or on 8080
//
// # Azure Functions
//
// The host starts the binary, waits for any answer to GET /, and sends it the
// requests of all functions over HTTP on 127.0.0.1. Set enableProxyingHttpRequest
// in host.json: with the older enableForwardingHttpRequest the host drops the
// body of a chunked request. In proxying mode r.Host is the loopback address,
// and the public name is in X-Forwarded-Host. The host restarts a process that
// ends, except one that ends with status 0, so Main never ends with that there.
// See https://learn.microsoft.com/azure/azure-functions/functions-custom-handlers.
//
// # AWS Lambda
//
// Function URLs with InvokeMode BUFFERED and API Gateway HTTP APIs, both with
// payload format 2.0, are served alike. The handler sees the request that a
// server would have seen: cookies, query, decoded body, and the path without
// the stage. A response is buffered, so a handler that needs http.Flusher or
// http.Hijacker finds neither. Two limits are AWS's own: a response of at most
// 6 MB, and one value for each header except Set-Cookie, so that several values
// arrive joined by commas. Web PubSub does not take such a list in
// WebHook-Allowed-Origin: an event handler on Lambda should allow one origin, or
// any, when its resource has replicas or a custom domain.
// See https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html.
//
// # Logs
//
// [NewLogger] writes JSON lines with the invocation's id, taken from the
// context that the handler gets with each request. Log to standard output: the
// Functions host takes each line on standard error for an error.
package hosting
