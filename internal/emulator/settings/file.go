package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/upstream"
)

// maxFile is the largest file of settings in bytes.
const maxFile = 1 << 20

// General is the settings in a file that apply to all hubs.
type General struct {
	Allowed                access.Names // accepted besides those of this machine
	RequireGroupStateRoles bool
}

// Read reads settings of hubs, and those for all hubs. The public ReadHubs documents
// the form.
func Read(r io.Reader) (map[string]Hub, General, error) {
	fail := func(err error) (map[string]Hub, General, error) { return nil, General{}, err }
	data, err := io.ReadAll(io.LimitReader(r, maxFile+1))
	if err != nil {
		return fail(err)
	}
	if len(data) > maxFile {
		return fail(errors.New("the settings exceed 1 MiB"))
	}
	f := reader{data: data, lines: make(map[string]int), line: 1}
	if err := f.scan(); err != nil {
		return fail(err)
	}
	var top struct {
		Hubs    map[string]json.RawMessage `json:"hubs"`
		Hosts   []string                   `json:"allowedHosts"`
		Origins []string                   `json:"allowedOrigins"`
		Require bool                       `json:"requireGroupStateRoles"`
	}
	if err := f.decode("", data, &top); err != nil {
		return fail(err)
	}
	allowed, err := f.names(top.Hosts, top.Origins)
	if err != nil {
		return fail(err)
	}
	hubs := make(map[string]Hub, len(top.Hubs))
	for _, name := range slices.Sorted(maps.Keys(top.Hubs)) {
		path := join("hubs", name)
		if err := names.Hub(name); err != nil {
			return fail(f.fail(path, err))
		}
		h, err := f.hub(path, top.Hubs[name])
		if err != nil {
			return fail(err)
		}
		hubs[name] = h
	}
	if _, err := normalize(hubs); err != nil {
		return fail(err)
	}
	return hubs, General{allowed, top.Require}, nil
}

// reader reads one text of settings.
type reader struct {
	data  []byte
	lines map[string]int // of every value, by its path
	paths []string       // in the order of the text

	line int   // where the scan is
	read int64 // how far it has come
}

// scan notes the line of every value, and fails for broken JSON and for a name
// that occurs twice, of which encoding/json would take the last.
func (f *reader) scan() error {
	var all json.RawMessage
	if err := json.Unmarshal(f.data, &all); err != nil {
		var syntax *json.SyntaxError
		if errors.As(err, &syntax) {
			line := 1 + bytes.Count(f.data[:min(syntax.Offset, int64(len(f.data)))], []byte("\n"))
			return fmt.Errorf("line %d: %w", line, err)
		}
		return err
	}
	return f.scanValue(json.NewDecoder(bytes.NewReader(f.data)), "", 0)
}

// maxDepth is more than settings nest. It bounds what a hostile text costs.
const maxDepth = 16

func (f *reader) scanValue(d *json.Decoder, path string, depth int) error {
	t, err := d.Token()
	if err != nil {
		return err
	}
	f.line += bytes.Count(f.data[f.read:d.InputOffset()], []byte("\n"))
	f.read = d.InputOffset()
	switch _, twice := f.lines[path]; {
	case twice:
		return f.fail(path, fmt.Errorf("it occurs a second time, on line %d", f.line))
	case depth > maxDepth:
		return fmt.Errorf("line %d: this is nested too deeply for settings", f.line)
	}
	f.lines[path] = f.line
	f.paths = append(f.paths, path)
	for i := 0; t == json.Delim('{') || t == json.Delim('['); i++ {
		if !d.More() {
			_, err := d.Token() // the closing one
			return err
		}
		child := fmt.Sprintf("%s[%d]", path, i)
		if t == json.Delim('{') {
			name, err := d.Token()
			if err != nil {
				return err
			}
			child = join(path, name.(string)) // JSON has no other names
		}
		if err := f.scanValue(d, child, depth+1); err != nil {
			return err
		}
	}
	return nil
}

func join(path, name string) string {
	if path == "" || name == "" {
		return path + name
	}
	return path + "." + name
}

func (f *reader) fail(path string, err error) error {
	if path != "" {
		err = fmt.Errorf("%s: %w", path, err)
	}
	if line, ok := f.lines[path]; ok {
		err = fmt.Errorf("line %d: %w", line, err)
	}
	return err
}

// decode decodes the value at a path strictly.
func (f *reader) decode(path string, raw json.RawMessage, v any) error {
	d := json.NewDecoder(bytes.NewReader(raw))
	d.DisallowUnknownFields()
	err := d.Decode(v)
	if err == nil {
		return nil
	}
	var wrong *json.UnmarshalTypeError
	if errors.As(err, &wrong) {
		return f.fail(join(path, wrong.Field), fmt.Errorf("%s is not what belongs here: it takes %s", wrong.Value, kindName(wrong.Type.Kind())))
	}
	if quoted, ok := strings.CutPrefix(err.Error(), "json: unknown field "); ok {
		name, _ := strconv.Unquote(quoted)
		for _, p := range f.paths {
			if strings.HasPrefix(p, path) && strings.HasSuffix(p, name) {
				return f.fail(p, errors.New("there is no such setting"))
			}
		}
	}
	return f.fail(path, err)
}

