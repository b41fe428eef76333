package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"example.com/webpubsub/internal/test/testapp"
	"example.com/webpubsub/internal/test/testlog"
)

// stubborn makes this test binary a program that does not stop when it is
// asked to.
const stubborn = "WEBPUBSUB_TEST_STUBBORN"

// crashing makes this test binary a program that ends at once.
const crashing = "WEBPUBSUB_TEST_CRASHING"

func TestMain(m *testing.M) {
	if filepath.Base(os.Args[0]) == "webpubsub" { // a link to this binary
		os.Exit(run(os.Args[1:]))
	}
	if os.Getenv(stubborn) != "" {
		_, stop := interruptible(context.Background(), os.Stderr)
		defer stop()
		os.Stderr.WriteString("ready\n")
		select {}
	}
	if os.Getenv(crashing) != "" {
		os.Exit(3)
	}
	if os.Getenv(customHandler) != "" {
		serveCustomHandler()
	}
	goleak.VerifyTestMain(m)
}

func TestSecondInterruptExitsImmediately(t *testing.T) {
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
	for _, want := range []string{"ready", "press Ctrl-C again", "exited immediately"} {
		for lines.Scan() && !strings.Contains(lines.Text(), want) {
		}
		if !strings.Contains(lines.Text(), want) {
			t.Fatalf("the program never said %q", want)
		}
		if want != "exited immediately" {
			_ = cmd.Process.Signal(os.Interrupt)
		}
	}
	_, _ = io.Copy(io.Discard, out)
	var exit *exec.ExitError
	if err := cmd.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 130 {
		t.Errorf("ended with %v, want status 130", err)
	}
}

// command runs to its end; env is a list of name=value.
func call(t *testing.T, env []string, args ...string) (out, errOut string, err error) {
	t.Helper()
	var o, e testlog.Buffer
	err = dispatch(t.Context(), testEnv(&o, &e, env), args)
	return o.String(), e.String(), err
}

func testEnv(out, errOut io.Writer, vars []string) *env {
	e := newEnv(strings.NewReader(""), out, errOut, func(name string) string {
		for _, v := range vars {
			if value, ok := strings.CutPrefix(v, name+"="); ok {
				return value
			}
		}
		return ""
	})
	e.environ = func() []string { return vars }
	e.newApp = testapp.New // whatever the application in package app is
	return e
}

// exit runs a command to its end with this standard input and returns what it
// prints and its exit status.
func exit(t *testing.T, stdin string, env []string, args ...string) (out, errOut string, status int) {
	t.Helper()
	var o, e testlog.Buffer
	environment := testEnv(&o, &e, env)
	environment.in = strings.NewReader(stdin)
	status = environment.exitStatus(dispatch(t.Context(), environment, args))
	return o.String(), e.String(), status
}

