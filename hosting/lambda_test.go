package hosting_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/webpubsub/hosting"
	"example.com/webpubsub/internal/test/testlog"
	"github.com/aws/aws-lambda-go/events"
	"github.com/aws/aws-lambda-go/lambdacontext"
)

func readEvent(t testing.TB, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// invoke handles the event with h. The response is decoded with the type of the
// AWS library, which shows that AWS understands it.
func invoke(t *testing.T, h http.Handler, log *slog.Logger, event []byte) events.LambdaFunctionURLResponse {
	t.Helper()
	ctx := lambdacontext.NewContext(context.Background(), &lambdacontext.LambdaContext{AwsRequestID: "aws-1"})
	out, err := hosting.Invoke(ctx, h, log, event)
	if err != nil {
		t.Fatal(err)
	}
	var resp events.LambdaFunctionURLResponse
	if err := json.Unmarshal(out, &resp); err != nil {
		t.Fatalf("%v in %s", err, out)
	}
	return resp
}

// event returns an event for GET path with the changes made by edit.
func event(t *testing.T, edit func(*events.APIGatewayV2HTTPRequest)) []byte {
	t.Helper()
	e := events.APIGatewayV2HTTPRequest{Version: "2.0", RawPath: "/"}
	e.RequestContext.HTTP.Method = http.MethodGet
	edit(&e)
	b, err := json.Marshal(e)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestRecordedEvents(t *testing.T) {
	for _, tt := range []struct {
		file   string
		want   string
		header http.Header
		body   string
	}{
		{
			file: "function_url_connect.json",
			want: "POST HTTP/1.1 abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-central-1.on.aws" +
				" /api/events path=/api/events from=20.0.113.7:0 length=119",
			header: http.Header{
				"Ce-Connectionid":        {"conn1"},
				"Content-Type":           {"application/json; charset=utf-8"},
				"Webhook-Request-Origin": {"demo.webpubsub.azure.com, demo-replica.webpubsub.azure.com"},
				"Host":                   nil,
				"Cookie":                 nil,
			},
			body: `{"claims":{"sub":["alice"]},"query":{},"headers":{},"subprotocols":["json.webpubsub.azure.v1"],"clientCertificates":[]}`,
		},
		{
			file: "function_url_binary.json",
			want: "POST HTTP/1.1 abcdefghijklmnopqrstuvwxyz012345.lambda-url.eu-central-1.on.aws" +
				" /api/events/f%C3%BCr%2Fimmer?code=a%2Bb&code=c&empty= path=/api/events/für/immer from=[2001:db8::7]:0 length=4",
			header: http.Header{"Cookie": {"ARRAffinity=abc; theme=dark"}},
			body:   "\x00\x01\x02\xff",
		},
		{
			file: "http_api_preflight.json",
			want: "OPTIONS HTTP/1.1 a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com" +
				" /api/events path=/api/events from=20.0.113.7:0 length=0",
			header: http.Header{"Webhook-Request-Origin": {"demo.webpubsub.azure.com"}, "Origin": nil},
		},
		{
			file: "http_api_negotiate.json",
			want: "GET HTTP/2.0 a1b2c3d4e5.execute-api.eu-central-1.amazonaws.com" +
				" /api/negotiate?userId=alice path=/api/negotiate from=198.51.100.23:0 length=0",
			header: http.Header{"Cookie": {"session=1"}, "Origin": {"https://www.example.com"}},
		},
	} {
		t.Run(tt.file, func(t *testing.T) {
			r, err := hosting.DecodeEvent(context.Background(), readEvent(t, tt.file))
			if err != nil {
				t.Fatal(err)
			}
			got := fmt.Sprintf("%s %s %s %s path=%s from=%s length=%d",
				r.Method, r.Proto, r.Host, r.RequestURI, r.URL.Path, r.RemoteAddr, r.ContentLength)
			if got != tt.want {
				t.Errorf("got  %s\nwant %s", got, tt.want)
			}
			for name, want := range tt.header {
				if got := r.Header[name]; strings.Join(got, "|") != strings.Join(want, "|") {
					t.Errorf("header %s is %q, want %q", name, got, want)
				}
			}
			body, err := io.ReadAll(r.Body)
			if err != nil || string(body) != tt.body {
				t.Errorf("body is %q (%v), want %q", body, err, tt.body)
			}
		})
	}
}

func TestEventPaths(t *testing.T) {
	for _, tt := range []struct{ raw, stage, uri, path string }{
		{"/api/events", "$default", "/api/events", "/api/events"},
		{"/api/events", "", "/api/events", "/api/events"},
		{"/prod/api/events", "prod", "/api/events", "/api/events"},
		{"/prod", "prod", "/", "/"},
		{"/prod/", "prod", "/", "/"},
		{"/production/x", "prod", "/production/x", "/production/x"},
		{"/api/events", "prod", "/api/events", "/api/events"}, // a custom domain: no stage in the path
		{"", "$default", "/", "/"},
		{"//evil.example/x", "$default", "//evil.example/x", "//evil.example/x"},
		{"/a b", "$default", "/a%20b", "/a b"},
		{"/100%", "$default", "/100%25", "/100%"},
		{"/a%2Fb", "$default", "/a%2Fb", "/a/b"},
		{"/a?b", "$default", "/a%3Fb", "/a?b"},
	} {
		t.Run(tt.raw+" in "+tt.stage, func(t *testing.T) {
			r, err := hosting.DecodeEvent(context.Background(), event(t, func(e *events.APIGatewayV2HTTPRequest) {
				e.RawPath, e.RequestContext.Stage = tt.raw, tt.stage
			}))
			if err != nil {
				t.Fatal(err)
			}
			if r.RequestURI != tt.uri || r.URL.Path != tt.path {
				t.Errorf("got %s with path %s, want %s with path %s", r.RequestURI, r.URL.Path, tt.uri, tt.path)
			}
		})
	}
}

func TestLambdaResponses(t *testing.T) {
	for _, tt := range []struct {
		name    string
		method  string
		handler http.HandlerFunc
		want    string // the response on the wire
	}{
		{
			"nothing", http.MethodGet, func(http.ResponseWriter, *http.Request) {},
			`{"statusCode":200}`,
		},
		{
			"text, type guessed", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "hi") },
			`{"statusCode":200,"headers":{"Content-Type":"text/plain; charset=utf-8"},"body":"hi"}`,
		},
		{
			"JSON", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/json")
				_, _ = io.WriteString(w, `{"a":`)
				_, _ = io.WriteString(w, `1}`)
			},
			`{"statusCode":200,"headers":{"Content-Type":"application/json"},"body":"{\"a\":1}"}`,
		},
		{
			"bytes", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "application/octet-stream")
				_, _ = w.Write([]byte("abc"))
			},
			`{"statusCode":200,"headers":{"Content-Type":"application/octet-stream"},"body":"YWJj","isBase64Encoded":true}`,
		},
		{
			"text that is no UTF-8", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/plain; charset=iso-8859-1")
				_, _ = w.Write([]byte{0xe9})
			},
			`{"statusCode":200,"headers":{"Content-Type":"text/plain; charset=iso-8859-1"},"body":"6Q==","isBase64Encoded":true}`,
		},
		{
			"compressed", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Type", "text/html")
				w.Header().Set("Content-Encoding", "gzip")
				_, _ = w.Write([]byte("zip"))
			},
			`{"statusCode":200,"headers":{"Content-Encoding":"gzip","Content-Type":"text/html"},"body":"emlw","isBase64Encoded":true}`,
		},
		{
			"several values, and cookies by themselves", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Add("Vary", "Origin")
				w.Header().Add("Vary", "Accept")
				http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
				http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
				w.WriteHeader(http.StatusNoContent)
			},
			`{"statusCode":204,"headers":{"Vary":"Origin, Accept"},"cookies":["a=1","b=2"]}`,
		},
		{
			"header set too late", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusEarlyHints) // cannot be sent ahead
				w.Header().Set("X-In-Time", "1")
				w.WriteHeader(http.StatusTeapot)
				w.Header().Add("X-In-Time", "2")
				w.WriteHeader(http.StatusOK)
			},
			`{"statusCode":418,"headers":{"X-In-Time":"1"}}`,
		},
		{
			"no body for 204", http.MethodGet, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusNoContent)
				if _, err := io.WriteString(w, "hi"); err != http.ErrBodyNotAllowed {
					panic(err)
				}
			},
			`{"statusCode":204}`,
		},
		{
			"no body for HEAD", http.MethodHead, func(w http.ResponseWriter, _ *http.Request) {
				w.Header().Set("Content-Length", "2")
				_, _ = io.WriteString(w, "hi")
			},
			`{"statusCode":200,"headers":{"Content-Length":"2"}}`,
		},
	} {
		t.Run(tt.name, func(t *testing.T) {
			in := event(t, func(e *events.APIGatewayV2HTTPRequest) { e.RequestContext.HTTP.Method = tt.method })
			out, err := hosting.Invoke(context.Background(), tt.handler, slog.New(slog.DiscardHandler), in)
			if err != nil {
				t.Fatal(err)
			}
			if string(out) != tt.want {
				t.Errorf("got  %s\nwant %s", out, tt.want)
			}
		})
	}
}

