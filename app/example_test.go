package app_test

import (
	"fmt"

	"example.com/webpubsub"
	"example.com/webpubsub/app"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/webapp"
)

func ExampleNew() {
	chat, err := app.New(webapp.Config{ConnectionString: handlertest.ConnectionString})
	if err != nil {
		fmt.Println(err)
		return
	}
	// An empty message is an error for its sender; nobody else gets it.
	res := handlertest.Do(chat.Events, handlertest.UserEvent("chat", "conn1", "message",
		webpubsub.MustJSON(map[string]string{"id": "m1", "text": " "}), &handlertest.Options{UserID: "alice", State: map[string]any{"rooms": []string{"general"}}}))
	fmt.Println(res.Status, res.Message())
	// Output: 200 {"type":"error","id":"m1","room":"general","error":"the message is empty"}
}
