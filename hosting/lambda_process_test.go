package hosting_test

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"

	"example.com/webpubsub/internal/test/functionshost"
	"example.com/webpubsub/internal/test/lambdahost"
)

// lambdas are the imitation of Lambda and AWS's own emulator.
var lambdas = map[string]func(testing.TB, string, ...string) *lambdahost.Host{
	"imitation": lambdahost.Start,
	"emulator":  lambdahost.StartEmulator,
}

// bothLambdas runs the test with each of them.
func bothLambdas(t *testing.T, test func(t *testing.T, host *lambdahost.Host)) {
	for name, start := range lambdas {
		t.Run(name, func(t *testing.T) { test(t, start(t, self(t), asProgram, configured)) })
	}
}

// chunked is a body whose length is not known ahead.
func chunked(text string) io.Reader { return io.MultiReader(strings.NewReader(text)) }

func TestOnLambda(t *testing.T) {
	bothLambdas(t, func(t *testing.T, host *lambdahost.Host) {
		r, err := http.NewRequest(http.MethodPost, host.URL()+"/api/events/f%C3%BCr%2Fimmer?x=1&x=2&y=a;b", chunked("\x00\xff"))
		r.Header.Set("Cookie", "a=1; b=2")
		r.Header["Webhook-Request-Origin"] = []string{"a.webpubsub.azure.com", "b.webpubsub.azure.com"}
		resp, got := do(t, r, err)
		if resp.StatusCode != http.StatusOK || got.URI != "/api/events/f%C3%BCr%2Fimmer?x=1&x=2&y=a;b" || got.Length != 2 {
			t.Errorf("got status %d for %+v, want the request as it was sent", resp.StatusCode, got)
		}
		if got.Host != strings.TrimPrefix(host.URL(), "http://") || got.Header.Get("Cookie") != "a=1; b=2" {
			t.Errorf("got host %q and cookies %q, want those sent", got.Host, got.Header.Get("Cookie"))
		}
		if origins := got.Header.Get("WebHook-Request-Origin"); origins != "a.webpubsub.azure.com,b.webpubsub.azure.com" {
			t.Errorf("got the origins %q, want both", origins)
		}
		if cookies := resp.Header.Values("Set-Cookie"); len(cookies) != 2 {
			t.Errorf("got the cookies %q, want two", cookies)
		}
		if len(got.Invocation) != 36 {
			t.Errorf("got the invocation ID %q, want the platform's", got.Invocation)
		}
		host.WaitForLog(t, `"invocationId":"`+got.Invocation+`"`)

		// No CORS layer in front: every OPTIONS arrives.
		r, err = http.NewRequest(http.MethodOptions, host.URL()+"/api/events", nil)
		if _, got := do(t, r, err); got.Method != http.MethodOptions {
			t.Errorf("the preflight did not arrive: %+v", got)
		}

		r, err = http.NewRequest(http.MethodGet, host.URL()+"/api/index/binary", nil)
		if err != nil {
			t.Fatal(err)
		}
		if _, body := functionshost.Do(t, r); body != "\x00\x01\xfe\xff" {
			t.Errorf("a binary body arrived as %q", body)
		}

		_, err = host.Invoke(t.Context(), []byte(`{"version":"1.0","httpMethod":"GET"}`))
		var failed *lambdahost.FunctionError
		if !errors.As(err, &failed) || !strings.Contains(failed.Message, "payload format 2.0") {
			t.Errorf("an event of format 1.0 got %v, want an error that names the format", err)
		}

		out, err := host.Invoke(t.Context(), readEvent(t, "http_api_preflight.json"))
		if err != nil || !bytes.Contains(out, []byte(`\"URI\":\"/api/events\"`)) {
			t.Errorf("the instance must live on, and take the stage off the path: %s, %v", out, err)
		}
	})
}

// A panic is a response of the same process: a new one would be a cold start for
// the next request.
func TestPanicOnLambda(t *testing.T) {
	bothLambdas(t, func(t *testing.T, host *lambdahost.Host) {
		for range 2 {
			r, err := http.NewRequest(http.MethodGet, host.URL()+"/api/index/panic", nil)
			if resp, _ := do(t, r, err); resp.StatusCode != http.StatusInternalServerError {
				t.Errorf("a panic got %d, want 500", resp.StatusCode)
			}
		}
		host.WaitForLog(t, "out of cheese")
		if n := strings.Count(host.Stdout()+host.Stderr(), `"msg":"listening"`); n != 1 {
			t.Errorf("%d processes were started, want one", n)
		}
	})
}

// A process that ends is an error of its request alone.
func TestExitOnLambda(t *testing.T) {
	host := lambdahost.StartEmulator(t, self(t), asProgram, configured)
	r, err := http.NewRequest(http.MethodGet, host.URL()+"/api/index/exit/1", nil)
	if resp, _ := do(t, r, err); resp.StatusCode != http.StatusBadGateway {
		t.Errorf("a process that ended got %d, want 502", resp.StatusCode)
	}
	r, err = http.NewRequest(http.MethodGet, host.URL()+"/api/events", nil)
	if resp, _ := do(t, r, err); resp.StatusCode != http.StatusOK {
		t.Errorf("the next request got %d, want 200", resp.StatusCode)
	}
}

// Lambda ends a handler that takes too long, and starts the program again.
func TestTimeoutOnLambda(t *testing.T) {
	host := lambdahost.StartEmulator(t, self(t), asProgram, configured, "AWS_LAMBDA_FUNCTION_TIMEOUT=1")
	event := bytes.Replace(readEvent(t, "http_api_negotiate.json"), []byte("/api/negotiate"), []byte("/api/index/stuck"), 1)
	_, err := host.Invoke(t.Context(), event)
	var failed *lambdahost.FunctionError
	if !errors.As(err, &failed) || !strings.Contains(failed.Message, "timed out after 1.00 seconds") {
		t.Errorf("got %v, want a time-out", err)
	}
	r, err := http.NewRequest(http.MethodGet, host.URL()+"/api/events", nil)
	if resp, _ := do(t, r, err); resp.StatusCode != http.StatusOK {
		t.Errorf("the next request got %d, want 200", resp.StatusCode)
	}
}

// Lambda Managed Instances send several invocations at the same time to a process
// (AWS_LAMBDA_MAX_CONCURRENCY). These wait for each other. AWS's emulator does so
// for programs in /var/task alone.
func TestConcurrencyOnLambda(t *testing.T) {
	host := lambdahost.Start(t, self(t), asProgram, configured, fmt.Sprint("AWS_LAMBDA_MAX_CONCURRENCY=", meetingSize))
	var all sync.WaitGroup
	ids := make(chan string, meetingSize)
	for range meetingSize {
		all.Go(func() {
			r, err := http.NewRequest(http.MethodGet, host.URL()+"/api/index/meet", nil)
			_, got := do(t, r, err)
			ids <- got.Invocation
		})
	}
	all.Wait()
	close(ids)
	seen := make(map[string]bool)
	for id := range ids {
		seen[id] = true
	}
	if len(seen) != meetingSize {
		t.Errorf("the invocation IDs are %v, want one for each of %d requests", seen, meetingSize)
	}
}

func TestSignalOnLambda(t *testing.T) {
	host := lambdahost.Start(t, self(t), asProgram, configured)
	host.WaitForLog(t, "listening")
	host.Signal(t, syscall.SIGTERM)
	<-host.Done()
	if host.ExitCode() != 0 {
		t.Errorf("SIGTERM ended with code %d, want 0: %s", host.ExitCode(), host.Stderr())
	}
}
