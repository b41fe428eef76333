package functionshost

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// Config is what the host reads from host.json and function.json files.
type Config struct {
	// Executable is the path of the custom handler, relative to the root.
	Executable string
	// Forwarding is true if the host forwards requests
	// (enableForwardingHttpRequest), and false if it proxies them
	// (enableProxyingHttpRequest, which wins if the host knows it).
	Forwarding bool
	// Prefix is the first part of every path, "api" by default.
	Prefix string
	// Routes are the routes of the functions, without the prefix.
	Routes []string
}

// Fault is an app that the host does not run. The host itself runs, and responds
// to every request.
type Fault struct {
	Status int
	Body   string
	// Log is what the log shows of it.
	Log string
}

func (f *Fault) Error() string { return f.Log }

// notRunning is the body of every response when the host could not start.
const notRunning = "Function host is not running."

// hostJSON is the part of host.json that matters to a custom handler.
type hostJSON struct {
	Version    string `json:"version"`
	Extensions struct {
		HTTP struct {
			RoutePrefix *string `json:"routePrefix"`
		} `json:"http"`
	} `json:"extensions"`
	CustomHandler struct {
		Description struct {
			DefaultExecutablePath string `json:"defaultExecutablePath"`
		} `json:"description"`
		Proxying   bool `json:"enableProxyingHttpRequest"`
		Forwarding bool `json:"enableForwardingHttpRequest"`
		HTTP       struct {
			DefaultAuthorizationLevel string  `json:"defaultAuthorizationLevel"`
			Routes                    []route `json:"routes"`
		} `json:"http"`
	} `json:"customHandler"`
}

type route struct {
	Route              string `json:"route"`
	AuthorizationLevel string `json:"authorizationLevel"`
}

