package testcontainers

import (
	"context"
	"fmt"
	"testing"

	"github.com/testcontainers/testcontainers-go"
	"github.com/testcontainers/testcontainers-go/wait"

	"example.com/webpubsub"
	"example.com/webpubsub/client"
	"example.com/webpubsub/service"
)

const accessKey = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH"

// startEmulator starts the emulator and returns its connection string. The test is
// skipped where no container engine runs.
func startEmulator(t *testing.T) string {
	t.Helper()
	testcontainers.SkipIfProviderIsNotHealthy(t)
	emulator, err := testcontainers.Run(t.Context(), "",
		// The image of a release needs no Dockerfile: its name is the argument above.
		testcontainers.WithDockerfile(testcontainers.FromDockerfile{Context: "../.."}),
		testcontainers.WithExposedPorts("8080/tcp"),
		testcontainers.WithWaitStrategy(wait.ForHTTP("/api/health").WithMethod("HEAD").WithPort("8080/tcp")),
	)
	testcontainers.CleanupContainer(t, emulator)
	if err != nil {
		t.Fatal(err)
	}
	endpoint, err := emulator.PortEndpoint(t.Context(), "8080/tcp", "http")
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("Endpoint=%s;AccessKey=%s;Version=1.0;", endpoint, accessKey)
}

func TestMessage(t *testing.T) {
	chat, err := service.NewClientFromConnectionString(startEmulator(t), "chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	token, err := chat.GetClientAccessToken(t.Context(), &service.GetClientAccessTokenOptions{UserID: "alice", Groups: []string{"news"}})
	if err != nil {
		t.Fatal(err)
	}
	alice, err := client.New(client.URL(token.URL), client.Options{})
	if err != nil {
		t.Fatal(err)
	}
	received := make(chan webpubsub.Message, 1)
	alice.OnGroupMessage(func(_ context.Context, m client.GroupMessage) { received <- m.Message })
	if err := alice.Start(t.Context()); err != nil {
		t.Fatal(err)
	}
	defer alice.Stop(context.Background())

	if err := chat.SendToGroup(t.Context(), "news", webpubsub.Text("hello"), nil); err != nil {
		t.Fatal(err)
	}
	if got := string((<-received).Data); got != "hello" {
		t.Errorf("received %q", got)
	}
}