func TestLambdaPanic(t *testing.T) {
	for name, h := range map[string]http.HandlerFunc{
		"panic":           func(http.ResponseWriter, *http.Request) { panic("out of cheese") },
		"half a response": func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "half"); panic("out of cheese") },
		"bad status":      func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(0) },
	} {
		t.Run(name, func(t *testing.T) {
			var log testlog.Buffer
			resp := invoke(t, h, slog.New(hosting.NewLogHandler(&log, &log, nil)), readEvent(t, "http_api_negotiate.json"))
			if resp.StatusCode != http.StatusInternalServerError || strings.Contains(resp.Body, "half") {
				t.Errorf("got %+v, want 500 alone", resp)
			}
			if got := log.String(); !strings.Contains(got, "panicked") || !strings.Contains(got, `"invocationId":"aws-1"`) {
				t.Errorf("log is %s, want the panic with the invocation's id", got)
			}
			if strings.Contains(log.String(), "alice") {
				t.Error("the query must not be logged: it may hold an access token")
			}
		})
	}
}

func TestLambdaInvocationID(t *testing.T) {
	if got := invoke(t, showID, nil, readEvent(t, "function_url_connect.json")).Body; got != "/api/events aws-1" {
		t.Errorf("got %q, want the request id of Lambda", got)
	}
}