// Load reads host.json in the folder root and the function.json files one level
// below. An older host, before 4.1044, knows neither routes nor proxying. It
// fails with a [*Fault] if the host would respond in place of the handler, and
// with another error for what the host rejects or ignores otherwise.
func Load(root string, older bool) (Config, error) {
	text, err := os.ReadFile(filepath.Join(root, "host.json"))
	if err != nil {
		return Config{}, err
	}
	var h hostJSON
	if err := json.Unmarshal(text, &h); err != nil {
		return Config{}, fmt.Errorf("host.json: %w", err)
	}
	handler := h.CustomHandler
	if older {
		handler.HTTP.Routes, handler.Proxying = nil, false
	}
	declared, err := declaredFunctions(root)
	if err != nil {
		return Config{}, err
	}
	if len(declared) > 0 && len(handler.HTTP.Routes) > 0 {
		return Config{}, &Fault{
			http.StatusServiceUnavailable, notRunning,
			"Detected both function.json files and custom handler HTTP route configuration",
		}
	}
	handler.HTTP.Routes = append(handler.HTTP.Routes, declared...)
	executable := handler.Description.DefaultExecutablePath
	switch {
	case h.Version != "2.0":
		return Config{}, fmt.Errorf("host.json: version is %q, the host accepts 2.0", h.Version)
	case executable == "":
		return Config{}, errors.New("host.json: customHandler.description.defaultExecutablePath is missing")
	case strings.HasPrefix(executable, ".") || strings.HasPrefix(executable, "/") || strings.Contains(executable, `\`):
		// Core Tools marks as executable the zip entry with exactly this name.
		return Config{}, fmt.Errorf("host.json: defaultExecutablePath is %q, which is not the name of an entry in the package", executable)
	case len(handler.HTTP.Routes) == 0:
		return Config{}, &Fault{http.StatusNotFound, "", "No job functions found."}
	case !handler.Proxying && !handler.Forwarding:
		// Payload mode: the handler is called at another path, which it does not serve.
		return Config{}, &Fault{
			http.StatusInternalServerError, "",
			"host.json: neither enableProxyingHttpRequest nor enableForwardingHttpRequest is set",
		}
	}

	c := Config{Executable: executable, Forwarding: !handler.Proxying, Prefix: "api"}
	if h.Extensions.HTTP.RoutePrefix != nil {
		c.Prefix = *h.Extensions.HTTP.RoutePrefix
	}
	for _, r := range handler.HTTP.Routes {
		if err := checkRoute(r.Route); err != nil {
			return Config{}, err
		}
		level := r.AuthorizationLevel
		if level == "" {
			level = handler.HTTP.DefaultAuthorizationLevel
		}
		if !strings.EqualFold(level, "anonymous") {
			// The default is "function": a key, which is not imitated here.
			return Config{}, fmt.Errorf("host.json: route %q has the authorization level %q, only anonymous is imitated", r.Route, level)
		}
		c.Routes = append(c.Routes, r.Route)
	}

	return c, nil
}

// declaredFunctions reads function.json files. The host walks one level of
// folders, and the folder is the function's name.
func declaredFunctions(root string) ([]route, error) {
	files, err := filepath.Glob(filepath.Join(root, "*", "function.json"))
	if err != nil {
		return nil, err
	}
	var routes []route
	for _, file := range files {
		name := filepath.Base(filepath.Dir(file))
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		var f struct {
			Bindings []struct {
				Type      string   `json:"type"`
				Direction string   `json:"direction"`
				Route     string   `json:"route"`
				AuthLevel string   `json:"authLevel"`
				Methods   []string `json:"methods"`
			} `json:"bindings"`
		}
		if err := json.Unmarshal(text, &f); err != nil {
			return nil, fmt.Errorf("%s/function.json: %w", name, err)
		}
		// Only with exactly these two does the host pass requests on.
		if b := f.Bindings; len(b) != 2 || b[0].Type != "httpTrigger" || b[0].Direction != "in" || b[1].Type != "http" || b[1].Direction != "out" {
			return nil, fmt.Errorf("%s/function.json: the bindings are not an httpTrigger in and an http out", name)
		}
		if len(f.Bindings[0].Methods) > 0 {
			return nil, fmt.Errorf("%s/function.json: methods are not imitated; leave them out to allow all", name)
		}
		if !functionName.MatchString(name) || strings.EqualFold(name, "host") {
			return nil, fmt.Errorf("%s is not a valid name of a function", name)
		}
		r := route{Route: f.Bindings[0].Route, AuthorizationLevel: f.Bindings[0].AuthLevel}
		if r.Route == "" {
			r.Route = name
		}
		routes = append(routes, r)
	}
	return routes, nil
}

var functionName = regexp.MustCompile(`(?i)^[a-z][a-z0-9_\-]{0,127}$`)

// routePart is a literal segment, a parameter, or a catch-all parameter.
var routePart = regexp.MustCompile(`^([A-Za-z0-9_.~-]+|\{\*{0,2}[A-Za-z_][A-Za-z0-9_]*\})$`)

func checkRoute(route string) error {
	parts := strings.Split(route, "/")
	for i, part := range parts {
		if !routePart.MatchString(part) || (strings.HasPrefix(part, "{*") && i < len(parts)-1) {
			return fmt.Errorf("host.json: the route %q cannot be parsed at %q", route, part)
		}
	}
	return nil
}

// matches reports whether the route matches the path, both without the
// prefix. Literals are compared without case, and a catch-all takes any rest,
// an empty one as well, as ASP.NET Core's routing has it.
func matches(route, path string) bool {
	parts, segments := strings.Split(route, "/"), strings.Split(strings.TrimSuffix(path, "/"), "/")
	for i, part := range parts {
		if strings.HasPrefix(part, "{*") {
			return true
		}
		if i >= len(segments) {
			return false
		}
		if strings.HasPrefix(part, "{") {
			if segments[i] == "" {
				return false
			}
		} else if !strings.EqualFold(part, segments[i]) {
			return false
		}
	}
	return len(parts) == len(segments)
}
