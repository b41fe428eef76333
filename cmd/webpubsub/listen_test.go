package main

import (
	"context"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
)

// What one command sends the other prints, until it is interrupted.
func TestListen(t *testing.T) {
	srv := emulator.Start(t, emulator.Options{})
	cs := "WEBPUBSUB_CONNECTION_STRING=" + srv.ConnectionString()
	url, _, err := call(t, []string{cs}, "token", "-user", "bob", "-role", "webpubsub.joinLeaveGroup")
	if err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		args []string
		user string
	}{
		{[]string{"-user", "alice", "-group", "news"}, "alice"},
		{[]string{"-group", "news", "-protocol", "protobuf", strings.TrimSpace(url)}, "bob"},
	} {
		ctx, cancel := context.WithCancel(t.Context())
		var out, errOut output
		done := make(chan error, 1)
		go func() {
			done <- dispatch(ctx, testEnv(&out, &errOut, []string{cs}), append([]string{"listen"}, tt.args...))
		}()
		prints := func(want string) {
			t.Helper()
			waitFor(t, func() bool { return strings.Contains(out.String(), want) }, "the line "+want)
		}
		prints("of user " + tt.user)
		send := func(args ...string) {
			t.Helper()
			if _, _, err := call(t, []string{cs}, append([]string{"send"}, args...)...); err != nil {
				t.Fatal(err)
			}
		}
		send("-user", tt.user, "hello\x1b[2J")
		prints("server: hello·[2J")
		waitFor(t, func() bool {
			send("-group", "news", "-json", "42") // it may not have joined yet
			return strings.Contains(out.String(), "group news: 42")
		}, "the message")
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if !strings.Contains(out.String(), "disconnected, 1000") {
			t.Errorf("printed\n%s", out.String())
		}
	}
}

func TestListenRefuses(t *testing.T) {
	for want, args := range map[string][]string{
		"takes one URL":     {"a", "b"},
		"-protocol is":      {"-protocol", "xml"},
		"credential gave":   {"http://localhost?access_token=secret"},
		"nobody listens":    {"ws://127.0.0.1:1/client/hubs/chat?access_token=secret"},
		"connection string": {"-connection-string", "x"},
	} {
		_, _, err := call(t, nil, append([]string{"listen"}, args...)...)
		if err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "secret") {
			t.Errorf("%v: %v", args, err)
		}
	}
}
