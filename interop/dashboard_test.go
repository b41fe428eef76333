package interop_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/gorilla/websocket"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/service"
	"example.com/webpubsub/tunnel"
)

// screenshotsEnv names a folder of this repository that gets pictures of the dashboard,
// as those of docs: WEBPUBSUB_REQUIRE_TOOLS=1 WEBPUBSUB_SCREENSHOTS=docs go test -run Dashboard ./interop
const screenshotsEnv = "WEBPUBSUB_SCREENSHOTS"

// TestDashboard uses the emulator's page in Chromium.
func TestDashboard(t *testing.T) {
	node := testtool.Need(t, "node")
	chromium := testtool.Browser(t)
	testtool.NPM(t, "browser")
	t.Cleanup(http.DefaultClient.CloseIdleConnections)

	pong := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("WebHook-Allowed-Origin", "*")
		if r.Method == http.MethodPost {
			w.Header().Set("Content-Type", "text/plain")
			_, _ = io.WriteString(w, "pong")
		}
	}))
	t.Cleanup(pong.Close)
	options := emulator.Options{
		Addr: "localhost:0", Control: true, ControlToken: "the-token-of-this-test",
		Hubs: map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{
			{URL: pong.URL, UserEvents: "*"}, {URL: "tunnel:///events", UserEvents: "tunneled"},
		}}},
	}
	srv, err := emulator.Start(options)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = srv.Close() })
	page := srv.DashboardURL()

	cmd := exec.Command(node, "dashboard.js")
	cmd.Dir = "browser"
	cmd.Stderr = t.Output()
	cmd.Env = append(os.Environ(), "DASHBOARD_URL="+page, "CHROMIUM="+chromium)
	if dir := os.Getenv(screenshotsEnv); dir != "" {
		abs, err := filepath.Abs(filepath.Join("..", dir))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "SCREENSHOTS="+abs)
	}
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	for lines := bufio.NewScanner(out); lines.Scan(); {
		switch what := lines.Text(); what {
		case "fill":
			fill(t, srv)
		case "tunnel":
			openTunnel(t, srv)
		case "load":
			load(t, srv)
		case "network":
			want := emulator.NetworkConditions{Jitter: time.Millisecond, Bandwidth: 1_000_000}
			if got := srv.NetworkConditions(); got != want {
				t.Errorf("the network conditions are %+v, want %+v", got, want)
			}
			if err := srv.SetNetworkConditions(emulator.NetworkConditions{}); err != nil {
				t.Error(err)
			}
		case "restart":
			options.Addr = strings.TrimPrefix(srv.URL(), "http://")
			if err := srv.Close(); err != nil {
				t.Error(err)
			}
			if srv, err = emulator.Start(options); err != nil {
				t.Fatal(err)
			}
		default:
			t.Log(what)
			continue
		}
		fmt.Fprintln(in, "done", lines.Text())
	}
	if err := cmd.Wait(); err != nil {
		t.Fatal(err)
	}
}

// fill connects a thousand clients and one with a hostile name.
func fill(t *testing.T, srv *emulator.Server) {
	t.Helper()
	chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	slots := make(chan struct{}, 16)
	for i := range 1001 {
		user := fmt.Sprintf("user-%d", i)
		if i == 1000 {
			user = "<img src=x onerror=alert(1)>"
		}
		slots <- struct{}{}
		wg.Go(func() {
			defer func() { <-slots }()
			token, err := chat.GetClientAccessToken(t.Context(), &service.GetClientAccessTokenOptions{UserID: user, Groups: []string{"lobby"}})
			if err != nil {
				t.Error(err)
				return
			}
			d := websocket.Dialer{Subprotocols: []string{"json.reliable.webpubsub.azure.v1"}}
			ws, _, err := d.Dial(token.URL, nil)
			if err != nil {
				t.Error(err)
				return
			}
			t.Cleanup(func() { _ = ws.Close() })
			go func() {
				for {
					if _, _, err := ws.ReadMessage(); err != nil {
						return
					}
				}
			}()
		})
	}
	wg.Wait()
}

// openTunnel opens a tunnel, which ends when the page closes it.
func openTunnel(t *testing.T, srv *emulator.Server) {
	t.Helper()
	tun, err := tunnel.NewFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan error, 1)
	go func() { done <- tun.Serve(t.Context(), http.NotFoundHandler()) }()
	t.Cleanup(func() {
		if err := <-done; !errors.Is(err, tunnel.ErrClosed) {
			t.Errorf("the tunnel ended with %v", err)
		}
	})
}

// load sends two thousand messages.
func load(t *testing.T, srv *emulator.Server) {
	t.Helper()
	chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	for range 2000 {
		if err := chat.SendToGroup(t.Context(), "none", webpubsub.Text("x"), nil); err != nil {
			t.Fatal(err)
		}
	}
}
