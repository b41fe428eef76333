package app_test

import (
	"encoding/base64"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"example.com/webpubsub/app"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/webapp"
)

// appService imitates App Service authentication in front of an app: it signs
// everybody in as Jürgen, redirects whoever is not signed in to another site, and
// passes the events.
type appService struct {
	app       http.Handler
	elsewhere string      // URL of the identity provider
	expired   atomic.Bool // whether sessions are no longer valid
}

const session = "AppServiceAuthSession"

func (s *appService) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	switch r.URL.Path {
	case "/.auth/login/aad":
		s.expired.Store(false)
		http.SetCookie(w, &http.Cookie{Name: session, Value: "1", Path: "/", HttpOnly: true})
		http.Redirect(w, r, r.URL.Query().Get("post_login_redirect_uri"), http.StatusFound)
		return
	case "/.auth/logout":
		http.SetCookie(w, &http.Cookie{Name: session, Path: "/", MaxAge: -1})
		w.Header().Set("Content-Type", "text/html")
		_, _ = w.Write([]byte("<title>Signed out</title>" + r.URL.Query().Get("post_logout_redirect_uri")))
		return
	case "/expire":
		s.expired.Store(true)
		return
	}
	for name := range r.Header {
		if strings.HasPrefix(name, "X-Ms-Client-Principal") {
			r.Header.Del(name)
		}
	}
	if _, err := r.Cookie(session); err == nil && !s.expired.Load() {
		r.Header.Set("X-MS-CLIENT-PRINCIPAL-ID", "5b6c0e0f-0000-4000-8000-000000000001")
		r.Header.Set("X-MS-CLIENT-PRINCIPAL-IDP", "aad")
		// A header holds ASCII, so the name is in a claim.
		r.Header.Set("X-MS-CLIENT-PRINCIPAL", base64.StdEncoding.EncodeToString([]byte(
			`{"auth_typ":"aad","name_typ":"name","role_typ":"roles","claims":[{"typ":"name","val":"Jürgen"}]}`)))
	} else if r.URL.Path != "/api/events" && !s.expired.Load() {
		http.Redirect(w, r, "/.auth/login/aad?post_login_redirect_uri="+r.URL.Path, http.StatusFound)
		return
	} else if r.URL.Path == "/api/negotiate" {
		http.Redirect(w, r, s.elsewhere, http.StatusFound)
		return
	}
	s.app.ServeHTTP(w, r)
}

// TestBrowserSignIn has a user sign in by the platform, chat under a readable
// name, and sign out; and another whose session expires.
func TestBrowserSignIn(t *testing.T) {
	needBrowser(t)

	provider := httptest.NewServer(http.NotFoundHandler()) // without CORS
	t.Cleanup(provider.Close)
	platform := &appService{elsewhere: provider.URL}
	web := httptest.NewUnstartedServer(platform) // the emulator sends it requests at once
	t.Cleanup(web.Close)
	site := "http://" + web.Listener.Addr().String()
	log := &testlog.Buffer{}
	em := emulator.StartT(t, emulator.Options{
		Logger: log.Logger(),
		Hubs: map[string]emulator.HubSettings{"chat": {EventHandlers: []emulator.EventHandler{{
			URL: site + "/api/events", UserEvents: "*", SystemEvents: []string{"connect", "connected", "disconnected"},
		}}}},
	})
	a, err := app.New(webapp.Config{
		ConnectionString: em.ConnectionString(), TrustPlatformAuth: true, Logger: log.Logger(),
		UserNameKeys: []string{strings.Repeat("k", 32)},
	})
	if err != nil {
		t.Fatal(err)
	}
	platform.app = a.Handler()
	web.Start()

	browse(t, "signin.js", log, "SITE_URL="+site)
}
