package app

import (
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/url"

	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/service"
)

// App is the chat. Make it with [New]; its handlers may be mounted together or
// run as functions of their own.
type App struct {
	config  Config
	log     *slog.Logger
	service *service.Client
	events  *handler.Handler
	page    http.Handler
	names   nameKeys
}

// New returns the app. It calls nobody: what the configuration lacks is told
// here, what the service thinks of it with the first request.
func New(c Config) (*App, error) {
	a := &App{config: c, log: c.Logger}
	if a.log == nil {
		a.log = slog.Default()
	}
	if c.Hub == "" {
		c.Hub = DefaultHub
	}
	a.config.Hub = c.Hub
	events := handler.Options{
		AccessKeys: c.AccessKeys,
		Entra:      c.Entra,
		Hubs:       []string{c.Hub},
		Logger:     a.log,
		// A lost answer makes the service repeat the event; the room should not
		// see the message again.
		Dedup: &handler.DedupOptions{},
	}
	var err error
	switch {
	case c.ConnectionString != "":
		a.service, err = service.NewClientFromConnectionString(c.ConnectionString, c.Hub, c.ClientOptions)
		events.ConnectionStrings = []string{c.ConnectionString}
	case c.ServiceURI != "" && c.Credential != nil:
		a.service, err = service.NewClient(c.ServiceURI, c.Hub, c.Credential, c.ClientOptions)
		events.AllowedOrigins = []string{c.ServiceURI}
	default:
		err = fmt.Errorf("Config needs ConnectionString (setting %s), or ServiceURI (setting %s) and Credential", settingConnection, settingServiceURI)
	}
	if err != nil {
		return nil, fmt.Errorf("app: %w", err)
	}
	events.Sender = a.service
	if a.events, err = handler.New(events); err != nil {
		return nil, fmt.Errorf("app: events (settings %s, %s, %s): %w", settingConnection, settingAccessKeys, settingTenant, err)
	}
	if err := checkNameKeys(c.UserNameKeys); err != nil {
		return nil, fmt.Errorf("app: Config.UserNameKeys (setting %s): %w", settingNameKeys, err)
	}
	a.names = c.nameKeys()
	if c.TrustPlatformAuth && len(a.names) == 0 {
		a.log.Warn("the names of signed-in users are not passed on: there is no key to sign them", "setting", settingNameKeys)
	}
	a.registerChat()
	if a.page, err = newPage(a.signIn(), a.service.Endpoint()); err != nil {
		return nil, fmt.Errorf("app: page: %w", err)
	}
	for _, o := range c.AllowedOrigins {
		if err := checkOrigin(o); err != nil {
			return nil, fmt.Errorf("app: Config.AllowedOrigins (setting %s): %w", settingOrigins, err)
		}
	}
	return a, nil
}

// FromEnv returns the app with the settings of the environment, see
// [ConfigFromEnv], and logs them without their secrets. getenv is usually
// os.Getenv; a nil log means slog.Default().
func FromEnv(getenv func(string) string, log *slog.Logger) (*App, error) {
	c, err := ConfigFromEnv(getenv)
	if err != nil {
		return nil, err
	}
	c.Logger = log
	a, err := New(c)
	if err != nil {
		return nil, err
	}
	a.log.Info("configured", "config", c)
	if c.ConnectionString != "" && c.ServiceURI != "" {
		a.log.Warn(settingServiceURI + " is not used, because " + settingConnection + " is set: remove that one to use an identity")
	}
	return a, nil
}

// nameKeys returns the keys that sign the readable names of users.
func (c Config) nameKeys() nameKeys {
	if len(c.UserNameKeys) > 0 {
		return c.UserNameKeys
	}
	var keys nameKeys
	if cs, err := connstr.Parse(c.ConnectionString); err == nil {
		keys = append(keys, cs.AccessKey)
	}
	return append(keys, c.AccessKeys...)
}

// checkOrigin refuses what a browser never sends as Origin and so would never
// match.
func checkOrigin(s string) error {
	if s == "*" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Scheme+"://"+u.Host != s || !isASCII(s) {
		return errors.New(s + ` is not an origin: write scheme and host in ASCII, as in "https://chat.example.com", or "*"`)
	}
	return nil
}

// Handler returns all routes in one: /api/negotiate, /api/events (and below, for
// event handler URLs that end in {event}), /api/index (and below).
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/negotiate", a.Negotiate())
	mux.Handle("/api/events", a.Events())
	mux.Handle("/api/events/", a.Events())
	mux.Handle("/api/index", a.Page())
	mux.Handle("/api/index/", a.Page())
	return mux
}

// Events returns the handler of the events that the service sends. It verifies
// them itself, so its route can be open to everybody.
func (a *App) Events() http.Handler { return a.events }

// Page returns the handler of the chat page and its files. They refer to each
// other by relative URLs, so it can be mounted at any path that ends in /index,
// with negotiate beside it, and must be mounted below that path as well.
func (a *App) Page() http.Handler { return a.page }
