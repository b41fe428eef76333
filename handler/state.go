package handler

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
)

// MaxStateSize is the maximum size of a connection state in bytes, in its encoded
// form. The state is one HTTP header of each event, and servers commonly limit all
// headers together to 8 or 16 KiB.
const MaxStateSize = 4 << 10

var errStateTooLarge = errors.New("the connection state exceeds 4 KiB: store large values externally and keep only a reference")

// ConnectionState is the state of a connection as an event carries it: named JSON
// values that the service stores for the connection. It is read-only; the
// responses to connect and user events change it, see [EventResponse].State and
// [ConnectResponse].State.
//
// The encoding is a JSON object in base64, as web-pubsub-express for JavaScript
// reads and writes it. Microsoft's .NET library writes each value as the base64
// text of its bytes, and reads a state with any other value as empty. Get reads
// both; with Options.DotNetStateFormat the handler writes the second.
type ConnectionState struct {
	header  string
	dotNet  bool // Options.DotNetStateFormat
	parsed  bool
	entries []stateEntry
}

// stateEntry keeps the order of the object: the state is written as it was read,
// with new values at the end.
type stateEntry struct {
	key   string
	value json.RawMessage
}

// StateValue returns the value of key, or the zero value if there is none.
//
//	visits, err := handler.StateValue[int](e.State(), "visits")
//	...
//	return &handler.EventResponse{State: map[string]any{"visits": visits + 1}}, nil
func StateValue[T any](s *ConnectionState, key string) (T, error) {
	var v T
	_, err := s.Get(key, &v)
	return v, err
}

// Get stores the value of key in v, as [json.Unmarshal] does, and reports whether
// the state contains the key. v can also be a *json.RawMessage.
//
// A value that the .NET library wrote is a base64 string. Get decodes it into a
// []byte, and the JSON in it into a number, bool or struct. A string receives the
// base64 text, which cannot be distinguished from other text; with
// Options.DotNetStateFormat it receives the decoded text.
func (s *ConnectionState) Get(key string, v any) (bool, error) {
	s.parse()
	i := s.index(key)
	if i < 0 {
		return false, nil
	}
	raw := s.entries[i].value
	if s.dotNet && getDotNet(raw, v) {
		return true, nil
	}
	err := json.Unmarshal(raw, v)
	if err == nil || getDotNet(raw, v) {
		return true, nil
	}
	return true, fmt.Errorf("handler: connection state %q: %w", key, err)
}

// getDotNet decodes a value in the format of the .NET library. It returns false if
// the value is not in this format.
func getDotNet(raw json.RawMessage, v any) bool {
	var inner []byte
	if json.Unmarshal(raw, &inner) != nil {
		return false
	}
	switch v := v.(type) {
	case *[]byte:
		*v = inner
		return true
	case *string:
		if json.Unmarshal(inner, v) != nil { // text without quotes
			*v = string(inner)
		}
		return true
	}
	return json.Unmarshal(inner, v) == nil
}

// Keys returns the names of the values in the order in which they were set.
func (s *ConnectionState) Keys() []string {
	s.parse()
	keys := make([]string, len(s.entries))
	for i, e := range s.entries {
		keys[i] = e.key
	}
	return keys
}

// Raw returns the state as it was received, for programs that store something
// other than a JSON object in it. Such a state has no keys.
func (s *ConnectionState) Raw() string { return s.header }

func (s *ConnectionState) index(key string) int {
	return slices.IndexFunc(s.entries, func(e stateEntry) bool { return e.key == key })
}

// parse decodes the header when it is first needed, which for most events is
// never. A state that is not a JSON object is empty, as in the official libraries.
func (s *ConnectionState) parse() {
	if s.parsed {
		return
	}
	s.parsed = true
	decoded, err := base64.StdEncoding.DecodeString(s.header)
	if err != nil || !json.Valid(decoded) {
		return
	}
	d := json.NewDecoder(bytes.NewReader(decoded))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return
	}
	seen := make(map[string]int)
	for d.More() {
		t, err := d.Token()
		key, ok := t.(string)
		if err != nil || !ok {
			s.entries = nil
			return
		}
		var raw json.RawMessage
		if err := d.Decode(&raw); err != nil {
			s.entries = nil
			return
		}
		if i, ok := seen[key]; ok {
			s.entries[i].value = raw
			continue
		}
		seen[key] = len(s.entries)
		s.entries = append(s.entries, stateEntry{key, raw})
	}
}

// addState adds the state of the connection with the changes that a callback
// returned, if there are any.
func (r *response) addState(s *ConnectionState, changes map[string]any) error {
	if len(changes) == 0 {
		return nil
	}
	s.parse()
	entries := slices.Clone(s.entries)
	// Sorted, so that the same changes always give the same state.
	for _, key := range slices.Sorted(maps.Keys(changes)) {
		i := slices.IndexFunc(entries, func(e stateEntry) bool { return e.key == key })
		if changes[key] == nil {
			if i >= 0 {
				entries = slices.Delete(entries, i, i+1)
			}
			continue
		}
		raw, err := encodeStateValue(changes[key], s.dotNet)
		if err != nil {
			return fmt.Errorf("%q: %w", key, err)
		}
		if i >= 0 {
			entries[i].value = raw
		} else {
			entries = append(entries, stateEntry{key, raw})
		}
	}
	// A state without values is an empty object: a proxy could drop an empty
	// header.
	state := base64.StdEncoding.EncodeToString(encodeState(entries))
	if len(state) > MaxStateSize {
		return errStateTooLarge
	}
	r.state = state
	return nil
}

func encodeStateValue(v any, dotNet bool) (json.RawMessage, error) {
	raw, err := marshal(v)
	if _, isBytes := v.([]byte); err != nil || !dotNet || isBytes {
		return raw, err
	}
	return marshal([]byte(raw))
}

func encodeState(entries []stateEntry) []byte {
	b := []byte{'{'}
	for i, e := range entries {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := marshal(e.key)
		if err != nil { // a string can always be encoded
			continue
		}
		b = append(append(append(b, key...), ':'), e.value...)
	}
	return append(b, '}')
}

// marshal encodes without HTML escaping, as the official libraries do.
func marshal(v any) (json.RawMessage, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(v); err != nil {
		return nil, err
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n")), nil
}
