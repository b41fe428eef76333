package hosting_test

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"example.com/webpubsub/hosting"
	"example.com/webpubsub/internal/test/childprocess"
	"example.com/webpubsub/internal/test/functionshost"
)

// seen is what the program under test saw of a request.
type seen struct {
	Method, URI, Host, Invocation, Body string
	Length                              int64
	Header                              http.Header
}

// program is the program under test: it responds with what it saw.
func program(log *slog.Logger) (http.Handler, error) {
	if os.Getenv("GREETING") == "" {
		return nil, errors.New("GREETING is not set: set it to any text")
	}
	mux := http.NewServeMux()
	mux.HandleFunc("/api/", func(w http.ResponseWriter, r *http.Request) {
		log.InfoContext(r.Context(), "handled", "path", r.URL.Path)
		body, err := io.ReadAll(r.Body)
		if err != nil {
			panic(err)
		}
		w.Header().Set("Content-Type", "application/json")
		http.SetCookie(w, &http.Cookie{Name: "a", Value: "1"})
		http.SetCookie(w, &http.Cookie{Name: "b", Value: "2"})
		_ = json.NewEncoder(w).Encode(seen{
			r.Method, r.RequestURI, r.Host, hosting.InvocationID(r.Context()), string(body), r.ContentLength, r.Header,
		})
	})
	mux.HandleFunc("/api/index/panic", func(w http.ResponseWriter, r *http.Request) {
		log.InfoContext(r.Context(), "about to panic")
		w.Header().Set("Set-Cookie", "half=done")
		if r.URL.Query().Has("begun") {
			_, _ = io.WriteString(w, "half of the response")
		}
		if r.URL.Query().Has("abort") {
			panic(http.ErrAbortHandler)
		}
		panic("out of cheese")
	})
	mux.HandleFunc("/api/index/status/{status}", func(w http.ResponseWriter, r *http.Request) {
		status, err := strconv.Atoi(r.PathValue("status"))
		if err != nil {
			panic(err)
		}
		w.WriteHeader(status)
	})
	mux.HandleFunc("/api/index/page", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Etag", `"1"`)
		http.ServeContent(w, r, "page.txt", time.Time{}, strings.NewReader("the page"))
	})
	mux.HandleFunc("/api/index/name", func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("X-Name", "Jürgen 100%") })
	mux.HandleFunc("/api/index/log", func(_ http.ResponseWriter, r *http.Request) {
		log.InfoContext(r.Context(), "an info")
		log.WarnContext(r.Context(), "a warn")
		log.ErrorContext(r.Context(), "an error")
	})
	mux.HandleFunc("/api/index/exit/{code}", func(_ http.ResponseWriter, r *http.Request) {
		code, err := strconv.Atoi(r.PathValue("code"))
		if err != nil {
			panic(err)
		}
		os.Exit(code)
	})
	mux.HandleFunc("/api/index/binary", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte("\x00\x01\xfe\xff"))
	})
	var meeting sync.WaitGroup
	meeting.Add(meetingSize)
	mux.HandleFunc("/api/index/meet", func(w http.ResponseWriter, r *http.Request) {
		meeting.Done()
		meeting.Wait()
		w.Header().Set("Content-Type", "application/json")
		_ = json.NewEncoder(w).Encode(seen{Invocation: hosting.InvocationID(r.Context())})
	})
	mux.HandleFunc("/api/index/stuck", func(http.ResponseWriter, *http.Request) { select {} })
	mux.HandleFunc("/api/index/hang", func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(http.StatusOK)
		_ = http.NewResponseController(w).Flush()
		<-r.Context().Done()
	})
	return mux, nil
}

// meetingSize is the number of requests that wait for each other.
const meetingSize = 4

const asProgram = "HOSTING_TEST_PROGRAM=1"

// appRoot returns a folder with the program for hosts of both kinds: it has
// function.json files and both flags.
func appRoot(t *testing.T) string {
	t.Helper()
	if runtime.GOOS == "windows" {
		t.Skip("the executable of host.json has no .exe")
	}
	files := map[string]string{"host.json": `{"version": "2.0", "customHandler": {
		"description": {"defaultExecutablePath": "bin/functions"},
		"enableProxyingHttpRequest": true, "enableForwardingHttpRequest": true}}`}
	for _, name := range []string{"events", "index"} {
		files[name+"/function.json"] = functionshost.FunctionJSON(name + "/{*rest}")
	}
	return functionshost.NewRoot(t, files, "bin/functions", self(t))
}

