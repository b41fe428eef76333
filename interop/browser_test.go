package interop_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"example.com/webpubsub/app"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/test/tcpproxy"
	"example.com/webpubsub/internal/test/testtool"
)

// screenshotsEnv names a folder that gets pictures of the chat; the README's
// come from here: WEBPUBSUB_SCREENSHOTS=docs go test -run Browser ./interop
const screenshotsEnv = "WEBPUBSUB_SCREENSHOTS"

// TestBrowser has two people use the chat page in Chromium, through a proxy
// that cuts their connections.
func TestBrowser(t *testing.T) {
	node := testtool.Need(t, "node")
	chromium := testtool.Browser(t)
	testtool.NPM(t, "browser")

	// The app needs the proxy's address and the proxy the emulator's, which
	// needs the app's: so the app's handler is put in place last.
	chat := http.NewServeMux()
	web := httptest.NewServer(chat)
	t.Cleanup(web.Close)
	b := start(t, map[string]emulator.Hub{"chat": {EventHandlers: []emulator.EventHandler{{
		URL: web.URL + "/api/events", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"},
	}}}})
	proxy := tcpproxy.Start(t, strings.TrimPrefix(b.emulator.URL(), "http://"))
	backstage := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		writeJSON(w, proxy.CutAll())
	}))
	t.Cleanup(backstage.Close)
	cs := connstr.ConnectionString{Endpoint: "http://" + proxy.Addr(), AccessKey: emulator.DefaultAccessKey}
	a, err := app.New(app.Config{ConnectionString: cs.String(), Hub: "chat", AllowUserIDQuery: true, Logger: logger(t)})
	if err != nil {
		t.Fatal(err)
	}
	chat.Handle("/", a.Handler())

	b.env = append(b.env, "PAGE_URL="+web.URL+"/api/index", "CHROMIUM="+chromium, "WEBPUBSUB_BACKSTAGE="+backstage.URL)
	if dir := os.Getenv(screenshotsEnv); dir != "" {
		abs, err := filepath.Abs(filepath.Join("..", dir))
		if err != nil {
			t.Fatal(err)
		}
		b.env = append(b.env, "SCREENSHOTS="+abs)
	}
	b.run(t, "browser", node, "chat.js")
}