// Help that was asked for is printed on standard output with status 0. An invalid
// command line has status 2, and the help on standard error in one line.
func TestUsage(t *testing.T) {
	for _, tt := range []struct {
		args     string
		out, err string
		status   int
	}{
		{"", "", "Commands:", 2},
		{"help", "Commands:", "", 0},
		{"-h", "Commands:", "", 0},
		{"--help", "Commands:", "", 0},
		{"help dev", "[WEBPUBSUB_FUNCTIONS_ADDR]", "", 0},
		{"dev -h", "[WEBPUBSUB_FUNCTIONS_ADDR]", "", 0},
		{"dev --help", "[WEBPUBSUB_FUNCTIONS_ADDR]", "", 0},
		{"help send", "Usage: webpubsub send [flags] <message>", "", 0},
		{"help fly", "", `unknown command "fly"`, 2},
		{"fly", "", `unknown command "fly"`, 2},
		{"dev -fly", "", `not defined: -fly; run "webpubsub help dev"`, 2},
		{"-version", "webpubsub ", "", 0},
		{"--version", "webpubsub ", "", 0},
		{"version", "webpubsub ", "", 0},
		{"version -o json", `{"version":"`, "", 0},
		{"version x", "", "unexpected argument", 2},
		{"completion", "", "bash, zsh, fish, powershell", 2},
		{"completion cmd", "", "bash, zsh, fish, powershell", 2},
		{"completion -h", "Usage: webpubsub completion", "", 0},
		{"token", "ws://localhost:8080/client/hubs/chat?access_token=", "", 0},
		{"token -hub 1", "", "invalid hub name", 2},
		{"token -connection-string x", "", "connection string", 2},
		{"token -connection-string x -endpoint y", "", "mutually exclusive", 2},
		{"token -protocol pigeon", "", "must be one of default, mqtt, socketio", 2},
		{"token -o xml", "", "must be one of text, json", 2},
		{"token -expiry -1h", "", "must be positive", 2},
		{"token -expiry 0", "", "must be positive", 2},
		{"token -group=", "", "Invalid group name", 2},
		{"listen -group=", "", "Invalid group name", 2},
		{"check", "", "takes one URL", 2},
		{"check a b", "", "takes one URL", 2},
		{"check -type json -data {a http://localhost/api/events", "", "-data: the message is not one JSON value", 2},
		{"check https://h.example/api/events", "", "-connection-string", 2},
		{"package a b", "", "takes one Go package", 2},
		{"package -target x", "", "must be one of functions, lambda", 2},
		{"emulator -addr localhost:99999", "", "choose another address with -addr", 2},
		{"dev -addr x -functions-addr 127.0.0.1:0", "", "choose another address with -addr", 2},
	} {
		out, errOut, status := exit(t, "", nil, strings.Fields(tt.args)...)
		if status != tt.status || !strings.Contains(out, tt.out) || !strings.Contains(errOut, tt.err) || (tt.out == "") != (out == "") || (tt.err == "") != (errOut == "") {
			t.Errorf("%q: status %d\nout: %s\nerr: %s", tt.args, status, out, errOut)
		}
		if tt.args != "" && strings.Count(errOut, "\n") > 1 {
			t.Errorf("%q: more than one line on standard error:\n%s", tt.args, errOut)
		}
	}
}

// A forgotten dash is an error: it would hide the flags after it.
func TestUnexpectedArguments(t *testing.T) {
	for _, tt := range []struct{ want, args string }{
		{`dev: unexpected argument "addr"`, "dev addr 127.0.0.1:0"},
		{`emulator: unexpected argument "upstream"`, "emulator -addr 127.0.0.1:0 upstream http://localhost:7071/api/events"},
		{`token: unexpected argument "alice"`, "token alice"},
		{"after the flags", "send hello -group news"},
	} {
		if _, errOut, status := exit(t, "", nil, strings.Fields(tt.args)...); status != 2 || !strings.Contains(errOut, tt.want) {
			t.Errorf("%s: status %d, %s, want %q", tt.args, status, errOut, tt.want)
		}
	}
	if _, _, err := call(t, nil, "emulator", "-addr", "localhost:99999"); err == nil || !strings.Contains(err.Error(), "port; choose another address with -addr") {
		t.Errorf("a bad port: %v", err)
	}
}

// Nothing is listening where the connection string points to. A port is bound but
// does not listen, so that no other program takes it meanwhile.
func TestConnectionRefused(t *testing.T) {
	addr := boundPort(t)
	service := "Endpoint=http://" + addr + ";AccessKey=key;"
	for _, args := range []string{"send -connection-string " + service + " hello", "listen -connection-string " + service} {
		if _, errOut, status := exit(t, "", nil, strings.Fields(args)...); status != 1 || !strings.Contains(errOut, "nothing is listening on "+addr) {
			t.Errorf("%s: status %d, %s", args, status, errOut)
		}
	}
}

func TestFlagEnvironmentVariables(t *testing.T) {
	out, _, err := call(t, []string{"WebPubSubHub=fromenv", "WEBPUBSUB_PROTOCOL=mqtt"}, "token")
	if err != nil || !strings.Contains(out, "ws://localhost:8080/clients/mqtt/hubs/fromenv?access_token=") {
		t.Errorf("%v: %s", err, out)
	}
	out, _, err = call(t, []string{"WebPubSubHub=fromenv"}, "token", "-hub", "fromflag")
	if err != nil || !strings.Contains(out, "/client/hubs/fromflag?") {
		t.Errorf("the flag does not take precedence: %v: %s", err, out)
	}
	if _, errOut, status := exit(t, "", []string{"WEBPUBSUB_EXPIRY=soon"}, "token"); status != 2 || !strings.Contains(errOut, "WEBPUBSUB_EXPIRY") {
		t.Errorf("an invalid variable: status %d, %s", status, errOut)
	}
	if out, _, status := exit(t, "", []string{"WEBPUBSUB_EXPIRY=soon"}, "token", "-h"); status != 0 || !strings.Contains(out, "-expiry") {
		t.Errorf("an invalid variable hides the help: status %d", status)
	}
}

