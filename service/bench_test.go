package service_test

import (
	"net/http"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"

	"example.com/webpubsub"
	"example.com/webpubsub/service"
)

func BenchmarkClientAccessToken(b *testing.B) {
	c, err := service.NewClientWithKeyCredential("https://contoso.example", "chat", service.NewKeyCredential(testKey), nil)
	if err != nil {
		b.Fatal(err)
	}
	o := &service.GetClientAccessTokenOptions{UserID: "alice", Roles: []string{webpubsub.RoleJoinLeaveGroup("g")}, Groups: []string{"g"}}
	b.ReportAllocs()
	for b.Loop() {
		if _, err := c.GetClientAccessToken(b.Context(), o); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkSendToAll measures the client alone: the transport answers at once.
func BenchmarkSendToAll(b *testing.B) {
	c, err := service.NewClientWithKeyCredential("https://contoso.example", "chat", service.NewKeyCredential(testKey), &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: transport(func(r *http.Request) (*http.Response, error) {
			return response(r, http.StatusAccepted), nil
		})},
	})
	if err != nil {
		b.Fatal(err)
	}
	m := webpubsub.MustJSON(map[string]string{"from": "alice", "text": "hello"})
	b.ReportAllocs()
	for b.Loop() {
		if err := c.SendToAll(b.Context(), m, nil); err != nil {
			b.Fatal(err)
		}
	}
}
