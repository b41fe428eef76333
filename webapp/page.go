package webapp

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"mime"
	"net/http"
	"net/url"
	"path"
	"strings"
	"time"
)

// contentTypes are set here because package mime reads the machine's own list,
// which on some Windows machines calls JavaScript plain text.
var contentTypes = map[string]string{
	".css":   "text/css; charset=utf-8",
	".html":  "text/html; charset=utf-8",
	".js":    "text/javascript; charset=utf-8",
	".json":  "application/json",
	".mjs":   "text/javascript; charset=utf-8",
	".png":   "image/png",
	".svg":   "image/svg+xml",
	".wasm":  "application/wasm",
	".woff2": "font/woff2",
}

func contentType(name string) string {
	ext := path.Ext(name)
	return cmp.Or(contentTypes[ext], mime.TypeByExtension(ext), "application/octet-stream")
}

type pageFile struct {
	data              []byte
	contentType, etag string
}

const (
	indexFile  = "index.html" // the page itself
	clientFile = "client.js"
)

// clientScript is the WebSocket client for pages, unless they have a file of its name.
//
//go:embed client.js
var clientScript []byte

// page serves the files of a page from memory.
type page struct {
	files  map[string]pageFile // by path
	policy string
}

// names returns the value of {{names}} in the page.
func (c Config) names() string {
	switch {
	case c.AllowUserIDQuery:
		return "ask"
	case c.TrustPlatformAuth:
		return "platform"
	case c.Authenticate != nil:
		return "own"
	default:
		return "none"
	}
}

func newPage(c Config, endpoint string) (*page, error) {
	p := &page{files: make(map[string]pageFile), policy: c.PagePolicy}
	err := fs.WalkDir(c.Page, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		data, err := fs.ReadFile(c.Page, name)
		if err != nil {
			return err
		}
		if path.Ext(name) == ".html" {
			// One of four fixed words: html/template would cost three megabytes of the
			// program, since its reflection keeps every method from being left out.
			data = bytes.ReplaceAll(data, []byte("{{names}}"), []byte(c.names()))
		}
		p.add(name, data)
		return nil
	})
	if err != nil {
		return nil, err
	}
	if _, ok := p.files[clientFile]; !ok {
		p.add(clientFile, clientScript)
	}
	if _, ok := p.files[indexFile]; !ok {
		return nil, errors.New("there is no " + indexFile)
	}
	if p.policy == "" {
		p.policy, err = defaultPolicy(endpoint)
	}
	return p, err
}

func (p *page) add(name string, data []byte) {
	sum := sha256.Sum256(data)
	p.files[name] = pageFile{data, contentType(name), fmt.Sprintf(`"%x"`, sum[:12])}
}

// defaultPolicy allows the page's own files and the service, which is another host
// than the page's.
func defaultPolicy(endpoint string) (string, error) {
	u, err := url.Parse(endpoint)
	if err != nil {
		return "", err
	}
	socket := strings.Replace(u.Scheme, "http", "ws", 1) + "://" + u.Host
	return strings.Join([]string{
		"default-src 'none'",
		"script-src 'self'",
		"style-src 'self'",
		"img-src 'self'",
		"font-src 'self'",
		"connect-src 'self' " + socket,
		"base-uri 'none'",
		"form-action 'none'",
		"frame-ancestors 'none'",
		"require-trusted-types-for 'script'",
		"trusted-types 'none'",
	}, "; "), nil
}

func (p *page) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "the page accepts GET and HEAD", http.StatusMethodNotAllowed)
		return
	}
	if strings.HasSuffix(r.URL.Path, "/index/") {
		// Relative, because the path may be prefixed with a stage of AWS API Gateway.
		target := "../index"
		if r.URL.RawQuery != "" {
			// Raw UTF-8, which a server accepts in a URL, is not allowed in a header.
			target += "?" + escapeRaw(r.URL.RawQuery)
		}
		w.Header().Set("Location", target)
		w.WriteHeader(http.StatusMovedPermanently)
		return
	}
	name := indexFile
	if _, below, ok := strings.Cut(r.URL.Path, "/index/"); ok {
		name = below
	}
	file, ok := p.files[name]
	if !ok {
		http.NotFound(w, r)
		return
	}
	h := w.Header()
	h.Set("Content-Type", file.contentType)
	h.Set("Content-Security-Policy", p.policy)
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
