package webapp_test

import (
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"go.uber.org/goleak"

	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/testlog"
	"example.com/webpubsub/webapp"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	someConnection = "Endpoint=https://contoso.webpubsub.azure.com;AccessKey=" + someKey + ";Version=1.0;"
	someKey        = "verysecretkey"
	someOrigin     = "contoso.webpubsub.azure.com"
)

// somePage is a page with a file in a folder.
var somePage = fstest.MapFS{
	"index.html":      {Data: []byte(`<html data-names="{{names}}">`)},
	"style.css":       {Data: []byte("body {}")},
	"script.js":       {Data: []byte("export {}")},
	"icon.svg":        {Data: []byte("<svg/>")},
	"lib/module.mjs":  {Data: []byte("export {}")},
	"lib/data.custom": {Data: []byte("data")},
}

// newApp returns an application for someConnection; edit may change its
// configuration. What it logs is in the second result.
func newApp(t *testing.T, edit func(*webapp.Config)) (*webapp.App, *testlog.Buffer) {
	t.Helper()
	l := &testlog.Buffer{}
	c := webapp.Config{ConnectionString: someConnection, Logger: l.Logger()}
	if edit != nil {
		edit(&c)
	}
	a, err := webapp.New(c)
	if err != nil {
		t.Fatal(err)
	}
	return a, l
}

// by returns the options of an event of a user.
func by(user string) *handlertest.Options {
	return &handlertest.Options{UserID: user, Origin: someOrigin, AccessKeys: []string{someKey}}
}

func get(h http.Handler, method, target string, header ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, target, nil)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}
