package listeners

import (
	"context"
	"crypto/tls"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub/internal/upstream"
)

// SendToEventHub sends a message to a namespace at an address that the settings would
// not allow, with trust in its certificate.
func SendToEventHub(ctx context.Context, addr string, c azcore.TokenCredential, trust *tls.Config, m upstream.Message) (int, error) {
	h := &eventHub{endpoint: Endpoint{Namespace: addr, EventHub: "events"}, credential: c, trust: trust}
	defer h.close()
	return h.send(ctx, []upstream.Message{m})
}