// A response over the limit was rejected by the runtime API, and the process
// exited: one large response cost every later request a cold start.
func TestLambdaResponseTooLarge(t *testing.T) {
	var log testlog.Buffer
	h := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write(make([]byte, hosting.MaxLambdaResponse))
	})
	resp := invoke(t, h, slog.New(hosting.NewLogHandler(&log, &log, nil)), readEvent(t, "http_api_negotiate.json"))
	if resp.StatusCode != http.StatusInternalServerError || !strings.Contains(log.String(), "too large for Lambda") {
		t.Errorf("got status %d and log %s, want 500 and the reason", resp.StatusCode, log.String())
	}
}

func TestLambdaBadEvents(t *testing.T) {
	called := http.HandlerFunc(func(http.ResponseWriter, *http.Request) { t.Error("the handler was called") })
	for name, in := range map[string]string{
		"not JSON":         `hello`,
		"payload 1.0":      `{"version":"1.0","httpMethod":"GET","path":"/"}`,
		"scheduled event":  `{"version":"0","source":"aws.events","detail":{}}`,
		"no method":        `{"version":"2.0","rawPath":"/"}`,
		"headers as array": `{"version":"2.0","headers":[]}`,
	} {
		t.Run(name, func(t *testing.T) {
			_, err := hosting.Invoke(context.Background(), called, slog.New(slog.DiscardHandler), []byte(in))
			if err == nil || !strings.Contains(err.Error(), "payload format 2.0") {
				t.Errorf("got %v, want an error that names the payload format", err)
			}
		})
	}

	bad := event(t, func(e *events.APIGatewayV2HTTPRequest) { e.Body, e.IsBase64Encoded = "***", true })
	if resp := invoke(t, called, slog.New(slog.DiscardHandler), bad); resp.StatusCode != http.StatusBadRequest {
		t.Errorf("a damaged body got %d, want 400", resp.StatusCode)
	}
}

func FuzzLambdaEvent(f *testing.F) {
	files, err := filepath.Glob("testdata/*.json")
	if err != nil || len(files) == 0 {
		f.Fatal("no recorded events", err)
	}
	for _, file := range files {
		f.Add(readEvent(f, filepath.Base(file)))
	}
	f.Add([]byte(`{"version":"2.0","rawPath":"%","requestContext":{"stage":"%","http":{"method":"GET"}},"headers":{"":"\n"}}`))
	f.Add([]byte(`{"version":"2.0","rawPath":"//a/%2f?b#c","requestContext":{"stage":"/","http":{"method":"G T","protocol":"HTTP/9"}}}`))
	f.Add([]byte(`{"version":"2.0","headers":{"x-ms-client-principal":"forged"},"requestContext":{"http":{"method":"GET"},"authorizer":{"jwt":{"claims":{"sub":"1","name":"\u00fc","n":1}}}}}`))
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		if strings.HasPrefix(r.Header.Get("X-Ms-Client-Principal"), "forged") {
			panic("the client's own principal was passed on")
		}
		body, err := io.ReadAll(r.Body)
		if err != nil || int64(len(body)) != r.ContentLength {
			panic(fmt.Sprint("the length is wrong: ", err))
		}
		if !strings.HasPrefix(r.URL.Path, "/") || !strings.HasPrefix(r.RequestURI, "/") {
			panic("the path must begin with a slash")
		}
		_, _ = w.Write(body)
	})
	f.Fuzz(func(t *testing.T, in []byte) {
		out, err := hosting.Invoke(context.Background(), mux, slog.New(slog.DiscardHandler), in)
		if err != nil {
			return
		}
		var resp events.LambdaFunctionURLResponse
		if err := json.Unmarshal(out, &resp); err != nil {
			t.Fatalf("%v in %s", err, out)
		}
		if resp.StatusCode == http.StatusInternalServerError {
			t.Fatalf("the handler panicked for %q", in)
		}
	})
}
