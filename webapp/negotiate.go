package webapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"example.com/webpubsub/service"
)

const negotiateMethods = "GET, POST"

// Negotiate returns the handler that gives a client what it needs to connect:
// GET or POST; the response is {"baseUrl", "url", "accessToken"} as that of
// the Functions binding webPubSubConnection. With ?clientProtocol=mqtt, a parameter of
// that binding, the URL is for MQTT clients. The user is the one whom App Service
// authentication has signed in, or else the one of ?userId=, each only if the
// configuration allows it; otherwise the response is 401. Errors are
// {"error": "…"}. The user ID in the token is made by [EncodeUserID]; the name of
// a signed-in user is in the query of "url", see User names above.
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
		reject(w, http.StatusMethodNotAllowed, "negotiate accepts GET and POST")
		return
	}
	user, err := a.user(r)
	if err != nil {
		status := http.StatusBadRequest
		if errors.Is(err, errUnauthenticated) {
			status = http.StatusUnauthorized
		}
		a.Log.InfoContext(r.Context(), "negotiate rejected", "status", status, "reason", err.Error())
		reject(w, status, err.Error())
		return
	}
	o := &service.GetClientAccessTokenOptions{UserID: user.id}
	switch protocol := r.URL.Query().Get("clientProtocol"); strings.ToLower(protocol) {
	case "", "default":
	case "mqtt":
		o.Protocol = service.ClientProtocolMQTT
	default:
		reject(w, http.StatusBadRequest, fmt.Sprintf("clientProtocol is %q: use default or mqtt", protocol))
		return
	}
	// Roles and groups are granted by the connect event, which every connection
	// causes; the token only identifies the user.
	token, err := a.Service.GetClientAccessToken(r.Context(), o)
	if err != nil {
		a.Log.ErrorContext(r.Context(), "failed to get client access token", "error", err)
		reject(w, http.StatusBadGateway, "cannot get a client access token; see the log")
		return
	}
	if user.name != "" {
		if query := a.names.sign(a.config.Hub, user.id, user.name, time.Now()); query != "" {
			token.URL += "&" + query
		}
	}
	writeJSON(w, http.StatusOK, token)
}

// caller is the user who calls negotiate.
type caller struct {
	id   string // ASCII
	name string // "" if the ID is enough
}

// unauthenticated is the reason why the caller is not known.
type unauthenticated string

func (u unauthenticated) Error() string { return string(u) }

// Is makes every reason errUnauthenticated.
func (unauthenticated) Is(target error) bool { return target == errUnauthenticated }

var errUnauthenticated = errors.New("unauthenticated")

// user returns who is calling, or the reason to reject the call.
func (a *App) user(r *http.Request) (caller, error) {
	if a.config.Authenticate != nil {
		u, err := a.config.Authenticate(r)
		if err != nil {
			return caller{}, unauthenticated(err.Error())
		}
		if u.ID != "" {
			return a.signedIn(r, u)
		}
	}
	if a.config.TrustPlatformAuth {
		u, err := platformUser(r.Header)
		if err != nil {
			return caller{}, err
		}
		if u.ID != "" {
			return a.signedIn(r, u)
		}
	}
	if a.config.AllowUserIDQuery {
		// URL.Query would drop an invalid pair silently.
		query, err := url.ParseQuery(r.URL.RawQuery)
		if err != nil {
			return caller{}, fmt.Errorf("the query of the URL is invalid: %w: percent-encode the values", err)
		}
		values := append(query["userId"], query["userid"]...) // samples write both
		switch len(values) {
		case 0:
			return caller{}, unauthenticated("no user: add ?userId=<name> to the URL")
		case 1:
			id, err := EncodeUserID(values[0])
			return caller{id: id}, err
		}
		return caller{}, errors.New("the URL has more than one userId")
	}
	if a.config.TrustPlatformAuth || a.config.Authenticate != nil {
		return caller{}, unauthenticated("not signed in: sign in first")
	}
	return caller{}, unauthenticated(fmt.Sprintf("the caller is not authenticated: enable App Service authentication, or for development set %s to true", settingUserIDQuery))
}

// signedIn returns the caller for a user who has signed in. A name that is not
// allowed is left out: the user cannot change it here.
func (a *App) signedIn(r *http.Request, u User) (caller, error) {
	id, err := EncodeUserID(u.ID)
	if err != nil {
		return caller{}, fmt.Errorf("the ID of the signed-in user is not allowed: %w", err)
	}
	if u.Name == "" {
		return caller{id: id}, nil
	}
	name, err := normalize(u.Name)
	if err != nil {
		a.Log.InfoContext(r.Context(), "the name of a signed-in user is left out", "userId", id, "reason", err.Error())
	}
	if name == DecodeUserID(id) {
		name = ""
	}
	return caller{id, name}, nil
}

// cors sets the CORS headers for pages of other sites. It reports whether the request was a
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

func reject(w http.ResponseWriter, status int, reason string) {
	writeJSON(w, status, map[string]string{"error": reason})
}

func writeJSON(w http.ResponseWriter, status int, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		http.Error(w, "the response cannot be encoded", http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("X-Content-Type-Options", "nosniff")
	w.WriteHeader(status)
	// The only error is a closed connection.
	_, _ = w.Write(body)
}
