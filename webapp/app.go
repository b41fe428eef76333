package webapp

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"os"
	"time"

	"example.com/webpubsub/handler"
	"example.com/webpubsub/hosting"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/service"
)

// App is the server side of an application: negotiate, the event handler and
// the page. Create it with [New].
type App struct {
	// Events is the event handler. Register callbacks on it before serving; for
	// the connect event prefer [App.OnConnect].
	Events *handler.Handler
	// Service calls the REST API for the hub of the application.
	Service *service.Client
	// Log is Config.Logger, or slog.Default().
	Log *slog.Logger

	config Config
	names  nameKeys
	page   http.Handler // nil without a page
}

// New returns an application without callbacks. It makes no request: a missing or
// invalid setting is an error here, an access key or role that the service
// rejects is an error of the first call.
func New(c Config) (*App, error) {
	c = c.withDefaults()
	a := &App{Log: c.Logger, config: c, names: c.nameKeys()}
	events := handler.Options{
		AccessKeys:  c.AccessKeys,
		Entra:       c.Entra,
		TrustTunnel: c.TrustTunnel,
		Hubs:        []string{c.Hub},
		Logger:      a.Log,
		// The service retries an event if the response is lost; the callback must
		// not run again for it.
		Dedup: &handler.DedupOptions{},
	}
	var clientOptions service.ClientOptions
	if c.ClientOptions != nil {
		clientOptions = *c.ClientOptions
	}
	if clientOptions.Logger == nil {
		clientOptions.Logger = a.Log
	}
	var err error
	switch {
	case c.ConnectionString != "":
		a.Service, err = service.NewClientFromConnectionString(c.ConnectionString, c.Hub, &clientOptions)
		events.ConnectionStrings = []string{c.ConnectionString}
	case c.ServiceURI != "" && c.Credential != nil:
		a.Service, err = service.NewClient(c.ServiceURI, c.Hub, c.Credential, &clientOptions)
		events.AllowedOrigins = []string{c.ServiceURI}
	default:
		err = fmt.Errorf("Config needs ConnectionString (setting %s), or ServiceURI (setting %s) and Credential", settingConnection, settingServiceURI)
	}
	if err != nil {
		return nil, fmt.Errorf("webapp: %w", err)
	}
	events.Sender = a.Service
	if a.Events, err = handler.New(events); err != nil {
		return nil, fmt.Errorf("webapp: events (settings %s, %s, %s): %w", settingConnection, settingAccessKeys, settingTenant, err)
	}
	if err := checkNameKeys(c.UserNameKeys); err != nil {
		return nil, fmt.Errorf("webapp: Config.UserNameKeys (setting %s): %w", settingNameKeys, err)
	}
	for _, o := range c.AllowedOrigins {
		if err := checkOrigin(o); err != nil {
			return nil, fmt.Errorf("webapp: Config.AllowedOrigins (setting %s): %w", settingOrigins, err)
		}
	}
	if c.Page != nil {
		if a.page, err = newPage(c, a.Service.Endpoint()); err != nil {
			return nil, fmt.Errorf("webapp: Config.Page: %w", err)
		}
	}
	if (c.TrustPlatformAuth || c.Authenticate != nil) && len(a.names) == 0 {
		a.Log.Warn("the names of signed-in users are not transmitted: there is no key to sign them with", "setting", settingNameKeys)
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

// OnConnect registers the callback for the connect event. Unlike
// Events.OnConnect it rejects a client without a user ID with 401 and one whose
// name in the query of its URL is not signed by negotiate with 403. It stores the
// name in the connection state, where [UserName] finds it in later events.
func (a *App) OnConnect(f handler.ConnectFunc) {
	a.Events.OnConnect(func(ctx context.Context, r *handler.ConnectRequest) (*handler.ConnectResponse, error) {
		if r.UserID == "" {
			return nil, handler.Reject(http.StatusUnauthorized, "the access token has no user ID: get one from negotiate")
		}
		name, err := a.names.verify(a.config.Hub, r.UserID, r.Query, time.Now())
		if err != nil {
			return nil, handler.Reject(http.StatusForbidden, err.Error())
		}
		res, err := f(ctx, r)
		if err != nil || name == "" {
			return res, err
		}
		var named handler.ConnectResponse
		if res != nil {
			named = *res
		}
		named.State = maps.Clone(named.State)
		if named.State == nil {
			named.State = make(map[string]any)
		}
		named.State[stateName] = name
		return &named, nil
	})
}

// Handler returns the handler of all routes: /api/negotiate, /api/events and
// below (for event handler URLs that end in {event}), and with a page /api/index
// and below, to which / redirects.
func (a *App) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/negotiate", a.Negotiate())
	mux.Handle("/api/events", a.Events)
	mux.Handle("/api/events/", a.Events)
	if a.page != nil {
		mux.Handle("/api/index", a.page)
		mux.Handle("/api/index/", a.page)
		// Relative, so that it works below any path. On Azure Functions the host itself
		// responds at /.
		mux.HandleFunc("GET /{$}", func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Location", "api/index")
			w.WriteHeader(http.StatusFound)
		})
	}
	return mux
}

// Page returns the handler of the page, or nil without Config.Page. Mount it at a
// path that ends in /index, and below that path as well, with negotiate at the same level.
func (a *App) Page() http.Handler { return a.page }

// Main is the body of a main function: it reads the configuration from the
// environment, creates the application with newApp, and serves all routes with
// [hosting.Main]. It does not return.
func Main(newApp func(Config) (*App, error)) {
	MainPart(newApp, (*App).Handler)
}

// MainPart is [Main] for one part of the application, such as (*App).Negotiate.
func MainPart(newApp func(Config) (*App, error), part func(*App) http.Handler) {
	hosting.Main(func(log *slog.Logger) (http.Handler, error) {
		a, err := NewFromEnv(os.Getenv, log, newApp)
		if err != nil {
			return nil, err
		}
		return part(a), nil
	})
}

// NewFromEnv creates an application with the configuration of the environment,
// see [ConfigFromEnv], and logs the configuration without its secrets. getenv is
// usually os.Getenv. If log is nil, slog.Default() is used.
func NewFromEnv(getenv func(string) string, log *slog.Logger, newApp func(Config) (*App, error)) (*App, error) {
	c, err := ConfigFromEnv(getenv)
	if err != nil {
		return nil, err
	}
	c.Logger = log
	a, err := newApp(c)
	if err != nil {
		return nil, err
	}
	a.Log.Info("configured", "config", a.config)
	if c.ConnectionString != "" && c.ServiceURI != "" {
		a.Log.Warn(settingServiceURI + " is not used, because " + settingConnection + " is set: remove that one to use an identity")
	}
	return a, nil
}
