package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"
	"sync/atomic"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/service"
)

// The examples run against the emulator; with the connection string of a
// resource they run against Azure.
func Example() {
	srv, err := emulator.Start(emulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	ctx := context.Background()
	chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	// A client asks for a token, and connects with it.
	token, err := chat.GetClientAccessToken(ctx, &service.GetClientAccessTokenOptions{UserID: "alice"})
	if err != nil {
		log.Fatal(err)
	}
	alice, _, err := websocket.DefaultDialer.Dial(token.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()

	if err := chat.SendToUser(ctx, "alice", webpubsub.Text("hello"), nil); err != nil {
		log.Fatal(err)
	}
	_, data, err := alice.ReadMessage()
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(string(data))
	// Output: hello
}

func ExampleNewClientFromConnectionString() {
	srv, err := emulator.Start(emulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	// Endpoint=http://127.0.0.1:…;AccessKey=…;Version=1.0;
	chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(chat.Hub(), chat.GetServiceStatus(context.Background(), nil))
	// Output: chat <nil>
}

func ExampleNewClientWithKeyCredential() {
	srv, err := emulator.Start(emulator.Options{AccessKey: "the first secret", SecondaryKey: "the second secret"})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	var current atomic.Value // the key, as read from a vault from time to time
	current.Store("the first secret")
	key := func(context.Context) (string, error) { return current.Load().(string), nil }
	chat, err := service.NewClientWithKeyCredential(srv.URL(), "chat", key, nil)
	if err != nil {
		log.Fatal(err)
	}
	current.Store("the second secret") // used from the next request on
	exists, err := chat.UserExists(context.Background(), "alice", nil)
	fmt.Println(exists, err)
	// Output: false <nil>
}

// An emulator with TLS takes a token credential as the service does. In your
// program the credential is one of azidentity, such as
// azidentity.NewDefaultAzureCredential.
func ExampleNewClient() {
	srv, err := emulator.Start(emulator.Options{TLS: true, AllowUnverifiedEntra: true})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()

	chat, err := service.NewClient(srv.URL(), "chat", identity{}, &service.ClientOptions{
		ClientOptions: azcore.ClientOptions{Transport: srv.Client()}, // trusts the emulator's certificate
	})
	if err != nil {
		log.Fatal(err)
	}
	exists, err := chat.UserExists(context.Background(), "alice", nil)
	fmt.Println(exists, err)
	// Output: false <nil>
}

// A negotiate endpoint hands the token to the browser as JSON.
func ExampleClient_GetClientAccessToken() {
	chat, err := service.NewClientWithKeyCredential("https://contoso.webpubsub.azure.com", "chat", service.NewKeyCredential("secret"), nil)
	if err != nil {
		log.Fatal(err)
	}
	token, err := chat.GetClientAccessToken(context.Background(), &service.GetClientAccessTokenOptions{
		UserID: "alice",
		Roles:  []string{webpubsub.RoleSendToGroup("news"), webpubsub.RoleJoinLeaveGroup("news")},
		Groups: []string{"news"},
	})
	if err != nil {
		log.Fatal(err)
	}
	var answer map[string]string
	data, err := json.Marshal(token)
	if err != nil {
		log.Fatal(err)
	}
	if err := json.Unmarshal(data, &answer); err != nil {
		log.Fatal(err)
	}
	fmt.Println(answer["baseUrl"], len(answer["accessToken"]) > 0)
	fmt.Println(token) // safe to log
	// Output:
	// wss://contoso.webpubsub.azure.com/client/hubs/chat true
	// wss://contoso.webpubsub.azure.com/client/hubs/chat?access_token=REDACTED
}

// local runs an emulator with one client, alice, who is in the group news. The
// examples below begin with it.
func local() (chat *service.Client, alice *websocket.Conn, stop func()) {
	srv, err := emulator.Start(emulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	chat, err = service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	token, err := chat.GetClientAccessToken(context.Background(), &service.GetClientAccessTokenOptions{UserID: "alice", Groups: []string{"news"}})
	if err != nil {
		log.Fatal(err)
	}
	alice, _, err = websocket.DefaultDialer.Dial(token.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	return chat, alice, func() { _ = alice.Close(); _ = srv.Close() }
}

func ExampleClient_SendToAll() {
	ctx := context.Background()
	chat, alice, stop := local()
	defer stop()

	for user, text := range map[string]string{"alice": "not for alice", "bob": "for everybody but bob"} {
		err := chat.SendToAll(ctx, webpubsub.Text(text), &webpubsub.SendOptions{
			Filter: webpubsub.FilterUsers(user).Not(),
		})
		if err != nil {
			log.Fatal(err)
		}
	}
	_, data, err := alice.ReadMessage()
	fmt.Println(string(data), err)
	// Output: for everybody but bob <nil>
}

func ExampleClient_AddConnectionsToGroups() {
	ctx := context.Background()
	chat, _, stop := local()
	defer stop()

	// Who reads the news gets the weather, too.
	if err := chat.AddConnectionsToGroups(ctx, []string{"weather"}, webpubsub.FilterGroup("news"), nil); err != nil {
		log.Fatal(err)
	}
	fmt.Println(chat.GroupExists(ctx, "weather", nil))
	// Output: true <nil>
}

func ExampleClient_ListConnectionsInGroup() {
	chat, _, stop := local()
	defer stop()

	for conn, err := range chat.ListConnectionsInGroup(context.Background(), "news", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(conn.UserID)
	}
	// Output: alice
}

func ExampleClient_NewListConnectionsInGroupPager() {
	chat, _, stop := local()
	defer stop()

	pager := chat.NewListConnectionsInGroupPager("news", &service.ListConnectionsInGroupOptions{MaxPageSize: 100})
	for pager.More() {
		page, err := pager.NextPage(context.Background())
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(len(page.Value), page.NextLink == "")
	}
	// Output: 1 true
}

func ExampleClient_CloseUserConnections() {
	chat, alice, stop := local()
	defer stop()

	if err := chat.CloseUserConnections(context.Background(), "alice", &service.CloseUserConnectionsOptions{Reason: "until tomorrow"}); err != nil {
		log.Fatal(err)
	}
	_, _, err := alice.ReadMessage()
	fmt.Println(err)
	// Output: websocket: close 1000 (normal): until tomorrow
}

func ExampleClient_SendToGroup() {
	ctx := context.Background()
	chat, alice, stop := local()
	defer stop()

	if err := chat.SendToGroup(ctx, "news", webpubsub.MustJSON(map[string]string{"title": "hello"}), nil); err != nil {
		log.Fatal(err)
	}
	_, data, err := alice.ReadMessage()
	fmt.Println(string(data), err)
	// Output: {"title":"hello"} <nil>
}

func ExampleClient_AddUserToGroup() {
	chat, _, stop := local()
	defer stop()

	err := chat.AddUserToGroup(context.Background(), "news", "bob", nil) // bob is not connected
	var re *azcore.ResponseError
	if errors.As(err, &re) && re.StatusCode == http.StatusNotFound {
		fmt.Println(re.ErrorCode)
	}
	// Output: Warning.User.NotExisted
}

func ExampleClient_GrantPermission() {
	ctx := context.Background()
	chat, _, stop := local()
	defer stop()

	for conn, err := range chat.ListConnectionsInGroup(ctx, "news", nil) {
		if err != nil {
			log.Fatal(err)
		}
		if err := chat.GrantPermission(ctx, service.PermissionSendToGroup, conn.ConnectionID, "news", nil); err != nil {
			log.Fatal(err)
		}
		fmt.Println(chat.HasPermission(ctx, service.PermissionSendToGroup, conn.ConnectionID, "news", nil))
	}
	// Output: true <nil>
}

func ExampleClient_Do() {
	chat, _, stop := local()
	defer stop()

	req, err := http.NewRequest("HEAD", "/api/hubs/chat/users/alice?api-version=2024-12-01", nil)
	if err != nil {
		log.Fatal(err)
	}
	resp, err := chat.Do(req)
	if err != nil {
		log.Fatal(err)
	}
	defer resp.Body.Close()
	fmt.Println(resp.Status)
	// Output: 200 OK
}
