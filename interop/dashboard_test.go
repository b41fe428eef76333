package interop_test

import (
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/gorilla/websocket"

	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/service"
)

// screenshotsEnv names a folder that gets pictures of the dashboard; the README's
// come from here: WEBPUBSUB_SCREENSHOTS=docs go test -run Dashboard ./interop
const screenshotsEnv = "WEBPUBSUB_SCREENSHOTS"

// TestDashboard uses the emulator's dashboard in Chromium.
func TestDashboard(t *testing.T) {
	node := testtool.Need(t, "node")
	chromium := testtool.Browser(t)
	testtool.NPM(t, "browser")
	srv := emulator.StartT(t, emulator.Options{Control: true})
	chat, err := service.NewClientFromConnectionString(srv.ConnectionString(), "chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(http.DefaultClient.CloseIdleConnections)
	for _, user := range []string{"alice", "bob"} {
		token, err := chat.GetClientAccessToken(t.Context(), &service.GetClientAccessTokenOptions{UserID: user, Groups: []string{"lobby"}})
		if err != nil {
			t.Fatal(err)
		}
		d := websocket.Dialer{Subprotocols: []string{"json.reliable.webpubsub.azure.v1"}}
		ws, _, err := d.Dial(token.URL, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { _ = ws.Close() })
		go func() { // a close by the server is answered by whoever reads
			for {
				if _, _, err := ws.ReadMessage(); err != nil {
					return
				}
			}
		}()
	}
	cmd := exec.Command(node, "dashboard.js")
	cmd.Dir = "browser"
	cmd.Env = append(os.Environ(), "DASHBOARD_URL="+srv.DashboardURL(), "CHROMIUM="+chromium)
	if dir := os.Getenv(screenshotsEnv); dir != "" {
		abs, err := filepath.Abs(filepath.Join("..", dir))
		if err != nil {
			t.Fatal(err)
		}
		cmd.Env = append(cmd.Env, "SCREENSHOTS="+abs)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
