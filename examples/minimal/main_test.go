package main

import (
	"testing"

	"go.uber.org/goleak"

	"example.com/webpubsub/internal/test/apptest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestEcho(t *testing.T) {
	a := apptest.Start(t, New, nil)
	alice := a.Connect("alice")
	for _, text := range []string{"hello", "<b>Bób</b>"} {
		if err := alice.Send("echo", text); err != nil {
			t.Fatal(err)
		}
		var got string
		if alice.ReceiveJSON(&got); got != text {
			t.Errorf("got %q, want %q", got, text)
		}
	}
	if err := alice.Send("other", "hello"); err == nil {
		t.Error("an event without a callback is accepted")
	}
}

func TestPage(t *testing.T) {
	apptest.Start(t, New, nil).Browse("../testdata/browser/minimal.js")
}
