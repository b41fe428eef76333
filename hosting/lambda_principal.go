package hosting

import (
	"encoding/base64"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"strings"
)

// Headers that name the signed-in user, as App Service authentication sends them
// (Azure App Service, "Work with user identities").
const (
	headerPrincipal   = "X-Ms-Client-Principal" // the others begin with it
	headerPrincipalID = "X-Ms-Client-Principal-Id"
)

// principal is the object in X-MS-CLIENT-PRINCIPAL.
type principal struct {
	AuthType string  `json:"auth_typ"`
	Claims   []claim `json:"claims"`
	NameType string  `json:"name_typ"`
	RoleType string  `json:"role_typ"`
}

type claim struct {
	Type  string `json:"typ"`
	Value string `json:"val"`
}

// nameClaims are the claims that may contain a readable name, best first: of OpenID
// Connect, and of Amazon Cognito's ID tokens and access tokens.
var nameClaims = []string{"name", "preferred_username", "cognito:username", "username", "email"}

// setPrincipal replaces the headers of App Service authentication, which a client
// can send here, by what the JWT authorizer of an HTTP API has verified: so an
// app reads the signed-in user in one way on both platforms.
// (Amazon API Gateway developer guide, "Control access to HTTP APIs with JWT
// authorizers".)
func setPrincipal(h http.Header, authorizer json.RawMessage) {
	for name := range h {
		if strings.HasPrefix(name, headerPrincipal) {
			h.Del(name)
		}
	}
	var a struct {
		JWT struct{ Claims map[string]any }
	}
	if err := json.Unmarshal(authorizer, &a); err != nil {
		return // there is none, or one of another kind
	}
	subject, _ := a.JWT.Claims["sub"].(string)
	if subject == "" {
		return
	}
	p := principal{AuthType: "jwt", RoleType: "roles"}
	for _, name := range nameClaims {
		if s, _ := a.JWT.Claims[name].(string); s != "" {
			p.NameType = name
			break
		}
	}
	for _, name := range slices.Sorted(maps.Keys(a.JWT.Claims)) {
		if s, ok := a.JWT.Claims[name].(string); ok { // as the API sends all of them
			p.Claims = append(p.Claims, claim{name, s})
		}
	}
	encoded, err := json.Marshal(p)
	if err != nil {
		return // strings always encode
	}
	h.Set(headerPrincipalID, subject)
	h.Set(headerPrincipal, base64.StdEncoding.EncodeToString(encoded))
}
