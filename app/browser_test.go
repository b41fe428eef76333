package app_test

import (
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/app"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/test/tcpproxy"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/webapp"
)

// screenshotsEnv names a folder that gets pictures of the chat; those of docs
// come from here: WEBPUBSUB_REQUIRE_TOOLS=1 WEBPUBSUB_SCREENSHOTS=docs go test -run Browser ./app
const screenshotsEnv = "WEBPUBSUB_SCREENSHOTS"

// lan is a host name that the browser finds on this machine. To the browser it
// is another machine, so that the page is not in a secure context.
const lan = "chat.test"

// TestBrowser has two people use the chat page in Chromium, through a proxy
// that cuts their connections. The second opens it over plain http from another
// host name, as a phone on the same network does.
func TestBrowser(t *testing.T) {
	needBrowser(t)

	// The app needs the proxy's address and the proxy the emulator's, which
	// needs the app's: so the app's handler is put in place last.
	chat := http.NewServeMux()
	web := httptest.NewServer(chat)
	t.Cleanup(web.Close)
	fromLAN := strings.Replace(web.URL, "127.0.0.1", lan, 1)
	log := &testlog.Buffer{}
	em := emulator.StartT(t, emulator.Options{
		AllowOrigins: []string{fromLAN},
		Logger:       log.Logger(),
		Hubs: map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{{
			URL: web.URL + "/api/events", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"},
		}}}},
	})
	proxy := tcpproxy.Start(t, strings.TrimPrefix(em.URL(), "http://"))
	cut := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { proxy.CutAll() }))
	t.Cleanup(cut.Close)
	cs := connstr.ConnectionString{Endpoint: "http://" + proxy.Addr(), AccessKey: emulator.DefaultAccessKey}
	a, err := app.New(webapp.Config{ConnectionString: cs.String(), AllowUserIDQuery: true, Logger: log.Logger()})
	if err != nil {
		t.Fatal(err)
	}
	chat.Handle("/", a.Handler())
	announce := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := a.Service.SendToGroup(r.Context(), "room.general", webpubsub.Text("Maintenance at noon <b>"), nil); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
		}
	}))
	t.Cleanup(announce.Close)

	browse(t, "chat.js", log, "PAGE_URL="+web.URL+"/api/index", "LAN_PAGE_URL="+fromLAN+"/api/index", "CUT_URL="+cut.URL, "ANNOUNCE_URL="+announce.URL)
}

// needBrowser skips a test that needs a browser where there is none.
func needBrowser(t *testing.T) {
	t.Helper()
	testtool.Need(t, "node")
	testtool.Browser(t)
	testtool.NPM(t, filepath.Join("testdata", "browser"))
}

// browse runs a script that uses a browser.
func browse(t *testing.T, script string, log *testlog.Buffer, settings ...string) {
	t.Helper()
	cmd := exec.Command(testtool.Need(t, "node"), script)
	cmd.Dir = filepath.Join("testdata", "browser")
	cmd.Env = append(append(os.Environ(), settings...), "CHROMIUM="+testtool.Browser(t))
	if dir := os.Getenv(screenshotsEnv); dir != "" {
		if !filepath.IsAbs(dir) {
			dir = filepath.Join("..", "..", "..", dir) // it is seen from the root of the repository
		}
		cmd.Env = append(cmd.Env, "SCREENSHOTS="+dir)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s\n%s", err, out, log)
	}
}