// bothHosts runs the test under a current host, which proxies requests, and under
// an older one, which forwards them.
func bothHosts(t *testing.T, test func(t *testing.T, host *functionshost.Host), settings ...string) {
	root := appRoot(t)
	for _, older := range []bool{false, true} {
		t.Run(map[bool]string{false: "proxying", true: "forwarding"}[older], func(t *testing.T) {
			test(t, functionshost.Start(t, functionshost.Options{
				Root:           root,
				Settings:       append([]string{asProgram}, settings...),
				AllowedOrigins: []string{"https://www.example.com"},
				Older:          older,
			}))
		})
	}
}

const configured = "GREETING=hello"

func self(t *testing.T) string {
	t.Helper()
	path, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	return path
}

// do sends a request and decodes what the program saw of it.
func do(t *testing.T, r *http.Request, err error) (*http.Response, seen) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
	resp, body := functionshost.Do(t, r)
	var s seen
	if resp.Header.Get("Content-Type") == "application/json" {
		if err := json.Unmarshal([]byte(body), &s); err != nil {
			t.Fatalf("%v in %s", err, body)
		}
	}
	return resp, s
}

func TestOnFunctions(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		r, err := http.NewRequest(http.MethodPost, host.URL()+"/api/events?code=a%2Bb&x=1&x=2", strings.NewReader("hello"))
		resp, got := do(t, r, err)
		if resp.StatusCode != http.StatusOK || got.Method != http.MethodPost || got.Body != "hello" || got.Length != 5 {
			t.Errorf("got status %d for %+v, want the request as it was sent", resp.StatusCode, got)
		}
		if cookies := resp.Header.Values("Set-Cookie"); len(cookies) != 2 {
			t.Errorf("got the cookies %q, want two", cookies)
		}
		if len(got.Invocation) != 36 || got.Invocation != got.Header.Get("X-Azure-Functions-Invocationid") {
			t.Errorf("got the invocation ID %q, want the host's", got.Invocation)
		}
		host.WaitForLog(t, fmt.Sprintf(`"msg":"handled","invocationId":"%s","path":"/api/events"`, got.Invocation))
		want := struct{ uri, host string }{"/api/events?code=a%2Bb&x=1&x=2", strings.TrimPrefix(host.URL(), "http://")}
		if host.Forwarding() {
			want.uri = "/api/events?code=a%2Bb&x=1,2"
		} else if got.Host == want.host || got.Header.Get("X-Forwarded-Host") != want.host {
			t.Errorf("got host %q with X-Forwarded-Host %q, want the public host in the second alone", got.Host, got.Header.Get("X-Forwarded-Host"))
		}
		if host.Forwarding() && got.Host != want.host {
			t.Errorf("got host %q, want %q", got.Host, want.host)
		}
		if got.URI != want.uri {
			t.Errorf("got %s, want %s", got.URI, want.uri)
		}

		// Web PubSub's preflight has no Origin: the host lets it pass.
		r, err = http.NewRequest(http.MethodOptions, host.URL()+"/api/events/validate", nil)
		r.Header.Set("WebHook-Request-Origin", "demo.webpubsub.azure.com")
		if _, got := do(t, r, err); got.Method != http.MethodOptions {
			t.Errorf("the service's preflight did not arrive: %+v", got)
		}
		// A browser's has one: the host responds to it.
		r.Header.Set("Origin", "https://www.example.com")
		r.Header.Set("Access-Control-Request-Method", "POST")
		if resp, got := do(t, r, err); resp.StatusCode != http.StatusNoContent || got.Method != "" {
			t.Errorf("the browser's preflight got %d and arrived as %+v, want 204 from the host", resp.StatusCode, got)
		}

		r, err = http.NewRequest(http.MethodGet, host.URL()+"/api/other", nil)
		if resp, _ := do(t, r, err); resp.StatusCode != http.StatusNotFound {
			t.Errorf("an undeclared route got %d, want 404", resp.StatusCode)
		}
		host.Stop() // all that it wrote is there then
		if host.Stderr() != "" {
			t.Errorf("standard error has %q; each line there is an error to the host", host.Stderr())
		}
	}, configured)
}

