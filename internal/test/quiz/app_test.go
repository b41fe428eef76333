package app

import (
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/webapp"
)

func TestQuiz(t *testing.T) {
	quiz, err := New(webapp.Config{ConnectionString: handlertest.ConnectionString})
	if err != nil {
		t.Fatal(err)
	}
	send := func(id, event, text string, state map[string]any) *handlertest.Response {
		return handlertest.Do(quiz.Events, handlertest.UserEvent("chat", "c1", event, webpubsub.Text(text), &handlertest.Options{ID: id, UserID: "ada", State: state}))
	}
	res := send("1", "next", "", nil)
	if state, _ := res.State(); string(state["round"]) != "1" || string(res.Body) != `{"type":"question","text":"Which planet has the most moons?"}` {
		t.Errorf("got %d %s with the state %s", res.Status, res.Body, state)
	}
	if res := send("2", "answer", "Jupiter", map[string]any{"round": 1}); string(res.Body) != `{"type":"result","right":false}` {
		t.Errorf("got %d %s", res.Status, res.Body)
	}
}
