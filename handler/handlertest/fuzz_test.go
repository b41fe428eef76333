package handlertest_test

import (
	"net/http"
	"testing"

	"example.com/webpubsub/handler/handlertest"
)

// FuzzResponse: any response of a handler under test can be read.
func FuzzResponse(f *testing.F) {
	f.Add(200, "application/json", "eyJhIjoxfQ==", "v", []byte(`{"userId":null,"groups":["g"],"mqtt":{}}`))
	f.Add(204, "", "", "", []byte(nil))
	f.Add(200, "///", "???", "\xff", []byte(`[`))
	f.Fuzz(func(t *testing.T, status int, contentType, state, metadata string, body []byte) {
		res := handlertest.Response{Status: status, Body: body, Header: http.Header{
			"Content-Type":            {contentType},
			"Ce-Connectionstate":      {state},
			"X-Webpubsub-Metadata-K":  {metadata},
			"X-Webpubsub-Metadata-":   {metadata},
			"X-Webpubsub-Metadata-No": nil,
		}}
		m, a := res.Message(), res.Accepted()
		if s, ok := res.State(); ok && s == nil {
			t.Errorf("state %v of %q", s, state)
		}
		if !res.OK() && (!m.IsZero() || a.UserID != nil || a.Groups != nil) {
			t.Errorf("a failure holds %v and %v", m, a)
		}
	})
}
