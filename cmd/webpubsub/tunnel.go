package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httputil"
	"net/url"
	"strings"
	"time"

	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/tunnel"
)

// runTunnel passes the events of a hub on to a local server until it is
// interrupted.
func runTunnel(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("tunnel", flag.ContinueOnError)
	var c connection
	c.flags(fs)
	upstream := fs.String("upstream", "http://localhost:7071", "`URL` of the local server; the path of the event handler is appended to it")
	fs.Usage = func() {
		fmt.Fprint(fs.Output(), `Usage: webpubsub tunnel [flags]

Opens a tunnel to a hub and passes its events on to a local server until it is
interrupted. The URL of the event handler in the settings of the hub must be
tunnel:///path. The identity that is used with -endpoint needs the role "Web PubSub
Service Owner".

`)
		fs.PrintDefaults()
	}
	if err := parseFlags(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	target, err := url.Parse(*upstream)
	if err != nil || (target.Scheme != "http" && target.Scheme != "https") || target.Host == "" {
		return usagef("-upstream must be an http or https URL")
	}
	log := &lines{w: e.out}
	t, err := c.tunnel(fs, e, log)
	if err != nil {
		return err
	}
	log.printf(`Tunnel from the hub %s of %s to %s

%sPress Ctrl-C to stop.

`, c.hub, c.where(), target.Redacted(), tunnelHint(c.where(), c.hub, "/api/events"))
	if err = t.Serve(ctx, log.requests(passOn(target, log))); ctx.Err() != nil && errors.Is(err, ctx.Err()) {
		return nil // interrupted before the tunnel was open
	}
	return c.explain(err)
}

// tunnel returns the tunnel for the flags as they were parsed.
func (c *connection) tunnel(fs *flag.FlagSet, e *env, log *lines) (*tunnel.Tunnel, error) {
	if err := c.resolve(fs); err != nil {
		return nil, err
	}
	o := &tunnel.Options{
		Logger:    slog.New(slog.NewTextHandler(e.err, &slog.HandlerOptions{Level: slog.LevelWarn})),
		Connected: func(id string) { log.line("tunnel %s is open", id) },
	}
	if c.credential != nil {
		t, err := tunnel.New(c.endpoint, c.hub, c.credential, o)
		return t, asUsage(err)
	}
	t, err := tunnel.NewFromConnectionString(c.connectionString, c.hub, o)
	return t, asUsage(err)
}

// where returns the endpoint, of flags that were resolved.
func (c *connection) where() string {
	if cs, err := connstr.Parse(c.connectionString); err == nil {
		return cs.Endpoint
	}
	return c.endpoint
}

// tunnelHint returns how the hub is set up for the tunnel.
func tunnelHint(endpoint, hub, path string) string {
	name := "NAME"
	if u, err := url.Parse(endpoint); err == nil && strings.Contains(u.Hostname(), ".webpubsub.") {
		name, _, _ = strings.Cut(u.Hostname(), ".")
	}
	return fmt.Sprintf(`The hub needs an event handler with the URL tunnel://%[3]s. In the portal: Settings,
%[2]s, Event handlers. With the Azure CLI, where "hub update" changes a hub that exists:

  az webpubsub hub create -g GROUP -n %[1]s --hub-name %[2]s --event-handler \
    url-template="tunnel://%[3]s" user-event-pattern="*" \
    system-event=connect system-event=connected system-event=disconnected

`, name, hub, path)
}

// passOn returns a handler that sends requests to the local server.
func passOn(target *url.URL, log *lines) http.Handler {
	return &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(target) },
		ErrorHandler: func(w http.ResponseWriter, r *http.Request, err error) {
			if r.Context().Err() == nil {
				log.line("no response from %s: %v; is it running?", target.Redacted(), err)
			}
			w.WriteHeader(http.StatusBadGateway)
		},
	}
}

// line prints what happens.
func (l *lines) line(format string, args ...any) {
	l.printf("%s  %s\n", time.Now().Format(time.TimeOnly), printable(fmt.Sprintf(format, args...)))
}

// requests prints one line for each request.
func (l *lines) requests(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s := &statusWriter{ResponseWriter: w}
		began := time.Now()
		s.code = http.StatusInternalServerError // of a panic
		defer func() {
			what := "validation from " + r.Header.Get("WebHook-Request-Origin")
			if name := r.Header.Get("ce-eventName"); name != "" {
				what = "event " + name + " of connection " + r.Header.Get("ce-connectionId") + prefixIfSet(" of user ", r.Header.Get("ce-userId"))
			}
			// The query may have a key.
			l.line("%s: %s %s, %d in %v", what, r.Method, r.URL.Path, s.code, time.Since(began).Round(time.Millisecond))
		}()
		h.ServeHTTP(s, r)
		if !s.wrote {
			s.code = http.StatusOK
		}
	})
}

// statusWriter remembers the status of a response.
type statusWriter struct {
	http.ResponseWriter
	wrote bool
	code  int
}

func (w *statusWriter) WriteHeader(status int) {
	if !w.wrote && status >= 200 {
		w.wrote, w.code = true, status
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *statusWriter) Write(b []byte) (int, error) {
	if !w.wrote {
		w.wrote, w.code = true, http.StatusOK
	}
	return w.ResponseWriter.Write(b)
}
