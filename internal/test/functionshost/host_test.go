package functionshost_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"

	"go.uber.org/goleak"

	"example.com/webpubsub/internal/test/functionshost"
)

const asHandler = "FUNCTIONSHOST_TEST_HANDLER=1"

func TestMain(m *testing.M) {
	if os.Getenv("FUNCTIONSHOST_TEST_HANDLER") != "" {
		serve()
	}
	goleak.VerifyTestMain(m)
}

// seen is what the handler saw of a request.
type seen struct {
	URI, Host, Body string
	Header          http.Header
}

// serve is the custom handler under the host.
func serve() {
	var calls atomic.Int32
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		_ = json.NewEncoder(w).Encode(seen{r.RequestURI, r.Host, string(body), r.Header})
	})
	mux.HandleFunc("/api/index/drop", func(http.ResponseWriter, *http.Request) {
		calls.Add(1)
		panic(http.ErrAbortHandler)
	})
	mux.HandleFunc("/api/index/exit", func(http.ResponseWriter, *http.Request) { os.Exit(1) })
	mux.HandleFunc("/api/index/calls", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, calls.Load()) })
	mux.HandleFunc("/api/index/status/{status}", func(w http.ResponseWriter, r *http.Request) {
		status, _ := strconv.Atoi(r.PathValue("status"))
		w.WriteHeader(status)
	})
	mux.HandleFunc("/api/index/name", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Name", "Jürgen") })
	mux.HandleFunc("/api/index/log", func(http.ResponseWriter, *http.Request) {
		fmt.Println("ERROR on standard output")
		fmt.Fprintln(os.Stderr, `{"level":"WARN"}`)
		fmt.Fprintln(os.Stderr, `{"level":"ERROR"}`)
	})
	fmt.Fprintln(os.Stderr, http.ListenAndServe("127.0.0.1:"+os.Getenv("FUNCTIONS_CUSTOMHANDLER_PORT"), mux))
	os.Exit(1)
}

const (
	flags  = `"enableProxyingHttpRequest": true, "enableForwardingHttpRequest": true`
	routes = `"http": {"defaultAuthorizationLevel": "anonymous", "routes": [{"route": "index/{*rest}"}]}`
)

// newRoot returns an app whose handler is this program. What it declares is the
// text in customHandler.
func newRoot(t *testing.T, customHandler string, functions ...string) string {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{
		"host.json": `{"version": "2.0", "customHandler": {"description": {"defaultExecutablePath": "handler"}, ` + customHandler + `}}`,
	}
	for _, name := range functions {
		files[name+"/function.json"] = functionshost.FunctionJSON(name + "/{*rest}")
	}
	return functionshost.NewRoot(t, files, "handler", self)
}

// bothHosts runs the test with a current host and with an older one. The same
// package, with function.json files and both flags, runs on both.
func bothHosts(t *testing.T, test func(t *testing.T, host *functionshost.Host)) {
	for _, older := range []bool{false, true} {
		t.Run(map[bool]string{false: "proxying", true: "forwarding"}[older], func(t *testing.T) {
			host := functionshost.Start(t, functionshost.Options{Root: newRoot(t, flags, "index"), Settings: []string{asHandler}, Older: older})
			if host.Forwarding() != older {
				t.Fatalf("forwarding is %v", host.Forwarding())
			}
			test(t, host)
		})
	}
}

func send(t *testing.T, method, url string, body io.Reader, header ...string) (*http.Response, string) {
	t.Helper()
	r, err := http.NewRequest(method, url, body)
	if err != nil {
		t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		r.Header.Add(header[i], header[i+1])
	}
	return functionshost.Do(t, r)
}

// What the real host changes on the way to the handler.
func TestRequest(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		const path = "/api/index/a%2Fb?e=1&e=2&f=a+b&g=x;y&h=50%"
		_, body := send(t, http.MethodPost, host.URL()+path, strings.NewReader("hello"),
			"X-List", "1", "X-List", "2", "Content-Encoding", "identity", "User-Agent", "", "X-Forwarded-For", "192.0.2.1")
		var got seen
		if err := json.Unmarshal([]byte(body), &got); err != nil {
			t.Fatal(err)
		}
		public := strings.TrimPrefix(host.URL(), "http://")
		want := map[string]string{"X-List": "1, 2", "User-Agent": "", "X-Forwarded-Host": public, "X-Forwarded-For": "127.0.0.1", "Content-Encoding": "identity"}
		uri := "/api/index/a%252Fb?e=1&e=2&f=a+b&g=x;y&h=50%"
		if host.Forwarding() {
			want = map[string]string{"X-List": "1, 2", "User-Agent": "Azure-Functions-Host/4.1037.0.0", "X-Forwarded-Host": "", "X-Forwarded-For": "192.0.2.1", "Content-Encoding": ""}
			uri = "/api/index/a%2Fb?e=1,2&f=a%20b&g=x%3By&h=50%25"
		}
		if got.Body != "hello" || got.URI != uri {
			t.Errorf("got %s %q, want %s", got.URI, got.Body, uri)
		}
		if (got.Host == public) != host.Forwarding() {
			t.Errorf("got the host %s", got.Host)
		}
		for name, want := range want {
			if got.Header.Get(name) != want {
				t.Errorf("%s is %q, want %q", name, got.Header.Get(name), want)
			}
		}
		if (got.Header.Get("X-Ms-Invocation-Id") == "") != host.Forwarding() || len(got.Header.Get("X-Azure-Functions-Invocationid")) != 36 || got.Header.Get("X-Azure-Functions-Hostversion") == "" {
			t.Errorf("got the header %v", got.Header)
		}
		// A chunked body does not reach the handler of an older host.
		resp, _ := send(t, http.MethodPost, host.URL()+"/api/index/x", io.MultiReader(strings.NewReader("hello")))
		if (resp.StatusCode == http.StatusInternalServerError) != host.Forwarding() {
			t.Errorf("a chunked body got %d", resp.StatusCode)
		}
	})
}

