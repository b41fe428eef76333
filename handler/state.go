package handler

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
)

// MaxState is the largest connection state in bytes, in its encoded form. The
// state travels as one HTTP header of every event, and servers commonly bound
// all headers together to 8 or 16 KiB.
const MaxState = 4 << 10

// ErrStateTooLarge is the error of [ConnectionState.Set] for a state above [MaxState].
var ErrStateTooLarge = errors.New("handler: the connection state exceeds 4 KiB: keep a key here and the value in a store")

// ErrStateReadOnly is the error of [ConnectionState.Set] on an event whose answer the
// service does not read: only connect and user events can change the state.
var ErrStateReadOnly = errors.New("handler: the connection state can be changed on connect and user events only")

// State is one value of a connection's state, with its name and its type:
//
//	const visits handler.State[int] = "visits"
//
//	n, err := visits.Get(e.State())
//	…
//	err = visits.Set(e.State(), n+1)
//
// What it reads and writes, and when it fails, is told at [ConnectionState].
type State[T any] string

// Get returns the value, or the zero value where there is none.
func (k State[T]) Get(s *ConnectionState) (T, error) {
	var v T
	_, err := s.Get(string(k), &v)
	return v, err
}

// Set stores the value.
func (k State[T]) Set(s *ConnectionState, v T) error { return s.Set(string(k), v) }

// Delete removes the value.
func (k State[T]) Delete(s *ConnectionState) { s.Delete(string(k)) }

// ConnectionState is the state of a connection: named JSON values that the
// service keeps and sends with every event of the connection. Changes travel
// with the answer of a successful connect or user event; an error leaves the
// state as it was.
//
// On the wire it is a JSON object in base64, which is what web-pubsub-express
// for JavaScript reads and writes. The .NET library makes each value the base64
// text of its bytes, and takes a state with any other value for empty. What
// either wrote can be read here; Options.DotNetState writes for the second,
// where .NET handlers get events of the same connections.
//
// Events of one connection may be handled at the same time; then the last
// answer wins.
type ConnectionState struct {
	header   string
	dotNet   bool // Options.DotNetState
	parsed   bool
	writable bool
	changed  bool
	entries  []stateEntry
}

// stateEntry keeps the order of the object: the state is written as it was
// read, with new values at the end.
type stateEntry struct {
	key   string
	value json.RawMessage
}

// Get stores the value of key in v, as [json.Unmarshal] does, and reports
// whether there is one. v may also point to a json.RawMessage.
//
// A value that the .NET library wrote is a base64 string: a []byte receives its
// bytes, and a number, bool or struct the JSON in them. A string receives the
// base64 text, since nothing tells it from a text that was meant so; with
// Options.DotNetState it receives the text inside.
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

// getDotNet reads a value in the form of the .NET library, and reports false
// where it is none.
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
		if json.Unmarshal(inner, v) != nil { // bytes of a text without quotes
			*v = string(inner)
		}
		return true
	}
	return json.Unmarshal(inner, v) == nil
}

// Set stores v under key, encoded as JSON. It fails, and changes nothing, for a
// value that is not JSON, for a state above [MaxState] ([ErrStateTooLarge]) and
// on events whose answer is not read ([ErrStateReadOnly]).
func (s *ConnectionState) Set(key string, v any) error {
	if !s.writable {
		return ErrStateReadOnly
	}
	s.parse()
	raw, err := marshal(v)
	if err != nil {
		return fmt.Errorf("handler: connection state %q: %w", key, err)
	}
	if _, isBytes := v.([]byte); s.dotNet && !isBytes {
		if raw, err = marshal([]byte(raw)); err != nil {
			return fmt.Errorf("handler: connection state %q: %w", key, err)
		}
	}
	before := slices.Clone(s.entries)
	if i := s.index(key); i >= 0 {
		s.entries[i].value = raw
	} else {
		s.entries = append(s.entries, stateEntry{key, raw})
	}
	if base64.StdEncoding.EncodedLen(len(s.json())) > MaxState {
		s.entries = before
		return ErrStateTooLarge
	}
	s.changed = true
	return nil
}

// Delete removes key. It does nothing where the state is read-only.
func (s *ConnectionState) Delete(key string) {
	s.parse()
	if i := s.index(key); i >= 0 && s.writable {
		s.entries = slices.Delete(s.entries, i, i+1)
		s.changed = true
	}
}

// Clear removes everything. It does nothing where the state is read-only.
func (s *ConnectionState) Clear() {
	s.parse()
	if (len(s.entries) > 0 || s.header != "") && s.writable {
		s.entries = nil
		s.changed = true
	}
}

// Keys returns the names of the values, in the order in which they were set.
func (s *ConnectionState) Keys() []string {
	s.parse()
	keys := make([]string, len(s.entries))
	for i, e := range s.entries {
		keys[i] = e.key
	}
	return keys
}

// Raw returns the state as it came, for a program that stores something else
// than a JSON object there. Such a state reads as empty.
func (s *ConnectionState) Raw() string { return s.header }

func (s *ConnectionState) index(key string) int {
	return slices.IndexFunc(s.entries, func(e stateEntry) bool { return e.key == key })
}

// parse decodes the header at the first use: most events never look. What is
// no JSON object counts as empty, as in the official libraries.
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

func (s *ConnectionState) json() []byte {
	b := []byte{'{'}
	for i, e := range s.entries {
		if i > 0 {
			b = append(b, ',')
		}
		key, err := marshal(e.key)
		if err != nil { // a string always encodes
			continue
		}
		b = append(append(append(b, key...), ':'), e.value...)
	}
	return append(b, '}')
}

// encoded returns the header value. A cleared state is an empty object and not
// an empty header, which a proxy might drop.
func (s *ConnectionState) encoded() string { return base64.StdEncoding.EncodeToString(s.json()) }

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
