package hosting_test

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"github.com/aws/aws-lambda-go/events"

	"example.com/webpubsub/hosting"
)

// The signed-in user of an HTTP API's JWT authorizer arrives as on App Service.
// What a client sends in these headers never does: nothing in front of Lambda
// removes them.
func TestPrincipal(t *testing.T) {
	for _, tt := range []struct {
		name     string
		claims   map[string]string
		id, user string
	}{
		{"signed in", map[string]string{"sub": "1234", "name": "Jürgen", "iss": "https://login.example.com"}, "1234", "Jürgen"},
		{"Cognito's access token", map[string]string{"sub": "1234", "username": "jürgen", "token_use": "access"}, "1234", "jürgen"},
		{"no name", map[string]string{"sub": "1234"}, "1234", ""},
		{"no subject", map[string]string{"name": "Jürgen"}, "", ""},
		{"nobody", nil, "", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			r, err := hosting.DecodeEvent(context.Background(), event(t, func(e *events.APIGatewayV2HTTPRequest) {
				e.Headers = map[string]string{
					"x-ms-client-principal": "forged", "x-ms-client-principal-id": "forged",
					"X-MS-CLIENT-PRINCIPAL-NAME": "forged", "x-ms-client-principal-idp": "forged",
				}
				if tt.claims != nil {
					e.RequestContext.Authorizer = &events.APIGatewayV2HTTPRequestContextAuthorizerDescription{
						JWT: &events.APIGatewayV2HTTPRequestContextAuthorizerJWTDescription{Claims: tt.claims},
					}
				}
			}))
			if err != nil {
				t.Fatal(err)
			}
			for name, values := range r.Header {
				if strings.Contains(strings.Join(values, ""), "forged") {
					t.Errorf("%s is %q", name, values)
				}
			}
			if got := r.Header.Get("X-MS-CLIENT-PRINCIPAL-ID"); got != tt.id {
				t.Errorf("the ID is %q, want %q", got, tt.id)
			}
			encoded := r.Header.Get("X-MS-CLIENT-PRINCIPAL")
			if tt.id == "" {
				if encoded != "" {
					t.Errorf("the principal is %q, want none", encoded)
				}
				return
			}
			var principal struct {
				NameType string `json:"name_typ"`
				Claims   []struct{ Typ, Val string }
			}
			decoded, err := base64.StdEncoding.DecodeString(encoded)
			if err != nil {
				t.Fatal(err)
			}
			if err := json.Unmarshal(decoded, &principal); err != nil {
				t.Fatal(err)
			}
			got := make(map[string]string)
			for _, c := range principal.Claims {
				got[c.Typ] = c.Val
			}
			if len(got) != len(tt.claims) || got["sub"] != tt.id || got[principal.NameType] != tt.user {
				t.Errorf("got the claims %v with the name in %q, want %v", got, principal.NameType, tt.claims)
			}
		})
	}
}

// Authorizers of other kinds send what they want.
func TestOtherAuthorizers(t *testing.T) {
	for _, authorizer := range []string{
		`null`, `"text"`, `{"lambda":{"user":1}}`, `{"iam":{"userId":"a"}}`, `{"jwt":null}`, `{"jwt":{"claims":[]}}`, `{"jwt":{"claims":{"sub":1}}}`,
	} {
		e := `{"version":"2.0","rawPath":"/","requestContext":{"http":{"method":"GET"},"authorizer":` + authorizer + `}}`
		r, err := hosting.DecodeEvent(context.Background(), []byte(e))
		if err != nil {
			t.Errorf("%s: %v", authorizer, err)
			continue
		}
		if len(r.Header) != 0 {
			t.Errorf("%s: got the header %v", authorizer, r.Header)
		}
	}
}

// The custom domain of an API passes the key of its mapping on in the path. A
// query arrives as it was sent, even where url.URL.Query would leave out a pair.
func TestCustomDomain(t *testing.T) {
	h := hosting.StripBasePath(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Name", "Jürgen")
		_, _ = w.Write([]byte(r.RequestURI))
	}), "/chat")
	for _, stage := range []string{"$default", "prod"} {
		resp := invoke(t, h, nil, event(t, func(e *events.APIGatewayV2HTTPRequest) {
			e.RawPath, e.RequestContext.Stage = "/chat/api/negotiate", stage
			e.RawQueryString = "userId=a;b&c=%zz"
		}))
		if resp.Body != "/api/negotiate?userId=a;b&c=%zz" {
			t.Errorf("stage %s: got %s", stage, resp.Body)
		}
		if got := resp.Headers["X-Name"]; got != "J%C3%BCrgen" {
			t.Errorf("X-Name is %q, want ASCII", got)
		}
	}
}