// A response without a body broke the client's connection if the host
// forwards: of 100 disconnected events, whose response is 204, half were lost. If it
// proxies, the status passes.
func TestEmptyResponses(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		conn, err := net.Dial("tcp", strings.TrimPrefix(host.URL(), "http://"))
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		answers := bufio.NewReader(conn)
		for _, tt := range []struct {
			path, header     string
			proxied, forward int
			body             string // while forwarding
		}{
			{"/api/index/status/204", "", 204, 200, ""},
			{"/api/index/status/205", "", 205, 200, ""},
			{"/api/index/status/304", "", 304, 200, ""},
			{"/api/index/page", "If-None-Match: \"1\"\r\n", 304, 200, "the page"},
			{"/api/index/page", "", 200, 200, "the page"},
			{"/api/index/status/401", "", 401, 401, ""},
		} {
			fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: h\r\n%s\r\n", tt.path, tt.header)
			resp, err := http.ReadResponse(answers, nil)
			if err != nil {
				t.Fatalf("%s: %v", tt.path, err)
			}
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			want := tt.proxied
			if host.Forwarding() {
				want = tt.forward
			}
			if resp.StatusCode != want || host.Forwarding() && string(body) != tt.body {
				t.Errorf("%s got %d %q, want %d %q", tt.path, resp.StatusCode, body, want, tt.body)
			}
		}
	}, configured)
}

// The host repeats a request whose connection is dropped: a panic ran the handler
// 40 times for one GET.
func TestPanicIsNotRepeated(t *testing.T) {
	for _, tt := range []struct {
		query  string
		status int // 0 for a response that breaks off
		logged int
	}{
		{"", 500, 1},
		{"?abort=", 500, 0},
		{"?begun=", 0, 1},
		{"?begun=&abort=", 0, 0},
	} {
		t.Run(tt.query, func(t *testing.T) {
			bothHosts(t, func(t *testing.T, host *functionshost.Host) {
				resp, err := http.Get(host.URL() + "/api/index/panic" + tt.query)
				if err != nil {
					t.Fatal(err)
				}
				_, err = io.ReadAll(resp.Body)
				resp.Body.Close()
				switch {
				case tt.status != 0 && (resp.StatusCode != tt.status || err != nil || resp.Header.Get("Set-Cookie") != ""):
					t.Errorf("got %d with %v, %v; want %d and no header of the handler", resp.StatusCode, resp.Header, err, tt.status)
				case tt.status == 0 && err == nil && resp.StatusCode != http.StatusInternalServerError:
					t.Errorf("got %d and a complete body", resp.StatusCode)
				}
				host.Stop() // all that it wrote is there then
				log := host.Stdout() + host.Stderr()
				if n := strings.Count(log, "about to panic"); n != 1 {
					t.Errorf("the handler was called %d times", n)
				}
				if n := strings.Count(log, "out of cheese"); n != tt.logged {
					t.Errorf("the panic was logged %d times, want %d: %s", n, tt.logged, log)
				}
			}, configured)
		})
	}
}

// The host responds with 500 in place of a handler whose header is not ASCII.
func TestResponseHeadersAreASCII(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		r, err := http.NewRequest(http.MethodGet, host.URL()+"/api/index/name", nil)
		if resp, _ := do(t, r, err); resp.StatusCode != http.StatusOK || resp.Header.Get("X-Name") != "J%C3%BCrgen 100%" {
			t.Errorf("got %d, X-Name %q", resp.StatusCode, resp.Header.Get("X-Name"))
		}
	}, configured)
}

func TestLogLevelsOnFunctions(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		r, err := http.NewRequest(http.MethodGet, host.URL()+"/api/index/log", nil)
		do(t, r, err)
		host.Stop() // all that it wrote is there then
		log := host.Log()
		for level, tt := range map[string]struct {
			lines []string
			want  string
		}{"Information": {log.Information, "an info"}, "Warning": {log.Warning, "a warn"}, "Error": {log.Error, "an error"}} {
			if n := strings.Count(strings.Join(tt.lines, ""), tt.want); n != 1 {
				t.Errorf("%s has %q %d times: %q", level, tt.want, n, tt.lines)
			}
		}
	}, configured)
}

func TestNotConfigured(t *testing.T) {
	bothHosts(t, func(t *testing.T, host *functionshost.Host) {
		for range 100 {
			r, err := http.NewRequest(http.MethodGet, host.URL()+"/api/events", nil)
			if resp, _ := do(t, r, err); resp.StatusCode != http.StatusServiceUnavailable {
				t.Errorf("got %d, want 503", resp.StatusCode)
			}
		}
		select {
		case <-host.Process().Done():
			t.Error("the process ended: the host would restart it in a loop")
		default:
		}
		host.Stop() // all that it wrote is there then
		// An Error for each request filled the log of an app that was under load.
		if n := strings.Count(strings.Join(host.Log().Error, "\n"), "GREETING is not set"); n < 2 || n > 30 {
			t.Errorf("the log names the setting %d times as an error, want at the start and for a few of 100 requests", n)
		}
	})
}

