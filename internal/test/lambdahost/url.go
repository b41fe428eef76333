package lambdahost

import (
	"encoding/base64"
	"encoding/json"
	"io"
	"mime"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-lambda-go/events"
	"github.com/google/uuid"
)

// HTTPAPI puts an HTTP API of API Gateway in front of the function as well, with
// payload format 2.0, a route that takes every method, and a stage of this name.
// It returns the address of the stage. It ends with the test.
func (h *Host) HTTPAPI(tb testing.TB, stage string) string {
	front := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/"+stage+"/") {
			http.Error(w, `{"message":"Not Found"}`, http.StatusNotFound)
			return
		}
		h.serve(w, r, stage)
	}))
	tb.Cleanup(front.Close)
	return front.URL + "/" + stage
}

// defaultStage is the stage that is not part of the path.
const defaultStage = "$default"

// functionURL is a Function URL with InvokeMode BUFFERED and no CORS: every
// request becomes an event, regardless of its method.
func (h *Host) functionURL(w http.ResponseWriter, r *http.Request) { h.serve(w, r, defaultStage) }

func (h *Host) serve(w http.ResponseWriter, r *http.Request, stage string) {
	event, err := newEvent(r, stage)
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	payload, err := h.Invoke(r.Context(), event)
	if err != nil {
		http.Error(w, "Internal Server Error", http.StatusBadGateway)
		return
	}
	var resp events.LambdaFunctionURLResponse
	if err := json.Unmarshal(payload, &resp); err != nil {
		http.Error(w, "Internal Server Error", http.StatusBadGateway)
		return
	}
	body := []byte(resp.Body)
	if resp.IsBase64Encoded {
		if body, err = base64.StdEncoding.DecodeString(resp.Body); err != nil {
			http.Error(w, "Internal Server Error", http.StatusBadGateway)
			return
		}
	}
	for name, value := range resp.Headers {
		w.Header().Set(name, value)
	}
	for _, cookie := range resp.Cookies {
		w.Header().Add("Set-Cookie", cookie)
	}
	w.WriteHeader(resp.StatusCode)
	_, _ = w.Write(body)
}

// newEvent returns the event of payload format 2.0 that a Function URL or an HTTP
// API makes of a request: names of headers in lower case, several values joined
// by commas, cookies apart, the stage in the path, and the body as base64 unless
// its type is text.
func newEvent(r *http.Request, stage string) ([]byte, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	e := events.APIGatewayV2HTTPRequest{
		Version:        "2.0",
		RouteKey:       "$default",
		RawPath:        r.URL.EscapedPath(),
		RawQueryString: r.URL.RawQuery,
		Headers:        map[string]string{"host": r.Host, "x-forwarded-proto": "https"},
		Body:           string(body),
	}
	for name, values := range r.Header {
		if name == "Cookie" {
			for _, value := range values {
				e.Cookies = append(e.Cookies, strings.Split(value, "; ")...)
			}
			continue
		}
		e.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	if len(body) > 0 && !isText(r.Header.Get("Content-Type")) {
		e.Body, e.IsBase64Encoded = base64.StdEncoding.EncodeToString(body), true
	}
	ip, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		ip = r.RemoteAddr
	}
	now := time.Now()
	e.RequestContext = events.APIGatewayV2HTTPRequestContext{
		AccountID:    "anonymous",
		APIID:        "test",
		DomainName:   r.Host,
		DomainPrefix: "test",
		RequestID:    uuid.NewString(),
		RouteKey:     "$default",
		Stage:        stage,
		Time:         now.UTC().Format("02/Jan/2006:15:04:05 +0000"),
		TimeEpoch:    now.UnixMilli(),
		HTTP: events.APIGatewayV2HTTPRequestContextHTTPDescription{
			Method:    r.Method,
			Path:      r.URL.EscapedPath(),
			Protocol:  r.Proto,
			SourceIP:  ip,
			UserAgent: r.UserAgent(),
		},
	}
	return json.Marshal(e)
}

func isText(contentType string) bool {
	media, _, err := mime.ParseMediaType(contentType)
	return err == nil && (strings.HasPrefix(media, "text/") || media == "application/json" ||
		media == "application/javascript" || media == "application/xml")
}
