package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"path"
	"path/filepath"
	"regexp"
	"strings"
)

// route is one of host.json's customHandler.http.routes, each a function.
type route struct {
	Route              string `json:"route"`
	AuthorizationLevel string `json:"authorizationLevel,omitempty"`
}

// hostJSON is what is read of host.json.
type hostJSON struct {
	CustomHandler struct {
		Description struct {
			DefaultExecutablePath string `json:"defaultExecutablePath"`
		} `json:"description"`
		HTTP struct {
			DefaultAuthorizationLevel string  `json:"defaultAuthorizationLevel"`
			Routes                    []route `json:"routes"`
		} `json:"http"`
	} `json:"customHandler"`
}

// functionApp returns the files of a function app besides its executable, and
// the path of that. The program of one function, such as ./functions/events,
// gets the routes that begin with its name; ./functions gets all.
func functionApp(text []byte, program string, older bool) (files []packageFile, executable string, err error) {
	var h hostJSON
	var all map[string]any
	if err := errors.Join(json.Unmarshal(text, &h), json.Unmarshal(text, &all)); err != nil {
		return nil, "", fmt.Errorf("host.json: %w", err)
	}
	executable = h.CustomHandler.Description.DefaultExecutablePath
	if executable == "" || strings.Contains(executable, `\`) || !filepath.IsLocal(executable) || path.Clean(executable) != executable {
		return nil, "", fmt.Errorf("host.json: defaultExecutablePath is %q: write a path like bin/functions, without ./ and with forward slashes", executable)
	}
	name := path.Base(filepath.ToSlash(program))
	var routes []route
	for _, r := range h.CustomHandler.HTTP.Routes {
		if first, _, _ := strings.Cut(r.Route, "/"); name == "functions" || first == name {
			routes = append(routes, r)
		}
	}
	if len(routes) == 0 {
		return nil, "", fmt.Errorf("host.json: no route of customHandler.http begins with %s, the name of the program: the host would find no function", name)
	}

	if !older && len(routes) == len(h.CustomHandler.HTTP.Routes) {
		return []packageFile{{"host.json", 0o644, text}}, executable, nil
	}
	handler, err := section(all, "customHandler")
	if err != nil {
		return nil, "", err
	}
	http, err := section(handler, "http")
	if err != nil {
		return nil, "", err
	}
	if !older {
		set(http, "routes", routes)
		return []packageFile{{"host.json", 0o644, indented(all)}}, executable, nil
	}
	// Hosts before 4.1044 know neither routes nor proxying, and newer ones refuse
	// routes beside a function.json.
	set(handler, "http", nil)
	set(handler, "enableProxyingHttpRequest", nil)
	set(handler, "enableForwardingHttpRequest", true)
	files = append(files, packageFile{"host.json", 0o644, indented(all)})
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
		files = append(files, packageFile{folder + "/function.json", 0o644, functionJSON(r.Route, level)})
	}
	return files, executable, nil
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
		return nil, fmt.Errorf("host.json: %s must be there once, as an object", name)
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

// nameOfFunction is what the host takes as a function's name, which is that of
// its folder.
var nameOfFunction = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]{0,127}$`)

// functionName names a function by the first part of its route, or where that
// is none as the host itself names routes.
func functionName(route string, i int) string {
	first, _, _ := strings.Cut(route, "/")
	if !nameOfFunction.MatchString(first) || strings.EqualFold(first, "host") || strings.EqualFold(first, "bin") {
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
