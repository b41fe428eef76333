package app

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode"
	"unicode/utf8"

	"example.com/webpubsub/service"
)

// Headers of App Service authentication (Azure App Service, "Work with user
// identities"). The platform takes them out of requests from outside.
const (
	headerPrincipalName = "X-Ms-Client-Principal-Name"
	headerPrincipalID   = "X-Ms-Client-Principal-Id"
)

const (
	maxUser          = 128
	negotiateMethods = "GET, POST"
)

// Negotiate returns the handler that gives a client what it needs to connect:
// GET or POST, answered with {"baseUrl", "url", "accessToken"} as the Functions
// binding webPubSubConnection has it. The user is the one whom App Service
// authentication has signed in, or else the one of ?userId=, each only where
// the configuration believes it; otherwise the answer is 401. Errors are
// {"error": "…"}.
func (a *App) Negotiate() http.Handler {
	return http.HandlerFunc(a.negotiate)
}

func (a *App) negotiate(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Cache-Control", "no-store")
	if a.cors(w, r) {
		return
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		w.Header().Set("Allow", negotiateMethods)
		refuse(w, http.StatusMethodNotAllowed, "negotiate answers GET and POST")
		return
	}
	user, status, err := a.user(r)
	if err != nil {
		a.log.InfoContext(r.Context(), "negotiate refused", "status", status, "reason", err.Error())
		refuse(w, status, err.Error())
		return
	}
	// Roles and the first room are granted by the connect event, which sees
	// every connection; the token says only who it is.
	token, err := a.service.GetClientAccessToken(r.Context(), &service.GetClientAccessTokenOptions{UserID: user})
	if err != nil {
		a.log.ErrorContext(r.Context(), "negotiate got no token from the service", "error", err)
		refuse(w, http.StatusBadGateway, "the service gave no token; the log says why")
		return
	}
	writeJSON(w, http.StatusOK, token)
}

// user returns who is calling, or the status and the reason to refuse.
func (a *App) user(r *http.Request) (user string, status int, err error) {
	if a.config.TrustPlatformAuth {
		for _, name := range []string{headerPrincipalName, headerPrincipalID} {
			values := r.Header.Values(name)
			if len(values) > 1 {
				// The platform sends one. More means that it is not alone.
				return "", http.StatusBadRequest, fmt.Errorf("header %s came more than once", name)
			}
			if len(values) == 1 && strings.TrimSpace(values[0]) != "" {
				return checkedUser(values[0])
			}
		}
	}
	if a.config.AllowUserIDQuery {
		query := r.URL.Query()
		for _, name := range []string{"userId", "userid"} { // samples write both
			if query.Has(name) {
				return checkedUser(query.Get(name))
			}
		}
		return "", http.StatusUnauthorized, errors.New("who is calling? Add ?userId= to the URL")
	}
	if a.config.TrustPlatformAuth {
		return "", http.StatusUnauthorized, errors.New("sign in first: App Service authentication has named no user")
	}
	return "", http.StatusUnauthorized, fmt.Errorf("this app cannot tell who is calling: switch on App Service authentication, or for development set %s to true", settingUserIDQuery)
}

func checkedUser(s string) (string, int, error) {
	s, err := userName(s)
	if err != nil {
		return "", http.StatusBadRequest, err
	}
	return s, 0, nil
}

// userName trims and checks a user id. Characters that turn the direction of
// the text around it would let one user look like another.
func userName(s string) (string, error) {
	s = strings.TrimSpace(s)
	n := utf8.RuneCountInString(s)
	switch {
	case n == 0:
		return "", errors.New("the user id is empty")
	case n > maxUser:
		return "", fmt.Errorf("the user id has %d characters: at most %d are allowed", n, maxUser)
	case !utf8.ValidString(s):
		return "", errors.New("the user id is not UTF-8")
	case strings.ContainsFunc(s, func(r rune) bool { return unicode.IsControl(r) || unicode.Is(unicode.Bidi_Control, r) }):
		return "", errors.New("the user id holds a control character")
	}
	return s, nil
}

// cors answers for pages of other sites. It reports whether the request was a
// preflight and is done.
func (a *App) cors(w http.ResponseWriter, r *http.Request) (done bool) {
	if len(a.config.AllowedOrigins) == 0 {
		return false
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	anyOrigin := slices.Contains(a.config.AllowedOrigins, "*")
	switch {
	case origin == "":
	case anyOrigin:
		h.Set("Access-Control-Allow-Origin", "*")
	case slices.Contains(a.config.AllowedOrigins, origin):
		h.Set("Access-Control-Allow-Origin", origin)
	}
	if r.Method != http.MethodOptions || origin == "" || r.Header.Get("Access-Control-Request-Method") == "" {
		return false
	}
	if h.Get("Access-Control-Allow-Origin") != "" {
		h.Set("Access-Control-Allow-Methods", negotiateMethods)
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", "600")
	}
	w.WriteHeader(http.StatusNoContent)
	return true
}

func refuse(w http.ResponseWriter, status int, reason string) {
	writeJSON(w, status, map[string]string{"error": reason})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the answer cannot be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// A caller who hung up misses the answer; there is nobody left to tell.
	_, _ = w.Write(body)
}
