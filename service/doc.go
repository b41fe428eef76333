// Package service is a client for the Azure Web PubSub REST API (data plane): it
// sends messages to connected clients, closes connections, manages groups and
// permissions, and generates client access tokens. A [Client] is bound to one
// hub and is safe for concurrent use.
//
//	chat, err := service.NewClientFromConnectionString(cs, "chat", nil)
//	if err != nil {
//		return err
//	}
//	err = chat.SendToAll(ctx, webpubsub.Text("hello"), nil)
//	message, err := webpubsub.JSON(item)
//	...
//	err = chat.SendToGroup(ctx, "news", message, &webpubsub.SendOptions{
//		Filter: webpubsub.FilterUsers(author).Not(),
//	})
//	token, err := chat.GetClientAccessToken(ctx, &service.GetClientAccessTokenOptions{UserID: "alice"})
//	// send token.URL to the browser: new WebSocket(url)
//
// # Credentials
//
// [NewClientFromConnectionString] and [NewClientWithKeyCredential] sign a token
// for every request with an access key of the resource. [NewClient] takes an
// identity of Microsoft Entra, for example azidentity.NewDefaultAzureCredential;
// it needs the role "Web PubSub Service Owner" on the resource.
//
// # Names in paths
//
// The service does not decode %2F in paths. Most operations on a group or user
// whose name contains a slash would succeed without effect, so they return an
// error instead, as they do for the names "." and "..". These operations have no
// name in their path and work with any name: [Client.SendToAll] with a filter
// (webpubsub.FilterGroup, webpubsub.FilterUsers), [Client.AddConnectionsToGroups]
// and [Client.RemoveConnectionsFromGroups]. [Client.GetClientAccessToken] logs a
// warning when it grants such a name.
//
// # Errors
//
// Input that the service would reject is rejected before a request is sent. A
// response with any other status than the documented success is an error that
// describes the remedy and wraps [azcore.ResponseError]:
//
//	var re *azcore.ResponseError
//	if errors.As(err, &re) && re.StatusCode == http.StatusNotFound { … }
//
// Redirects are not followed, so no credential and no message is sent to another
// server: the API has none, and the error contains the target.
//
// Calls that only succeed or fail return only an error; the raw response is
// available with policy.WithCaptureResponse of azcore.
//
// # Retries
//
// Requests are retried according to [azcore.ClientOptions].Retry: by default up to three
// times, with exponential backoff, after 408, 429, 500, 502, 503, 504 and network
// errors. Sends are the exception. The REST API has no idempotency key, so if it
// is unknown whether the service has accepted a message, a retry could deliver it
// twice. A send is therefore retried only if the service certainly did not accept
// it: no connection could be established, or the response was 429.
// [ClientOptions].RetrySends selects delivery at least once instead.
package service
