package app_test

import (
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"regexp"
	"testing"

	"example.com/webpubsub/app"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/webapp"
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

// The policy allows nothing inline and nothing from elsewhere, so a page that
// used either would be broken in the browser only.
func TestPageContentSecurityPolicy(t *testing.T) {
	a, err := app.New(webapp.Config{ConnectionString: handlertest.ConnectionString})
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
	for _, script := range scripts(t) {
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
	a, err := app.New(webapp.Config{ConnectionString: handlertest.ConnectionString})
	if err != nil {
		t.Fatal(err)
	}
	secure := regexp.MustCompile(`\b(?:randomUUID|crypto\.subtle|serviceWorker|caches\.|Notification\b|isSecureContext|cookieStore|showOpenFilePicker` +
		`|navigator\.(?:clipboard|credentials|geolocation|locks|mediaDevices|share|storage|wakeLock|permissions))`)
	for _, script := range scripts(t) {
		text := regexp.MustCompile(`(?m)^\s*//.*$`).ReplaceAllString(get(a.Page(), "GET", "/api/index/"+script).Body.String(), "")
		if found := secure.FindString(text); found != "" {
			t.Errorf("%s uses %s, which plain http lacks outside localhost", script, found)
		}
	}
}

// scripts returns the names of the page's scripts.
func scripts(t *testing.T) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join("page", "*.js"))
	if err != nil || len(files) < 2 {
		t.Fatal(files, err)
	}
	for i, file := range files {
		files[i] = filepath.Base(file)
	}
	return files
}
