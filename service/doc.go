// Package service calls the REST API of Azure Web PubSub: it sends messages to
// connected clients, closes connections, manages groups and permissions, and
// makes the tokens that clients connect with. A [Client] is bound to one hub
// and is safe for concurrent use.
//
//	chat, err := service.NewClientFromConnectionString(cs, "chat", nil)
//	if err != nil {
//		return err
//	}
//	err = chat.SendToAll(ctx, webpubsub.Text("hello"), nil)
//	err = chat.Group("news").Send(ctx, webpubsub.JSON(item), &webpubsub.SendOptions{
//		Filter: service.Filter("userId ne %s", author),
//	})
//	token, err := chat.GetClientAccessToken(ctx, &service.ClientAccessTokenOptions{UserID: "alice"})
//	// hand token.URL to the browser: new WebSocket(url)
//
// # Credentials
//
// [NewClientFromConnectionString] and [NewClientWithKey] sign a token for every
// request with the resource's access key. [NewClient] takes an identity of
// Microsoft Entra, for example azidentity.NewDefaultAzureCredential; it needs
// the role "Web PubSub Service Owner" on the resource.
//
// # Errors
//
// Input that the service would refuse is refused before anything is sent. An
// answer that is not a success is an error that says what to do about it and
// wraps [azcore.ResponseError]:
//
//	var re *azcore.ResponseError
//	if errors.As(err, &re) && re.StatusCode == http.StatusNotFound { … }
//
// Calls without an answer return only an error; the raw response can be had
// with policy.WithCaptureResponse of azcore.
//
// # Retries
//
// Requests are repeated as [azcore.ClientOptions].Retry says: by default up to three
// times, with growing pauses, after 408, 429, 500, 502, 503, 504 and network
// errors. A send is the exception. The service has no key that would tell a
// repeated send from a second one, so after an unclear outcome a retry could
// deliver the message twice. A send is therefore repeated only when it is sure
// that the service did not take it: no connection could be made, or the answer
// was 429. [ClientOptions].RetrySends chooses "at least once" instead.
package service
