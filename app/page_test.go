package app_test

import (
	"net/http"
	"net/http/httptest"
	"os/exec"
	"regexp"
	"strings"
	"testing"

	"example.com/webpubsub/app"
	"example.com/webpubsub/internal/test/testtool"
)

func get(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func TestPage(t *testing.T) {
	a, err := app.New(app.Config{ConnectionString: someConnection})
	if err != nil {
		t.Fatal(err)
	}
	h := a.Handler()
	for path, contentType := range map[string]string{
		"/api/index":           "text/html; charset=utf-8",
		"/api/index/chat.css":  "text/css; charset=utf-8",
		"/api/index/chat.js":   "text/javascript; charset=utf-8",
		"/api/index/client.js": "text/javascript; charset=utf-8",
		"/api/index/view.js":   "text/javascript; charset=utf-8",
		"/api/index/icon.svg":  "image/svg+xml",
	} {
		w := get(h, "GET", path)
		if w.Code != 200 || w.Header().Get("Content-Type") != contentType || w.Body.Len() == 0 {
			t.Errorf("%s: %d %v", path, w.Code, w.Header())
		}
		policy := w.Header().Get("Content-Security-Policy")
		for _, want := range []string{
			"default-src 'none'", "script-src 'self';", "style-src 'self';",
			"connect-src 'self' wss://contoso.webpubsub.azure.com;", "frame-ancestors 'none'", "require-trusted-types-for 'script'",
		} {
			if !strings.Contains(policy, want) {
				t.Errorf("%s: policy %q lacks %q", path, policy, want)
			}
		}
		if strings.Contains(policy, "unsafe") {
			t.Errorf("%s: policy %q", path, policy)
		}
		if w.Header().Get("X-Content-Type-Options") != "nosniff" || w.Header().Get("Referrer-Policy") != "no-referrer" {
			t.Errorf("%s: %v", path, w.Header())
		}
		if strings.Contains(w.Body.String(), "verysecret") || strings.Contains(w.Body.String(), "AccessKey") {
			t.Errorf("%s shows a secret", path)
		}

		etag := w.Header().Get("Etag")
		if again := get(h, "GET", path, "If-None-Match", etag); etag == "" || again.Code != http.StatusNotModified {
			t.Errorf("%s: etag %s, then %d", path, etag, again.Code)
		}
		if head := get(h, "HEAD", path); head.Code != 200 || head.Body.Len() != 0 {
			t.Errorf("HEAD %s: %d", path, head.Code)
		}
		if post := get(h, "POST", path); post.Code != http.StatusMethodNotAllowed || post.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("POST %s: %d %v", path, post.Code, post.Header())
		}
	}
	for _, path := range []string{"/api/index/nothing.js", "/api/index/app.go", "/api/index/..%2fdoc.go", "/api/nothing"} {
		if w := get(h, "GET", path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	// The page's relative links would not hold below a slash.
	if w := get(h, "GET", "/api/index/?name=a"); w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != "../index?name=a" {
		t.Errorf("slash: %d %v", w.Code, w.Header())
	}
}

// The policy allows nothing inline and nothing from elsewhere, so a page that
// used either would be broken in the browser only.
func TestPageKeepsItsPolicy(t *testing.T) {
	a, err := app.New(app.Config{ConnectionString: someConnection})
	if err != nil {
		t.Fatal(err)
	}
	page := get(a.Page(), "GET", "/api/index").Body.String()
	for what, pattern := range map[string]string{
		"inline script":       `<script(?:\s[^>]*)?>\s*[^\s<]`,
		"inline style":        `<style|\sstyle=`,
		"inline handler":      `\son[a-z]+=`,
		"another site":        `(?:src|href)="(?:https?:)?//`,
		"an unfilled setting": `\{\{`,
	} {
		if found := regexp.MustCompile(pattern).FindString(page); found != "" {
			t.Errorf("%s: %s", what, found)
		}
	}
	for _, script := range []string{"chat.js", "view.js", "client.js"} {
		text := get(a.Page(), "GET", "/api/index/"+script).Body.String()
		if found := regexp.MustCompile(`innerHTML|outerHTML|insertAdjacentHTML|document\.write|\beval\(`).FindString(text); found != "" {
			t.Errorf("%s uses %s: texts go in by textContent", script, found)
		}
	}
}

// A phone on the same network opens the page over plain http, which is no secure
// context: there crypto.randomUUID did not exist, and no message could be sent.
// (Secure Contexts, and the [SecureContext] attributes of the specifications.)
func TestPageNeedsNoSecureContext(t *testing.T) {
	a, err := app.New(app.Config{ConnectionString: someConnection})
	if err != nil {
		t.Fatal(err)
	}
	secure := regexp.MustCompile(`\b(?:randomUUID|crypto\.subtle|serviceWorker|caches\.|Notification\b|isSecureContext|cookieStore|showOpenFilePicker` +
		`|navigator\.(?:clipboard|credentials|geolocation|locks|mediaDevices|share|storage|wakeLock|permissions))`)
	for _, script := range []string{"chat.js", "view.js", "client.js"} {
		text := regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(get(a.Page(), "GET", "/api/index/"+script).Body.String(), "")
		if found := secure.FindString(text); found != "" {
			t.Errorf("%s uses %s, which plain http lacks outside localhost", script, found)
		}
	}
}

// The redirect of a path with a slash keeps the query. A header with anything
// but ASCII makes the Functions host answer 500.
func TestPageRedirectIsASCII(t *testing.T) {
	a, err := app.New(app.Config{ConnectionString: someConnection})
	if err != nil {
		t.Fatal(err)
	}
	r := httptest.NewRequest("GET", "/api/index/", nil)
	r.URL.RawQuery = "name=J\u00fcrgen&room=a%20b" // as net/http takes it from the request line
	w := httptest.NewRecorder()
	a.Page().ServeHTTP(w, r)
	if got := w.Header().Get("Location"); got != "../index?name=J%C3%BCrgen&room=a%20b" {
		t.Errorf("Location %q", got)
	}
}

// The page asks for a name only where negotiate believes one.
func TestPageNames(t *testing.T) {
	for want, config := range map[string]app.Config{
		"ask":      {AllowUserIDQuery: true, TrustPlatformAuth: true},
		"platform": {TrustPlatformAuth: true},
		"none":     {},
	} {
		config.ConnectionString = someConnection
		a, err := app.New(config)
		if err != nil {
			t.Fatal(err)
		}
		if page := get(a.Page(), "GET", "/api/index").Body.String(); !strings.Contains(page, `data-names="`+want+`"`) {
			t.Errorf("%+v: page does not say %s", config, want)
		}
	}
}

// The emulator is reached without TLS.
func TestPageLocalSocket(t *testing.T) {
	a, err := app.New(app.Config{ConnectionString: "Endpoint=http://localhost:8080;AccessKey=k;Version=1.0;"})
	if err != nil {
		t.Fatal(err)
	}
	if policy := get(a.Page(), "GET", "/api/index").Header().Get("Content-Security-Policy"); !strings.Contains(policy, "connect-src 'self' ws://localhost:8080;") {
		t.Errorf("policy %q", policy)
	}
}

// The page's WebSocket client has tests in its own language.
func TestPageClient(t *testing.T) {
	node := testtool.Need(t, "node")
	out, err := exec.CommandContext(t.Context(), node, "--test", "testdata/client.test.mjs").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}