// There is one name for the connection string, in flags, in the environment and in
// the settings of the application.
func TestServiceOfTheEnvironment(t *testing.T) {
	const cs, uri = "WebPubSubConnectionString=Endpoint=http://fromenv;AccessKey=key;", "WebPubSubConnectionString__serviceUri=http://uri"
	for _, tt := range []struct {
		env  []string
		args string
		want string // in either output
	}{
		{[]string{cs}, "token", "ws://fromenv/client"},
		{[]string{cs, uri}, "token", "ws://fromenv/client"},
		{[]string{uri}, "token", "require https"},
		{[]string{cs}, "token -endpoint http://fromflag", "require https"},
		{[]string{uri}, "token -connection-string Endpoint=http://fromflag;AccessKey=key", "ws://fromflag/client"},
		{[]string{"WEBPUBSUB_CONNECTION_STRING=Endpoint=http://other;AccessKey=key;"}, "token", "ws://localhost:8080/client"},
	} {
		out, errOut, _ := exit(t, "", tt.env, strings.Fields(tt.args)...)
		if !strings.Contains(out+errOut, tt.want) {
			t.Errorf("%v %s: %s%s, want %q", tt.env, tt.args, out, errOut, tt.want)
		}
	}
}

func TestTokenProtocol(t *testing.T) {
	for protocol, want := range map[string]string{
		"default": "/client/hubs/chat?", "mqtt": "/clients/mqtt/hubs/chat?", "socketio": "/clients/socketio/hubs/chat?",
	} {
		if out, _, err := call(t, nil, "token", "-protocol", protocol); err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %v: %s", protocol, err, out)
		}
	}
}

// The roles are what people mistype, and the service ignores those that it does not
// know.
func TestTokenWarns(t *testing.T) {
	for _, tt := range []struct {
		args, want string
	}{
		{"-role webpubsub.sendToGroup -role webpubsub.joinLeaveGroup.news -role webpubsub.sendToGroups.a.** -role webpubsub.setGroupState -group news -user alice", ""},
		{"-role nonsense", `unknown role "nonsense"`},
		{"-role webpubsub.sendToGroup.", `unknown role "webpubsub.sendToGroup."`},
		{"-role webpubsub.sendtogroup", `unknown role "webpubsub.sendtogroup"`},
		{"-role webpubsub.sendToGroup.tenant/1", `"tenant/1" cannot be part of a REST path`},
		{"-group tenant/1", `"tenant/1" cannot be part of a REST path`},
		{"-user a/b", `"a/b" cannot be part of a REST path`},
	} {
		out, errOut, status := exit(t, "", nil, strings.Fields("token "+tt.args)...)
		if status != 0 || !strings.Contains(out, "access_token=") || !strings.Contains(errOut, tt.want) || (tt.want == "") != (errOut == "") {
			t.Errorf("%s: status %d, %s%s", tt.args, status, out, errOut)
		}
	}
}

func TestTokenAsJSON(t *testing.T) {
	out, _, err := call(t, nil, "token", "-o", "json")
	var got struct{ BaseURL, URL, AccessToken string }
	if err != nil || json.Unmarshal([]byte(out), &got) != nil || got.BaseURL != "ws://localhost:8080/client/hubs/chat" || got.URL != got.BaseURL+"?access_token="+got.AccessToken {
		t.Errorf("%v: %s", err, out)
	}
}

// The help of a flag prints its default, and the default of this one may hold
// an access key.
func TestHelpDoesNotPrintAccessKey(t *testing.T) {
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

// boundPort returns an address at which nothing listens until the test ends: it is
// bound by a connection's local end.
func boundPort(t *testing.T) string {
	t.Helper()
	peer, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", peer.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close(); peer.Close() })
	return conn.LocalAddr().String()
}