// A handler that drops the connection is called again and again.
func TestDroppedConnection(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		calls := 0
		for _, tt := range []struct {
			method, body     string
			proxied, forward int
		}{
			{http.MethodGet, "", 40, 4},
			{http.MethodPost, "", 10, 1},
			{http.MethodPost, "hello", 1, 1},
		} {
			resp, _ := send(t, tt.method, host.URL()+"/api/index/drop", strings.NewReader(tt.body))
			if resp.StatusCode != http.StatusInternalServerError {
				t.Errorf("%s %q got %d, want 500", tt.method, tt.body, resp.StatusCode)
			}
			_, total := send(t, http.MethodGet, host.URL()+"/api/index/calls", nil)
			want := tt.proxied
			if host.Forwarding() {
				want = tt.forward
			}
			if n, _ := strconv.Atoi(total); n-calls != want {
				t.Errorf("%s %q called the handler %d times, want %d", tt.method, tt.body, n-calls, want)
			}
			calls, _ = strconv.Atoi(total)
		}
	})
}

// A GET that ends the process is replayed into each new one.
func TestCrashLoop(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		first := host.Process()
		resp, _ := send(t, http.MethodGet, host.URL()+"/api/index/exit", nil)
		if resp.StatusCode != http.StatusInternalServerError {
			t.Errorf("got %d, want 500", resp.StatusCode)
		}
		if host.Forwarding() {
			if !host.Restarted(first) || host.Down() {
				t.Error("one exit must start the handler again")
			}
			return
		}
		if !host.Down() {
			t.Error("one GET was not three exits")
		}
		if resp, body := send(t, http.MethodGet, host.URL()+"/api/index/x", nil); resp.StatusCode != http.StatusServiceUnavailable || body != "Function host is not running." {
			t.Errorf("after that a request got %d %s", resp.StatusCode, body)
		}
	})
}

// Headers must be ASCII, in both directions.
func TestHeadersAreASCII(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		if resp, body := send(t, http.MethodGet, host.URL()+"/api/index/x", nil, "ce-userId", "Jürgen"); resp.StatusCode != http.StatusInternalServerError || body != "" {
			t.Errorf("a request got %d %s, want 500 from the host", resp.StatusCode, body)
		}
		if resp, _ := send(t, http.MethodGet, host.URL()+"/api/index/name", nil); resp.StatusCode != http.StatusInternalServerError {
			t.Errorf("a response got %d, want 500", resp.StatusCode)
		}
	})
}

// A response without a body breaks the connection to an older host: half of a
// hundred requests over one connection failed.
func TestResponseWithoutBody(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		for _, status := range []int{http.StatusNoContent, http.StatusResetContent, http.StatusNotModified, http.StatusOK} {
			conn, err := net.Dial("tcp", strings.TrimPrefix(host.URL(), "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			fmt.Fprintf(conn, "GET /api/index/status/%d HTTP/1.1\r\nHost: h\r\n\r\n", status)
			r := bufio.NewReader(conn)
			resp, err := http.ReadResponse(r, nil)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := io.Copy(io.Discard, resp.Body); err != nil || resp.StatusCode != status || resp.Close {
				t.Errorf("got %d, close %v, %v; want %d on a connection that is kept", resp.StatusCode, resp.Close, err, status)
			}
			fmt.Fprint(conn, "GET /api/index/x HTTP/1.1\r\nHost: h\r\n\r\n")
			_, err = http.ReadResponse(r, nil)
			if want := host.Forwarding() && status != http.StatusOK; (err != nil) != want {
				t.Errorf("after %d the next request got %v", status, err)
			}
		}
	})
}

func TestLogLevels(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		send(t, http.MethodGet, host.URL()+"/api/index/log", nil)
		host.Stop()
		log := host.Log()
		want := functionshost.Log{Information: []string{"ERROR on standard output"}, Warning: []string{`{"level":"WARN"}`}, Error: []string{`{"level":"ERROR"}`}}
		if !slices.Equal(log.Information, want.Information) || !slices.Equal(log.Warning, want.Warning) || !slices.Equal(log.Error, want.Error) {
			t.Errorf("got %+v, want %+v", log, want)
		}
	})
}

// What the host does with an app that it cannot run, for all requests.
func TestFaults(t *testing.T) {
	notExecutable := newRoot(t, flags, "index")
	if err := os.Remove(filepath.Join(notExecutable, "handler")); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(notExecutable, "handler"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, tt := range []struct {
		name, root string
		older      bool
		status     int
		body, log  string
	}{
		{"routes and function.json", newRoot(t, flags+", "+routes, "index"), false, 503, "Function host is not running.", "Detected both"},
		{"routes on an older host", newRoot(t, flags+", "+routes), true, 404, "", "No job functions found"},
		{"no flag", newRoot(t, routes), false, 500, "", "neither"},
		{"not executable", notExecutable, false, 500, "", "Permission denied"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := functionshost.Start(t, functionshost.Options{Root: tt.root, Older: tt.older, Faulty: true})
			resp, body := send(t, http.MethodGet, host.URL()+"/api/index/x", nil)
			if log := strings.Join(host.Log().Error, "\n"); resp.StatusCode != tt.status || body != tt.body || !strings.Contains(log, tt.log) {
				t.Errorf("got %d %q, log %s", resp.StatusCode, body, log)
			}
		})
	}
}
