package app_test

import (
	"encoding/json"
	"fmt"
	"net/http/httptest"

	"example.com/webpubsub"
	"example.com/webpubsub/app"
	"example.com/webpubsub/handler/handlertest"
)

func ExampleNew() {
	chat, err := app.New(app.Config{
		ConnectionString: handlertest.ConnectionString,
		AllowUserIDQuery: true, // development: whoever calls says who they are
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	chat.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/api/negotiate?userId=alice", nil))

	var answer struct{ BaseURL string }
	err = json.Unmarshal(w.Body.Bytes(), &answer)
	fmt.Println(w.Code, answer.BaseURL, err)
	// Output: 200 ws://localhost:8080/client/hubs/chat <nil>
}

func ExampleConfigFromEnv() {
	settings := map[string]string{"WebPubSubAllowUserIdQuery": "maybe"}
	_, err := app.ConfigFromEnv(func(name string) string { return settings[name] })
	fmt.Println(err)
	// Output:
	// WebPubSubAllowUserIdQuery is "maybe": set it to true or false
	// WebPubSubConnectionString is missing: set it to the connection string of the resource (the portal shows it under Keys), or set WebPubSubConnectionString__serviceUri to its endpoint to use a managed identity
}

func ExampleApp_Events() {
	chat, err := app.New(app.Config{ConnectionString: handlertest.ConnectionString})
	if err != nil {
		fmt.Println(err)
		return
	}
	// A message of nothing is told to its sender, and to nobody else.
	res := handlertest.Do(chat.Events(), handlertest.UserEvent("chat", "conn1", "message",
		webpubsub.MustJSON(map[string]string{"id": "m1", "text": " "}), &handlertest.Options{UserID: "alice"}))
	fmt.Println(res.Status, res.Message())
	// Output: 200 {"type":"error","id":"m1","error":"the message is empty"}
}