// What becomes of a handler that ends. A new process gets the same port, and must
// find nothing that the old one left behind: the host kills without a warning.
func TestRestart(t *testing.T) {
	crash := func(code int) func(*testing.T, *functionshost.Host) {
		return func(t *testing.T, host *functionshost.Host) {
			// With a body, so that the host does not send it again.
			r, err := http.NewRequest(http.MethodPost, fmt.Sprintf("%s/api/index/exit/%d", host.URL(), code), strings.NewReader("x"))
			if resp, _ := do(t, r, err); resp.StatusCode != http.StatusInternalServerError {
				t.Errorf("a request during which the handler exited got %d, want the host's 500", resp.StatusCode)
			}
		}
	}
	signal := func(s os.Signal) func(*testing.T, *functionshost.Host) {
		return func(t *testing.T, host *functionshost.Host) { host.Process().Signal(t, s) }
	}
	for _, tt := range []struct {
		name  string
		end   func(*testing.T, *functionshost.Host)
		lives []bool // after each end
	}{
		{"error", crash(1), []bool{true, true, false}}, // the host gives up
		{"killed", signal(os.Kill), []bool{true, true, false}},
		{"restart", crash(200), []bool{true, true, true, true}},
		{"status 0", crash(0), []bool{false}}, // why Main does not end so
		{"SIGTERM", signal(syscall.SIGTERM), []bool{true, true, true, true}},
		{"SIGINT", signal(os.Interrupt), []bool{true}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			host := functionshost.Start(t, functionshost.Options{Root: appRoot(t), Settings: []string{asProgram, configured}})
			for i, lives := range tt.lives {
				process := host.Process()
				address := listening(t, process)
				tt.end(t, host)
				if host.Restarted(process) != lives {
					t.Fatalf("after end %d the handler runs is %v, want %v", i+1, !lives, lives)
				}
				if lives {
					if now := listening(t, host.Process()); now != address {
						t.Errorf("the new process listens on %s, the old one on %s", now, address)
					}
				}
				r, err := http.NewRequest(http.MethodGet, host.URL()+"/api/events", nil)
				if resp, _ := do(t, r, err); (resp.StatusCode == http.StatusOK) != lives || resp.StatusCode < 500 && !lives {
					t.Errorf("after end %d a request got %d", i+1, resp.StatusCode)
				}
			}
		})
	}
}

// listening returns the address that the process has logged.
func listening(t *testing.T, p *childprocess.Process) string {
	t.Helper()
	p.WaitForLog(t, `"msg":"listening"`)
	for line := range strings.Lines(p.Stdout()) {
		var entry struct{ Msg, Address string }
		if err := json.Unmarshal([]byte(line), &entry); err == nil && entry.Msg == "listening" {
			return entry.Address
		}
	}
	t.Fatalf("no address in %s", p.Stdout())
	return ""
}

func TestExitCodes(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	_, port, _ := net.SplitHostPort(taken.Addr().String())
	p := childprocess.Start(t, self(t), t.TempDir(), asProgram, configured, "FUNCTIONS_CUSTOMHANDLER_PORT="+port)
	<-p.Done()
	if p.ExitCode() != 1 || !strings.Contains(p.Stderr(), "address already in use") {
		t.Errorf("a taken port ended with code %d and %q, want 1 and the reason", p.ExitCode(), p.Stderr())
	}

	for _, s := range []os.Signal{os.Interrupt, syscall.SIGTERM} {
		p := childprocess.Start(t, self(t), t.TempDir(), asProgram, configured, "PORT="+functionshost.FreePort(t))
		p.WaitForLog(t, "listening")
		p.Signal(t, s)
		<-p.Done()
		if p.ExitCode() != 0 || p.Stderr() != "" {
			t.Errorf("%v ended with code %d and %q, want 0", s, p.ExitCode(), p.Stderr())
		}
	}
}

func TestSecondSignalEndsAtOnce(t *testing.T) {
	port := functionshost.FreePort(t)
	p := childprocess.Start(t, self(t), t.TempDir(), asProgram, configured, "PORT="+port)
	p.WaitForLog(t, "listening")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	resp, err := client.Get("http://127.0.0.1:" + port + "/api/index/hang")
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()

	p.Signal(t, os.Interrupt)
	p.WaitForLog(t, "shutting down") // and waits for the request
	p.Signal(t, os.Interrupt)
	<-p.Done()
	if p.ExitCode() != -1 {
		t.Errorf("ended with code %d, want by the second signal", p.ExitCode())
	}
}
