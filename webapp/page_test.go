package webapp_test

import (
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"testing"
	"testing/fstest"

	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/webapp"
)

func TestPage(t *testing.T) {
	a, err := webapp.New(webapp.Config{ConnectionString: someConnection, Page: somePage})
	if err != nil {
		t.Fatal(err)
	}
	h := a.Handler()
	for path, contentType := range map[string]string{
		"/api/index":                 "text/html; charset=utf-8",
		"/api/index/style.css":       "text/css; charset=utf-8",
		"/api/index/script.js":       "text/javascript; charset=utf-8",
		"/api/index/icon.svg":        "image/svg+xml",
		"/api/index/lib/module.mjs":  "text/javascript; charset=utf-8",
		"/api/index/lib/data.custom": "application/octet-stream",
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
	for _, path := range []string{"/api/index/nothing.js", "/api/index/lib", "/api/index/module.mjs", "/api/index/..%2fdoc.go", "/api/nothing"} {
		if w := get(h, "GET", path); w.Code != http.StatusNotFound {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
	// The page's relative links would not hold below a slash.
	if w := get(h, "GET", "/api/index/?name=a"); w.Code != http.StatusMovedPermanently || w.Header().Get("Location") != "../index?name=a" {
		t.Errorf("slash: %d %v", w.Code, w.Header())
	}
}

// The redirect of a path with a slash keeps the query. A header with anything
// but ASCII makes the Functions host answer 500.
func TestPageRedirectIsASCII(t *testing.T) {
	a, err := webapp.New(webapp.Config{ConnectionString: someConnection, Page: somePage})
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

// The page asks for a name only if negotiate accepts one.
func TestPageNames(t *testing.T) {
	for want, config := range map[string]webapp.Config{
		"ask":      {AllowUserIDQuery: true, TrustPlatformAuth: true},
		"platform": {TrustPlatformAuth: true},
		"own":      {Authenticate: func(*http.Request) (webapp.User, error) { return webapp.User{}, nil }},
		"none":     {},
	} {
		config.ConnectionString, config.Page = someConnection, somePage
		a, err := webapp.New(config)
		if err != nil {
			t.Fatal(err)
		}
		if page := get(a.Page(), "GET", "/api/index").Body.String(); !strings.Contains(page, `data-names="`+want+`"`) {
			t.Errorf("%+v: page does not say %s", config, want)
		}
	}
}

// Who opened the address of the server itself, as anybody would, got 404.
func TestRootRedirectsToPage(t *testing.T) {
	a, _ := newApp(t, func(c *webapp.Config) { c.Page = somePage })
	if w := get(a.Handler(), "GET", "/"); w.Code != http.StatusFound || w.Header().Get("Location") != "api/index" {
		t.Errorf("status %d, Location %q", w.Code, w.Header().Get("Location"))
	}
	if w := get(a.Handler(), "GET", "/other"); w.Code != http.StatusNotFound {
		t.Errorf("status %d at another path", w.Code)
	}
	a, _ = newApp(t, nil)
	if w := get(a.Handler(), "GET", "/"); w.Code != http.StatusNotFound {
		t.Errorf("status %d without a page", w.Code)
	}
}

// The emulator is reached without TLS.
func TestPageLocalSocket(t *testing.T) {
	a, err := webapp.New(webapp.Config{Page: somePage, ConnectionString: "Endpoint=http://localhost:8080;AccessKey=k;Version=1.0;"})
	if err != nil {
		t.Fatal(err)
	}
	if policy := get(a.Page(), "GET", "/api/index").Header().Get("Content-Security-Policy"); !strings.Contains(policy, "connect-src 'self' ws://localhost:8080;") {
		t.Errorf("policy %q", policy)
	}
}

func TestPageOptions(t *testing.T) {
	if a, _ := newApp(t, nil); a.Page() != nil || get(a.Handler(), "GET", "/api/index").Code != http.StatusNotFound {
		t.Error("there is a page without files")
	}
	a, _ := newApp(t, func(c *webapp.Config) { c.Page, c.PagePolicy = somePage, "default-src 'self'" })
	if got := get(a.Page(), "GET", "/api/index").Header().Get("Content-Security-Policy"); got != "default-src 'self'" {
		t.Errorf("policy %q", got)
	}
	files := maps.Clone(somePage)
	delete(files, "index.html")
	if _, err := webapp.New(webapp.Config{ConnectionString: someConnection, Page: files}); err == nil || !strings.Contains(err.Error(), "no index.html") {
		t.Errorf("a page without index.html: %v", err)
	}
	if _, err := webapp.New(webapp.Config{ConnectionString: someConnection, Page: fstest.MapFS{}}); err == nil {
		t.Error("an empty page is no error")
	}
}

// The WebSocket client for pages has tests in its own language.
func TestPageClient(t *testing.T) {
	node := testtool.Need(t, "node")
	out, err := exec.CommandContext(t.Context(), node, "--test", "testdata/client.test.mjs").CombinedOutput()
	if err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
}

// Every page has the client, unless it has one of its own.
func TestPageClientFile(t *testing.T) {
	own := maps.Clone(somePage)
	own["client.js"] = &fstest.MapFile{Data: []byte("export {}")}
	for name, page := range map[string]fstest.MapFS{"export class Client": somePage, "export {}": own} {
		a, err := webapp.New(webapp.Config{ConnectionString: someConnection, Page: page})
		if err != nil {
			t.Fatal(err)
		}
		w := get(a.Handler(), "GET", "/api/index/client.js")
		if w.Code != 200 || !strings.Contains(w.Body.String(), name) || w.Header().Get("Content-Type") != "text/javascript; charset=utf-8" {
			t.Errorf("%s: %d %v", name, w.Code, w.Header())
		}
	}
}

// What the client must not use: texts become HTML nowhere, and a phone on the same
// network opens pages over plain http, which is not a secure context.
func TestPageClientIsPortable(t *testing.T) {
	text, err := os.ReadFile("client.js")
	if err != nil {
		t.Fatal(err)
	}
	if found := regexp.MustCompile(`innerHTML|document\.write|\beval\(|randomUUID|crypto\.subtle|navigator\.`).Find(text); found != nil {
		t.Errorf("client.js uses %s", found)
	}
}
