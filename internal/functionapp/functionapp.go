// Package functionapp makes and checks the files of an Azure function app whose
// functions are the routes of a custom handler.
//
// One package runs on every version of the Functions host: it has a function.json
// for each route, which all versions read, and sets enableProxyingHttpRequest as
// well as enableForwardingHttpRequest, of which a host takes the first if it knows
// it. The routes of host.json (customHandler.http.routes) are left out, because
// hosts from 4.1044 do not start with both, and older ones ignore the routes.
package functionapp

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// File is one file of a package. Paths have forward slashes.
type File struct {
	Path string
	Mode fs.FileMode
	Data []byte
}

// route is one of host.json's customHandler.http.routes, each a function.
type route struct {
	Route              string `json:"route"`
	AuthorizationLevel string `json:"authorizationLevel"`
}

// hostJSON is what is read of host.json.
type hostJSON struct {
	Version       string `json:"version"`
	CustomHandler struct {
		Description struct {
			DefaultExecutablePath string `json:"defaultExecutablePath"`
		} `json:"description"`
		EnableProxyingHTTPRequest   bool `json:"enableProxyingHttpRequest"`
		EnableForwardingHTTPRequest bool `json:"enableForwardingHttpRequest"`
		HTTP                        struct {
			DefaultAuthorizationLevel string  `json:"defaultAuthorizationLevel"`
			Routes                    []route `json:"routes"`
		} `json:"http"`
	} `json:"customHandler"`
}

// errBoth is the reason why a host from 4.1044 does not start.
var errBoth = errors.New("host.json has customHandler.http.routes, and there is a function.json one folder below: " +
	"the Functions host does not start with both, and responds to every request with 503 \"Function host is not running.\"")

// Files returns the files of a function app besides its executable, and the path
// of that. text is the host.json of the folder root, whose routes become
// functions. The program of one function, such as ./functions/events, gets the
// routes that begin with its name; any other, such as ./functions, gets all. In a
// folder named functions there are programs of one function only.
func Files(root fs.FS, text []byte, program string) (files []File, executable string, err error) {
	var h hostJSON
	var all map[string]any
	if err := errors.Join(json.Unmarshal(text, &h), json.Unmarshal(text, &all)); err != nil {
		return nil, "", fmt.Errorf("host.json: %w", err)
	}
	executable = h.CustomHandler.Description.DefaultExecutablePath
	if err := checkExecutablePath(executable); err != nil {
		return nil, "", err
	}
	if declared, err := fs.Glob(root, "*/function.json"); err != nil || len(declared) > 0 {
		return nil, "", errors.Join(err, fmt.Errorf("%s: write its route into customHandler.http.routes of host.json, and remove it: function.json files are made from the routes. %w",
			strings.Join(declared, ", "), errBoth))
	}
	program = path.Clean(filepath.ToSlash(program))
	name := path.Base(program)
	routes := slices.DeleteFunc(slices.Clone(h.CustomHandler.HTTP.Routes), func(r route) bool {
		first, _, _ := strings.Cut(r.Route, "/")
		return first != name
	})
	if len(routes) == 0 && path.Base(path.Dir(program)) != "functions" {
		routes = h.CustomHandler.HTTP.Routes
	}
	if len(routes) == 0 {
		return nil, "", fmt.Errorf("host.json: no route of customHandler.http begins with %s, the name of the program: the host would find no function", name)
	}

	handler, err := section(all, "customHandler")
	if err != nil {
		return nil, "", err
	}
	set(handler, "http", nil)
	set(handler, "enableProxyingHttpRequest", true)
	set(handler, "enableForwardingHttpRequest", true)
	files = append(files, File{"host.json", 0o644, indented(all)})
	seen := make(map[string]bool)
	for i, r := range routes {
		folder := functionName(r.Route, i)
		if seen[strings.ToLower(folder)] {
			return nil, "", fmt.Errorf("host.json: two routes begin with %s, which would be the name of two functions", folder)
		}
		seen[strings.ToLower(folder)] = true
		level := r.AuthorizationLevel
		if level == "" {
			level = h.CustomHandler.HTTP.DefaultAuthorizationLevel
		}
		files = append(files, File{folder + "/function.json", 0o644, functionJSON(r.Route, level)})
	}
	return files, executable, nil
}

// checkExecutablePath requires a path that names an entry of the package: Core Tools
// and the host compare it with those.
func checkExecutablePath(name string) error {
	if name == "" || strings.Contains(name, `\`) || !filepath.IsLocal(name) || path.Clean(name) != name {
		return fmt.Errorf("host.json: defaultExecutablePath is %q: write a path like bin/functions, without ./ and with forward slashes", name)
	}
	return nil
}

// section returns an object in host.json. The host compares names without case.
func section(in map[string]any, name string) (map[string]any, error) {
	var found map[string]any
	n := 0
	for key, value := range in {
		if strings.EqualFold(key, name) {
			found, _ = value.(map[string]any)
			n++
		}
	}
	if n != 1 || found == nil {
		return nil, fmt.Errorf("host.json: %s must occur once, as an object", name)
	}
	return found, nil
}

// set replaces a value in an object of host.json, or removes it if it is nil.
func set(in map[string]any, name string, value any) {
	for key := range in {
		if strings.EqualFold(key, name) {
			delete(in, key)
		}
	}
	if value != nil {
		in[name] = value
	}
}

// validName matches the names of functions, which are those of their folders.
var validName = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,127}$`)

// functionName names a function by the first part of its route, or if that is not
// a valid name as the host itself names routes.
func functionName(route string, i int) string {
	first, _, _ := strings.Cut(route, "/")
	if !validName.MatchString(first) || strings.EqualFold(first, "host") || strings.EqualFold(first, "bin") {
		return fmt.Sprintf("http-handler%d", i+1)
	}
	return first
}

// functionJSON declares a function for HTTP. It lists no methods, so that all
// are allowed: the service's preflight is an OPTIONS.
func functionJSON(route, level string) []byte {
	type binding map[string]string
	trigger := binding{"type": "httpTrigger", "direction": "in", "name": "req", "route": route}
	if level != "" {
		trigger["authLevel"] = level
	}
	return indented(map[string][]binding{"bindings": {trigger, {"type": "http", "direction": "out", "name": "res"}}})
}

func indented(v any) []byte {
	b, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		panic(err) // it was decoded from JSON
	}
	return append(b, '\n')
}
