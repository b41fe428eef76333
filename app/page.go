package app

import (
	"bytes"
	"crypto/sha256"
	"embed"
	"fmt"
	"io/fs"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

//go:embed page
var pageFiles embed.FS

// contentTypes are set here because package mime reads the machine's own list,
// which on some Windows machines calls JavaScript plain text.
var contentTypes = map[string]string{
	".css":  "text/css; charset=utf-8",
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".svg":  "image/svg+xml",
}

type pageFile struct {
	data              []byte
	contentType, etag string
}

type page struct {
	files    map[string]pageFile
	security string
}

// signIn tells the page who says what a user is called.
func (a *App) signIn() string {
	switch {
	case a.config.AllowUserIDQuery:
		return "ask"
	case a.config.TrustPlatformAuth:
		return "platform"
	default:
		return "none"
	}
}

func newPage(names, endpoint string) (http.Handler, error) {
	p := &page{files: make(map[string]pageFile)}
	entries, err := fs.ReadDir(pageFiles, "page")
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		data, err := fs.ReadFile(pageFiles, path.Join("page", e.Name()))
		if err != nil {
			return nil, err
		}
		if path.Ext(e.Name()) == ".html" {
			// One of three fixed words: html/template would cost three megabytes of the
			// program, since its reflection keeps every method from being left out.
			data = bytes.ReplaceAll(data, []byte("{{names}}"), []byte(names))
		}
		sum := sha256.Sum256(data)
		p.files[e.Name()] = pageFile{data, contentTypes[path.Ext(e.Name())], fmt.Sprintf(`"%x"`, sum[:12])}
	}
	// The WebSocket goes to the service, which is another host than the page's.
	u, err := url.Parse(endpoint)
	if err != nil {
		return nil, err
	}
	socket := strings.Replace(u.Scheme, "http", "ws", 1) + "://" + u.Host
	p.security = strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self'",
		"connect-src 'self' " + socket,
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; ")
	return p, nil
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page answers GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/index/") {
		// Relative, since a stage of AWS API Gateway may stand before the path.
		target := "../index"
		if r.URL.RawQuery != "" {
			// Raw UTF-8, which a server lets through, is not allowed in a header.
			target += "?" + escapeRaw(r.URL.RawQuery)
		}
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	name := path.Base(r.URL.Path)
	if name == "index" {
		name = "index.html"
	}
	file, ok := p.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.contentType)
	h.Set("Content-Security-Policy", p.security)
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-cache") // kept, but asked for again: see Etag
	h.Set("Etag", file.etag)
	http.ServeContent(w, r, name, time.Time{}, bytes.NewReader(file.data))
}

// escapeRaw percent-encodes what is not printable ASCII.
func escapeRaw(s string) string {
	var b strings.Builder
	for _, c := range []byte(s) {
		if c > ' ' && c < 0x7f {
			b.WriteByte(c)
		} else {
			fmt.Fprintf(&b, "%%%02X", c)
		}
	}
	return b.String()
}
