package main

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"

	"example.com/webpubsub/hosting"
	"example.com/webpubsub/internal/test/childprocess"
	"example.com/webpubsub/internal/test/functionshost"
)

// asFunctions in the environment makes this program a function app: the Functions
// host starts it without arguments of ours.
const asFunctions = "WEBPUBSUB_BENCH_FUNCTIONS"

func functionApp() {
	hosting.Main(func(*slog.Logger) (http.Handler, error) { return oursHandler(), nil })
}

const functionHostJSON = `{
	"version": "2.0",
	"customHandler": {
		"description": {"defaultExecutablePath": "bench"},
		"enableProxyingHttpRequest": true,
		"http": {"defaultAuthorizationLevel": "anonymous", "routes": [{"route": "events/{*event}", "authorizationLevel": "anonymous"}]}
	}
}`

// hosted measures the function app at the address that start returns.
func hosted(start func(tb testing.TB, self string) (addr string, p *childprocess.Process)) func(context.Context, settings) (sample, error) {
	return func(ctx context.Context, s settings) (one sample, err error) {
		self, err := os.Executable()
		if err != nil {
			return sample{}, err
		}
		tb := new(harness)
		defer tb.end(&err)
		addr, p := start(tb, self)
		event := userEvent
		event.request = func(connection string) *http.Request {
			r := userEvent.request(connection)
			r.URL.Path = "/api/events/message"
			return r
		}
		return loadHTTP(ctx, s, &process{ready: addr, pid: p.PID()}, event)
	}
}

var hostedRow = row{
	name: "hosted", title: "A verified user event through the function app",
	unit: "requests per CPU second of the app",
	contenders: []contender{
		{"plain server", hosted(func(tb testing.TB, self string) (string, *childprocess.Process) {
			port := functionshost.FreePort(tb)
			p := childprocess.Start(tb, self, tb.TempDir(), asFunctions+"=1", "PORT="+port)
			p.WaitForLog(tb, "listening")
			return "127.0.0.1:" + port, p
		})},
		{"behind the imitated Functions host", hosted(func(tb testing.TB, self string) (string, *childprocess.Process) {
			root := functionshost.NewRoot(tb, map[string]string{"host.json": functionHostJSON}, "bench", self)
			host := functionshost.Start(tb, functionshost.Options{Root: root, Settings: []string{asFunctions + "=1"}})
			return strings.TrimPrefix(host.URL(), "http://"), host.Process()
		})},
	},
	note: "The imitation runs in the process of the load generator, so that its CPU time is not counted, and opens a connection " +
		"for each request, as the tests want it: that is the difference. The real host keeps connections, and has costs of its own.",
}

// harness is what the tools of the tests need of a test.
type harness struct {
	testing.TB // nil: what is not below is not used
	cleanups   []func()
}

type failure struct{ error }

func (h *harness) Helper()                           {}
func (h *harness) Cleanup(f func())                  { h.cleanups = append(h.cleanups, f) }
func (h *harness) Output() io.Writer                 { return os.Stderr }
func (h *harness) Fatal(args ...any)                 { panic(failure{fmt.Errorf("%s", fmt.Sprintln(args...))}) }
func (h *harness) Fatalf(format string, args ...any) { panic(failure{fmt.Errorf(format, args...)}) }
func (h *harness) Errorf(format string, args ...any) { h.Fatalf(format, args...) }

func (h *harness) TempDir() string {
	dir, err := os.MkdirTemp("", "bench")
	if err != nil {
		h.Fatal(err)
	}
	h.Cleanup(func() { _ = os.RemoveAll(dir) })
	return dir
}

// end undoes what was set up, and turns a failure into an error.
func (h *harness) end(err *error) {
	if r := recover(); r != nil {
		f, ok := r.(failure)
		if !ok {
			panic(r)
		}
		*err = f.error
	}
	for _, f := range h.cleanups {
		defer f()
	}
}
