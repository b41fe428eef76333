package webapp_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"

	"example.com/webpubsub"
	"example.com/webpubsub/handler"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/webapp"
)

// newEcho returns an application that sends back what a client sends.
func newEcho(c webapp.Config) (*webapp.App, error) {
	a, err := webapp.New(c)
	if err != nil {
		return nil, err
	}
	a.Events.OnEvent("echo", func(_ context.Context, e *handler.UserEvent) (*handler.EventResponse, error) {
		return &handler.EventResponse{Message: e.Message}, nil
	})
	return a, nil
}

func Example() {
	echo, err := newEcho(webapp.Config{
		ConnectionString: handlertest.ConnectionString,
		AllowUserIDQuery: true, // for development: callers choose who they are
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	w := httptest.NewRecorder()
	echo.Handler().ServeHTTP(w, httptest.NewRequest("POST", "/api/negotiate?userId=alice", nil))
	var answer struct{ BaseURL string }
	err = json.Unmarshal(w.Body.Bytes(), &answer)
	fmt.Println(w.Code, answer.BaseURL, err)

	res := handlertest.Do(echo.Events, handlertest.UserEvent("chat", "conn1", "echo", webpubsub.Text("hello"), nil))
	fmt.Println(res.Status, res.Message())
	// Output:
	// 200 ws://localhost:8080/client/hubs/chat <nil>
	// 200 hello
}

func ExampleMain() {
	webapp.Main(newEcho)
}

func ExampleConfigFromEnv() {
	settings := map[string]string{"WebPubSubAllowUserIdQuery": "maybe"}
	_, err := webapp.ConfigFromEnv(func(name string) string { return settings[name] })
	fmt.Println(err)
	// Output:
	// WebPubSubAllowUserIdQuery is "maybe": set it to true or false
	// WebPubSubConnectionString is missing: set it to the connection string of the resource (the portal shows it under Keys), or set WebPubSubConnectionString__serviceUri to its endpoint to use a managed identity
}

func ExampleEncodeUserID() {
	for _, name := range []string{"alice", "Ju\u0308rgen", "ali\u200bce"} {
		id, err := webapp.EncodeUserID(name)
		fmt.Println(id, err)
	}
	// Output:
	// alice <nil>
	// J%C3%BCrgen <nil>
	//  the user ID contains U+200B: control, invisible and unassigned characters are not allowed
}