func kindName(k reflect.Kind) string {
	switch k {
	case reflect.String:
		return "a text"
	case reflect.Int, reflect.Int64:
		return "a whole number"
	case reflect.Slice:
		return "a list"
	case reflect.Bool:
		return "true or false"
	default:
		return "an object"
	}
}

// names checks each name by itself, so that an error has its line.
func (f *reader) names(hosts, origins []string) (access.Names, error) {
	for i := range hosts {
		if _, err := access.NewNames(hosts[i:i+1], nil); err != nil {
			return access.Names{}, f.fail(fmt.Sprintf("allowedHosts[%d]", i), err)
		}
	}
	for i := range origins {
		if _, err := access.NewNames(nil, origins[i:i+1]); err != nil {
			return access.Names{}, f.fail(fmt.Sprintf("allowedOrigins[%d]", i), err)
		}
	}
	return access.NewNames(hosts, origins)
}

func (f *reader) hub(path string, raw json.RawMessage) (Hub, error) {
	var in struct {
		EventHandlers  []json.RawMessage `json:"eventHandlers"`
		EventListeners []json.RawMessage `json:"eventListeners"`
		Anonymous      string            `json:"anonymousConnectPolicy"`
		KeepAlive      *int              `json:"webSocketKeepAliveIntervalInSeconds"`
		Firewall       json.RawMessage   `json:"applicationFirewall"`
	}
	if err := f.decode(path, raw, &in); err != nil {
		return Hub{}, err
	}
	var h Hub
	switch {
	case strings.EqualFold(in.Anonymous, "allow"):
		h.AllowAnonymous = true
	case in.Anonymous != "" && !strings.EqualFold(in.Anonymous, "deny"):
		return Hub{}, f.fail(path+".anonymousConnectPolicy", fmt.Errorf("%q is neither allow nor deny", in.Anonymous))
	}
	if k := in.KeepAlive; k != nil {
		if *k < 1 || *k > 120 {
			return Hub{}, f.fail(path+".webSocketKeepAliveIntervalInSeconds", fmt.Errorf("%d: 1 to 120 are allowed", *k))
		}
		h.KeepAlive = time.Duration(*k) * time.Second
	}
	if in.Firewall != nil {
		var err error
		if h.Firewall, err = f.firewall(path+".applicationFirewall", in.Firewall); err != nil {
			return Hub{}, err
		}
	}
	for i, raw := range in.EventHandlers {
		e, err := f.eventHandler(fmt.Sprintf("%s.eventHandlers[%d]", path, i), raw)
		if err != nil {
			return Hub{}, err
		}
		h.EventHandlers = append(h.EventHandlers, e)
	}
	for i, raw := range in.EventListeners {
		l, err := f.eventListener(fmt.Sprintf("%s.eventListeners[%d]", path, i), raw)
		if err != nil {
			return Hub{}, err
		}
		h.EventListeners = append(h.EventListeners, l)
	}
	return h, nil
}

// fileNames are the settings of an event handler that can break a rule.
var fileNames = map[string]string{
	"URL":          "urlTemplate",
	"UserEvents":   "userEventPattern",
	"SystemEvents": "systemEvents",
	"GroupEvents":  "groupPresenceEvents.eventNames",
}

func (f *reader) eventHandler(path string, raw json.RawMessage) (upstream.Handler, error) {
	var in struct {
		URL          string   `json:"urlTemplate"`
		UserEvents   string   `json:"userEventPattern"`
		SystemEvents []string `json:"systemEvents"`
		Presence     struct {
			EventNames   []string `json:"eventNames"`
			GroupFilters []string `json:"groupFilters"`
		} `json:"groupPresenceEvents"`
		Auth struct {
			Type            string `json:"type"`
			ManagedIdentity struct {
				Resource string `json:"resource"`
			} `json:"managedIdentity"`
		} `json:"auth"`
	}
	if err := f.decode(path, raw, &in); err != nil {
		return upstream.Handler{}, err
	}
	e := upstream.Handler{
		URL: in.URL, UserEvents: in.UserEvents, SystemEvents: in.SystemEvents,
		GroupEvents: in.Presence.EventNames, GroupFilters: in.Presence.GroupFilters,
	}
	switch t := in.Auth.Type; {
	case strings.EqualFold(t, "ManagedIdentity"):
		if e.Audience = in.Auth.ManagedIdentity.Resource; e.Audience == "" {
			return e, f.fail(path+".auth", errors.New("managedIdentity.resource is missing: give the App ID URI that the token is to be for"))
		}
	case t != "" && !strings.EqualFold(t, "None"):
		return e, f.fail(path+".auth.type", fmt.Errorf("%q is neither None nor ManagedIdentity", t))
	}
	err := e.Validate()
	var field *upstream.FieldError
	if errors.As(err, &field) {
		p := path + "." + fileNames[field.Field]
		if _, ok := f.lines[p]; !ok { // left out
			p = path
		}
		return e, f.fail(p, err)
	}
	return e, err
}
