package functionapp

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"slices"
	"strings"
)

// Finding is what is wrong with a package.
type Finding struct {
	// Fatal is false for what works on some hosts or plans only.
	Fatal bool
	// Text describes what is found and what the platform does with it.
	Text string
	// Remedy is what to change.
	Remedy string
}

// repackage is the remedy for what "webpubsub package" does right by itself.
const repackage = "make the package with \"webpubsub package\""

// Check returns what is wrong with the files of a package for Azure Functions, or
// for AWS Lambda if it has a file bootstrap and no host.json. A package that
// Check finds nothing in is started by the platform.
func Check(pkg fs.FS) ([]Finding, error) {
	var c checker
	text, err := fs.ReadFile(pkg, "host.json")
	switch {
	case err == nil:
		err = c.function(pkg, text)
		return c.findings, err
	case !errors.Is(err, fs.ErrNotExist):
		return nil, err
	}
	if _, err := fs.Stat(pkg, "bootstrap"); err == nil {
		err = c.executable(pkg, "bootstrap", elf.EM_AARCH64, elf.EM_X86_64)
		return c.findings, err
	}
	c.fatal("there is neither host.json nor bootstrap at the root of the package: the platform finds no function",
		"put the files themselves into the zip, not a folder with them; "+repackage)
	return c.findings, nil
}

type checker struct{ findings []Finding }

func (c *checker) fatal(text, remedy string) {
	c.findings = append(c.findings, Finding{true, text, remedy})
}

func (c *checker) note(text, remedy string) {
	c.findings = append(c.findings, Finding{false, text, remedy})
}

func (c *checker) function(pkg fs.FS, text []byte) error {
	var h hostJSON
	if err := json.Unmarshal(text, &h); err != nil {
		c.fatal("host.json cannot be read: "+err.Error(), "correct the file")
		return nil
	}
	if h.Version != "2.0" {
		c.fatal(fmt.Sprintf("host.json: version is %q: the host does not start", h.Version), `set it to "2.0"`)
	}
	handler := h.CustomHandler
	if err := checkExecutablePath(handler.Description.DefaultExecutablePath); err != nil {
		c.fatal(err.Error(), repackage)
	} else if err := c.executable(pkg, handler.Description.DefaultExecutablePath, elf.EM_X86_64); err != nil {
		return err
	}
	declared, err := fs.Glob(pkg, "*/function.json")
	if err != nil {
		return err
	}
	routes := len(handler.HTTP.Routes) > 0
	switch {
	case routes && len(declared) > 0:
		c.fatal(errBoth.Error(), "remove one of the two; "+repackage)
	case len(declared) == 0 && !routes:
		c.fatal("no function: host.json has no customHandler.http.routes, and no folder at the root has a function.json, deeper ones are not found. The response to every request is 404, and the log contains \"No job functions found\"", repackage)
	case routes:
		c.note("the functions are declared in host.json alone (customHandler.http.routes): a host before 4.1044 finds none, and responds to every request with 404", repackage+", which runs on every host")
	}
	switch proxying, forwarding := handler.EnableProxyingHTTPRequest, handler.EnableForwardingHTTPRequest; {
	case !proxying && !forwarding:
		c.fatal("host.json: neither enableProxyingHttpRequest nor enableForwardingHttpRequest is set: the host posts its own JSON to other paths, and the response to every request is 500", "set both")
	case !proxying:
		c.note("host.json: enableProxyingHttpRequest is not set: the host buffers responses, and responds to a request with a chunked body with 500", "set it to true as well")
	case !forwarding && !routes:
		c.note("host.json: enableForwardingHttpRequest is not set: a host before 4.1044 does not know the other flag, and responds to every request with 500", "set it to true as well")
	}
	for _, name := range declared {
		if err := c.declared(pkg, name); err != nil {
			return err
		}
	}
	if _, err := fs.Stat(pkg, "local.settings.json"); err == nil {
		c.fatal("local.settings.json is in the package, with the keys in it: everyone who can read the deployment can read them", "leave it out (.funcignore), and regenerate the keys if this was deployed; "+repackage)
	}
	return nil
}

// executable checks the file that the platform starts.
func (c *checker) executable(pkg fs.FS, name string, machines ...elf.Machine) error {
	info, err := fs.Stat(pkg, name)
	if errors.Is(err, fs.ErrNotExist) {
		c.fatal(name+" is not in the package: the platform has nothing to start", "build it first; "+repackage)
		return nil
	}
	if err != nil {
		return err
	}
	if info.Mode()&0o111 == 0 {
		c.fatal(fmt.Sprintf("%s is not executable (mode %04o), as in a zip that was made on Windows: it is not started, and the response to a request is 500 after minutes. Only the consumption plans of Azure Functions set the mode themselves", name, info.Mode().Perm()), repackage)
	}
	data, err := fs.ReadFile(pkg, name)
	if err != nil {
		return err
	}
	if bytes.HasPrefix(data, []byte("#!")) {
		return nil
	}
	binary, err := elf.NewFile(bytes.NewReader(data))
	if err != nil {
		c.fatal(name+" is not a program for Linux", "build with GOOS=linux; "+repackage)
		return nil
	}
	if !slices.Contains(machines, binary.Machine) {
		c.note(fmt.Sprintf("%s is for the processor %s", name, strings.TrimPrefix(binary.Machine.String(), "EM_")), "the plans of Azure Functions have x86-64, Lambda that of Architectures: give package -arch")
	}
	return nil
}

// declared checks a function.json.
func (c *checker) declared(pkg fs.FS, name string) error {
	text, err := fs.ReadFile(pkg, name)
	if err != nil {
		return err
	}
	var f struct {
		Bindings []struct {
			Type      string   `json:"type"`
			Direction string   `json:"direction"`
			AuthLevel string   `json:"authLevel"`
			Methods   []string `json:"methods"`
		} `json:"bindings"`
	}
	if err := json.Unmarshal(text, &f); err != nil {
		c.fatal(name+" cannot be read: "+err.Error(), "correct the file")
		return nil
	}
	if !validName.MatchString(path.Dir(name)) {
		c.fatal(path.Dir(name)+" is not a valid name of a function: it is ignored", "begin with a letter, and use letters, digits, - and _")
	}
	if b := f.Bindings; len(b) != 2 || b[0].Type != "httpTrigger" || b[1].Type != "http" {
		c.fatal(name+": the bindings are not one httpTrigger and one http: the host passes no requests on to the handler for this function", "leave out the others")
		return nil
	}
	trigger := f.Bindings[0]
	for _, method := range []string{http.MethodOptions, http.MethodPost} {
		if len(trigger.Methods) > 0 && !slices.ContainsFunc(trigger.Methods, func(m string) bool { return strings.EqualFold(m, method) }) {
			c.note(name+": methods leaves out "+strings.ToLower(method)+": if the service's events go to this function the response is 404", "leave out methods, which allows all")
		}
	}
	if !strings.EqualFold(trigger.AuthLevel, "anonymous") {
		c.note(name+": requests need a function key (authLevel is not anonymous): the service has one only if it is in the URL of the event handler", "set authLevel to anonymous: the handler verifies events itself")
	}
	return nil
}
