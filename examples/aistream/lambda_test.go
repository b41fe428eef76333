package main

import (
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/lambdahost"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/webapp"
)

// Under AWS's own Lambda emulator, an answer that takes longer than the function may run
// is ended in time: the user gets what there is, and the reason.
func TestLambda(t *testing.T) {
	command := testtool.Need(t, "go")
	program := filepath.Join(t.TempDir(), "bootstrap")
	if out, err := exec.CommandContext(t.Context(), command, "build", "-o", program, ".").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	a := start(t, newScripted(), nil)
	host := lambdahost.StartEmulator(t, program,
		"WebPubSubConnectionString="+a.Emulator.ConnectionString(), "WebPubSubAllowUserIdQuery=true",
		"AWS_LAMBDA_FUNCTION_NAME=aistream", "AWS_LAMBDA_FUNCTION_TIMEOUT=5")
	a.URL = host.URL() // the client negotiates there, and events go there
	if err := a.Emulator.SetHub(webapp.DefaultHub, emulator.HubSettings{EventHandlers: []emulator.EventHandler{{
		URL: host.URL() + "/api/events", UserEvents: "*", SystemEvents: []string{"connect"},
	}}}); err != nil {
		t.Fatal(err)
	}
	alice := connect(t, a, "alice")
	alice.ask("q1", "why?")
	for alice.seen.State != failed {
		alice.next()
	}
	if alice.seen.Error != "the answer took too long" || !strings.HasPrefix(alice.seen.Text, "You asked: “why?” ") {
		t.Errorf("got %+v", alice.seen)
	}
}
