package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"example.com/webpubsub/webapp"
)

// ownSettings are settings of the application that its configuration does not
// read: package hosting does.
var ownSettings = []string{"WebPubSubBasePath"}

// checkSettings checks the settings in a file as the application would, and
// returns them.
func (c *checker) checkSettings(file string) (map[string]string, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, err
	}
	values, local, err := parseSettings(text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", file, err)
	}
	before := c.failed
	asked := make(map[string]bool)
	get := func(name string) string {
		asked[name] = true
		return values[name]
	}
	if _, err := webapp.ConfigFromEnv(get); err != nil {
		for line := range strings.Lines(err.Error()) {
			c.fail("settings", strings.TrimSpace(line))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(values)) {
		switch value := values[name]; {
		case strings.Contains(name, ":"):
			c.fail("settings", name+": a colon in a name does not reach the environment on Linux", "write "+strings.ReplaceAll(name, ":", "__"))
		case name == "FUNCTIONS_WORKER_RUNTIME" && value != "custom":
			c.fail("settings", fmt.Sprintf("FUNCTIONS_WORKER_RUNTIME is %q: the host looks for functions in another language, and finds none", clean(value)), "set it to custom, or on Flex Consumption remove it")
		case name == "FUNCTIONS_CLI_NATIVE_LANGUAGE":
			c.fail("settings", name+" is set: it selects the Go runtime of Azure Functions, which does not start a custom handler", "remove it")
		case strings.HasPrefix(strings.ToLower(name), "webpubsub") && !asked[name] && !slices.Contains(ownSettings, name):
			c.note("settings", name+" is not a setting of this application: compare the spelling")
		}
	}
	if _, ok := values["FUNCTIONS_WORKER_RUNTIME"]; local && !ok {
		c.fail("settings", "FUNCTIONS_WORKER_RUNTIME is missing: func prompts for a language", "set it to custom")
	}
	if c.failed == before {
		c.ok("settings", "%s is complete", file)
	}
	return values, nil
}

// parseSettings reads local.settings.json, or what the Azure CLI prints of an app:
// a list of names and values. local reports whether it was the first.
func parseSettings(text []byte) (values map[string]string, local bool, err error) {
	var file struct {
		IsEncrypted *bool
		Values      map[string]string
	}
	if err := json.Unmarshal(text, &file); err == nil && file.Values != nil {
		if file.IsEncrypted == nil || *file.IsEncrypted {
			return nil, true, errors.New("IsEncrypted must be present and false: func takes a file without it for an encrypted one")
		}
		return file.Values, true, nil
	}
	var list []struct{ Name, Value string }
	if err := json.Unmarshal(text, &list); err != nil {
		return nil, false, errors.New(`neither a local.settings.json ({"IsEncrypted": false, "Values": {…}}) nor the list that "az functionapp config appsettings list" prints`)
	}
	values = make(map[string]string, len(list))
	for _, s := range list {
		values[s.Name] = s.Value
	}
	return values, false, nil
}
