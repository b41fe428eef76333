package service_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log"
	"net/http"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"
	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/service"
)

// The examples run against the emulator; with the connection string of a
// resource they run against Azure.
func Example() {
	srv, err := emulator.New(emulator.Options{})
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
	token, err := chat.GetClientAccessToken(ctx, &service.ClientAccessTokenOptions{UserID: "alice"})
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
	chat, err := service.NewClientFromConnectionString("Endpoint=https://contoso.webpubsub.azure.com;AccessKey=secret;Version=1.0;", "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(chat.Endpoint(), chat.Hub())
	// Output: https://contoso.webpubsub.azure.com chat
}

func ExampleNewClientWithKey() {
	key := azcore.NewKeyCredential("secret")
	chat, err := service.NewClientWithKey("https://contoso.webpubsub.azure.com", key, "chat", &service.ClientOptions{
		ReverseProxyEndpoint: "https://contoso.azure-api.net",
	})
	if err != nil {
		log.Fatal(err)
	}
	key.Update("the next secret") // counts from the next request on
	fmt.Println(chat.Endpoint())
	// Output: https://contoso.webpubsub.azure.com
}

func ExampleNewClient() {
	cred, err := azidentity.NewDefaultAzureCredential(nil)
	if err != nil {
		log.Fatal(err)
	}
	chat, err := service.NewClient("https://contoso.webpubsub.azure.com", cred, "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(chat.Endpoint())
	// Output: https://contoso.webpubsub.azure.com
}

// A negotiate endpoint hands the token to the browser as JSON.
func ExampleClient_GetClientAccessToken() {
	chat, err := service.NewClientWithKey("https://contoso.webpubsub.azure.com", azcore.NewKeyCredential("secret"), "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	token, err := chat.GetClientAccessToken(context.Background(), &service.ClientAccessTokenOptions{
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

func ExampleClient_Connections() {
	srv, err := emulator.New(emulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	ctx := context.Background()
	chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	token, err := chat.GetClientAccessToken(ctx, &service.ClientAccessTokenOptions{UserID: "alice", Groups: []string{"news"}})
	if err != nil {
		log.Fatal(err)
	}
	alice, _, err := websocket.DefaultDialer.Dial(token.URL, nil)
	if err != nil {
		log.Fatal(err)
	}
	defer alice.Close()

	for conn, err := range chat.Connections(ctx, "news", nil) {
		if err != nil {
			log.Fatal(err)
		}
		fmt.Println(conn.UserID)
	}
	// Output: alice
}

func ExampleClient_Group() {
	srv, err := emulator.New(emulator.Options{})
	if err != nil {
		log.Fatal(err)
	}
	defer srv.Close()
	ctx := context.Background()
	chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		log.Fatal(err)
	}
	news := chat.Group("news")
	if err := news.Send(ctx, webpubsub.JSON(map[string]string{"title": "hello"}), nil); err != nil {
		log.Fatal(err)
	}
	err = news.AddUser(ctx, "alice") // who is not connected
	var re *azcore.ResponseError
	if errors.As(err, &re) && re.StatusCode == http.StatusNotFound {
		fmt.Println(re.ErrorCode)
	}
	// Output: Warning.User.NotExisted
}

func ExampleFilter() {
	fmt.Println(service.Filter("userId ne %s and %s in groups", "o'brien", "news"))
	fmt.Println(service.Filter("userId in %s or length(userId) gt %d", []string{"alice", "bob"}, 20))
	// Output:
	// userId ne 'o''brien' and 'news' in groups
	// userId in ('alice','bob') or length(userId) gt 20
}
