package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"

	"go.uber.org/goleak"
)

// stubborn makes this test binary a program that does not stop when it is
// asked to.
const stubborn = "WEBPUBSUB_TEST_STUBBORN"

func TestMain(m *testing.M) {
	if os.Getenv(stubborn) != "" {
		_, stop := interruptible(context.Background(), os.Stderr)
		defer stop()
		os.Stderr.WriteString("ready\n")
		select {}
	}
	goleak.VerifyTestMain(m)
}

func TestSecondInterruptEndsAtOnce(t *testing.T) {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(self)
	cmd.Env = append(os.Environ(), stubborn+"=1")
	out, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for _, want := range []string{"ready", "press Ctrl-C again", "ended at once"} {
		for lines.Scan() && !strings.Contains(lines.Text(), want) {
		}
		if !strings.Contains(lines.Text(), want) {
			t.Fatalf("the program never said %q", want)
		}
		if want != "ended at once" {
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
	_, _ = io.Copy(io.Discard, out)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v, want status 130", err)
	}
}

// output collects what a command prints while it runs.
type output struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (o *output) Write(p []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.Write(p)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.buf.String()
}

// command runs to its end; env is a list of name=value.
func call(t *testing.T, env []string, args ...string) (out, errOut string, err error) {
	t.Helper()
	var o, e output
	err = dispatch(t.Context(), testEnv(&o, &e, env), args)
	return o.String(), e.String(), err
}

func testEnv(out, errOut io.Writer, vars []string) *env {
	return &env{out: out, err: errOut, getenv: func(name string) string {
		for _, v := range vars {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	}}
}

func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args []string
		want string // in either output
		err  error
	}{
		{nil, "Commands:", errUsage},
		{[]string{"help"}, "Commands:", nil},
		{[]string{"help", "dev"}, "[WEBPUBSUB_FUNCTIONS_ADDR]", nil},
		{[]string{"help", "fly"}, `there is no command "fly"`, errUsage},
		{[]string{"fly"}, `there is no command "fly"`, errUsage},
		{[]string{"dev", "-h"}, "[WEBPUBSUB_FUNCTIONS_ADDR]", nil},
		{[]string{"dev", "-fly"}, "not defined: -fly", errUsage},
	} {
		out, errOut, err := call(t, nil, tt.args...)
		if !errors.Is(err, tt.err) || !strings.Contains(out+errOut, tt.want) {
			t.Errorf("%v: %v\n%s%s", tt.args, err, out, errOut)
		}
	}
}

// A forgotten dash is told, and not passed over together with all that follows.
func TestMistypedCommands(t *testing.T) {
	free, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	nobody := free.Addr().String()
	free.Close()
	service := "Endpoint=http://" + nobody + ";AccessKey=key;"
	for _, tt := range []struct{ want, args string }{
		{`dev takes only flags, and "addr" is none`, "dev addr 127.0.0.1:0"},
		{`emulator takes only flags`, "emulator -addr 127.0.0.1:0 upstream http://localhost:7071/api/events"},
		{`token takes only flags`, "token alice"},
		{"after the flags", "send hello -group news"},
		{"port; choose another address with -addr", "emulator -addr localhost:99999"},
		{"nobody listens on " + nobody, "send -connection-string " + service + " hello"},
		{"nobody listens on " + nobody, "listen -connection-string " + service},
	} {
		if _, _, err := call(t, nil, strings.Fields(tt.args)...); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%s: got %v, want an error with %q", tt.args, err, tt.want)
		}
	}
}

func TestFlagsHaveTwins(t *testing.T) {
	out, _, err := call(t, []string{"WEBPUBSUB_HUB=fromenv", "WEBPUBSUB_USER=alice"}, "token")
	if err != nil || !strings.Contains(out, "ws://localhost:8080/client/hubs/fromenv?access_token=") {
		t.Errorf("%v: %s", err, out)
	}
	out, _, err = call(t, []string{"WEBPUBSUB_HUB=fromenv"}, "token", "-hub", "fromflag")
	if err != nil || !strings.Contains(out, "/client/hubs/fromflag?") {
		t.Errorf("the flag does not win: %v: %s", err, out)
	}
	if _, _, err = call(t, []string{"WEBPUBSUB_EXPIRY=soon"}, "token"); err == nil || !strings.Contains(err.Error(), "WEBPUBSUB_EXPIRY") {
		t.Errorf("a bad twin gives %v, which does not name it", err)
	}
}

func TestTokenOfAProtocol(t *testing.T) {
	for protocol, want := range map[string]string{
		"default": "/client/hubs/chat?", "mqtt": "/clients/mqtt/hubs/chat?", "socketio": "/clients/socketio/hubs/chat?",
	} {
		if out, _, err := call(t, nil, "token", "-protocol", protocol); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v: %s", protocol, err, out)
		}
	}
	if _, _, err := call(t, nil, "token", "-protocol", "carrier pigeon"); err == nil || !strings.Contains(err.Error(), "give default, mqtt or socketio") {
		t.Errorf("an unknown protocol gives %v", err)
	}
}

// The help of a flag prints its default, and the default of this one may hold
// an access key.
func TestHelpKeepsTheKey(t *testing.T) {
	out, errOut, _ := call(t, []string{"WebPubSubConnectionString=Endpoint=http://h;AccessKey=verysecret;"}, "send", "-h")
	if strings.Contains(out+errOut, "verysecret") {
		t.Error("the help prints the access key")
	}
}

func TestBusyPorts(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	busy := l.Addr().String()
	for _, tt := range []struct {
		remedy string
		args   []string
	}{
		{"-functions-addr", []string{"dev", "-addr", "127.0.0.1:0", "-functions-addr", busy}},
		{"-addr", []string{"dev", "-addr", busy, "-functions-addr", "127.0.0.1:0"}},
		{"-addr", []string{"emulator", "-addr", busy}},
	} {
		_, _, err := call(t, nil, tt.args...)
		if err == nil || !strings.Contains(err.Error(), busy+": it is in use") || !strings.Contains(err.Error(), "with "+tt.remedy) {
			t.Errorf("%v: %v", tt.args, err)
		}
		if errors.Is(err, syscall.ECONNREFUSED) {
			t.Error("wrong reason")
		}
	}
}
