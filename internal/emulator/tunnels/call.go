package tunnels

import (
	"bytes"
	"fmt"
	"net/http"
	"strings"

	"example.com/webpubsub/internal/tunnelwire"
)

// call executes a REST call that came through a tunnel of the hub. Of the URL
// only path and query count: clients write https://host/api/hubs/…
func call(rest func(hub string) http.Handler, hub string, m *tunnelwire.Request) (out *tunnelwire.Response) {
	var h http.Handler
	if rest != nil {
		h = rest(hub)
	}
	if h == nil {
		return plain(http.StatusNotImplemented, "There is no REST API behind this tunnel.")
	}
	r, err := http.NewRequest(m.Method, m.URL, bytes.NewReader(m.Body))
	if err != nil {
		return plain(http.StatusBadRequest, "The request cannot be read: it needs a method and an absolute URL.")
	}
	if strings.HasSuffix(r.URL.Path, "/:invoke") {
		// Socket.IO asks all clients for acknowledgements with it.
		return plain(http.StatusNotImplemented, fmt.Sprintf("%s is not implemented: the operation is in no public version of the REST API.", r.URL.Path))
	}
	r.RequestURI = r.URL.RequestURI()
	for name, values := range tunnelwire.EndToEnd(m.Header) {
		for _, v := range values {
			r.Header.Add(name, v)
		}
	}
	w := &recorder{header: make(http.Header)}
	defer func() {
		if v := recover(); v != nil { // as net/http does, but with a response
			out = plain(http.StatusInternalServerError, "The REST API failed.")
		}
	}()
	h.ServeHTTP(w, r)
	w.WriteHeader(http.StatusOK)
	return &tunnelwire.Response{StatusCode: w.status, Header: tunnelwire.EndToEnd(w.header), Body: w.body.Bytes()}
}

func plain(status int, reason string) *tunnelwire.Response {
	return &tunnelwire.Response{
		StatusCode: status,
		Header:     http.Header{"Content-Type": {"text/plain; charset=utf-8"}},
		Body:       []byte(reason + "\n"),
	}
}

// recorder keeps a response.
type recorder struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (w *recorder) Header() http.Header { return w.header }

func (w *recorder) WriteHeader(status int) {
	if w.status == 0 && status >= 200 {
		w.status = status
	}
}

func (w *recorder) Write(b []byte) (int, error) {
	w.WriteHeader(http.StatusOK)
	return w.body.Write(b)
}
