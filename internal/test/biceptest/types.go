package biceptest

import (
	"bytes"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// Types is a table of resource types, by type@version.
type Types map[string]*schema

// schema is a type of values. The zero value is any value.
type schema struct {
	base     string // string, int, bool, object, array; empty is any
	values   []string
	pattern  *regexp.Regexp
	min, max int // of an int, where max > 0
	props    map[string]*schema
	elem     *schema // of an array or a map
	required bool
	readOnly bool
	secret   bool
	methods  map[string]*schema
}

var (
	anything  = &schema{}
	aString   = &schema{base: "string"}
	aBool     = &schema{base: "bool"}
	anInt     = &schema{base: "int"}
	anArray   = &schema{base: "array", elem: anything}
	anyObject = &schema{base: "object", elem: anything}
)

// LoadTypes reads the table; infra/testdata/types.json says how it is written.
func LoadTypes(text []byte) (Types, error) {
	var raw struct {
		About     []string
		Resources map[string]map[string]json.RawMessage
	}
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	if err := d.Decode(&raw); err != nil {
		return nil, fmt.Errorf("types: %w", err)
	}
	types := make(Types)
	for name, members := range raw.Resources {
		methods := members["functions"]
		delete(members, "functions")
		s, err := objectSchema(members)
		if err == nil && methods != nil {
			var all *schema
			if all, err = readSchema(methods); err == nil {
				s.methods = all.props
			}
		}
		if err != nil {
			return nil, fmt.Errorf("types: %s: %w", name, err)
		}
		for _, known := range []string{"id", "type", "apiVersion"} {
			s.props[known] = &schema{base: "string", readOnly: true}
		}
		types[name] = s
	}
	return types, nil
}

func objectSchema(members map[string]json.RawMessage) (*schema, error) {
	s := &schema{base: "object", props: make(map[string]*schema)}
	for key, raw := range members {
		p, err := readSchema(raw)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", key, err)
		}
		if key == "*" {
			s.elem = p
			continue
		}
		name := strings.TrimRight(key, "!-+")
		switch key[len(name):] {
		case "":
		case "!":
			p.required = true
		case "-":
			p.readOnly = true
		case "+":
			p.readOnly, p.secret = true, true
		default:
			return nil, fmt.Errorf("%s: at most one of ! - + is a mark", key)
		}
		s.props[name] = p
	}
	return s, nil
}

var (
	rangeOfInts = regexp.MustCompile(`^(\d+)\.\.(\d+)$`)
	someInts    = regexp.MustCompile(`^\d+( \| \d+)+$`)
	someStrings = regexp.MustCompile(`^'[^']*'( \| '[^']*')*$`)
)

func readSchema(raw json.RawMessage) (*schema, error) {
	switch raw[0] {
	case '{':
		var members map[string]json.RawMessage
		if err := json.Unmarshal(raw, &members); err != nil {
			return nil, err
		}
		return objectSchema(members)
	case '[':
		var items []json.RawMessage
		if err := json.Unmarshal(raw, &items); err != nil || len(items) != 1 {
			return nil, fmt.Errorf("an array has one type: %s", raw)
		}
		elem, err := readSchema(items[0])
		return &schema{base: "array", elem: elem}, err
	}
	var text string
	if err := json.Unmarshal(raw, &text); err != nil {
		return nil, err
	}
	switch {
	case text == "string" || text == "int" || text == "bool":
		return &schema{base: text}, nil
	case someStrings.MatchString(text):
		return &schema{base: "string", values: strings.Split(text[1:len(text)-1], "' | '")}, nil
	case someInts.MatchString(text):
		return &schema{base: "int", values: strings.Split(text, " | ")}, nil
	case len(text) > 1 && text[0] == '/' && text[len(text)-1] == '/':
		re, err := regexp.Compile(text[1 : len(text)-1])
		return &schema{base: "string", pattern: re}, err
	}
	if m := rangeOfInts.FindStringSubmatch(text); m != nil {
		s := &schema{base: "int"}
		s.min, _ = strconv.Atoi(m[1])
		s.max, _ = strconv.Atoi(m[2])
		return s, nil
	}
	return nil, fmt.Errorf("%q is no type", text)
}

// refuses says why a value is not of the type, or nothing. Of objects and arrays
// it looks at the kind alone.
func (s *schema) refuses(v any) string {
	switch v := v.(type) {
	case string:
		switch {
		case s.base == "string" && s.values != nil && !slices.Contains(s.values, v):
			return fmt.Sprintf("%q is none of %s", v, strings.Join(s.values, ", "))
		case s.base == "string" && s.pattern != nil && !s.pattern.MatchString(v):
			return fmt.Sprintf("%q does not match %s", v, s.pattern)
		case s.base != "string" && s.base != "":
			return fmt.Sprintf("%q is a string, want %s", v, s.base)
		}
	case int:
		switch {
		case s.base != "int" && s.base != "":
			return fmt.Sprintf("%d is an int, want %s", v, s.base)
		case s.values != nil && !slices.Contains(s.values, strconv.Itoa(v)):
			return fmt.Sprintf("%d is none of %s", v, strings.Join(s.values, ", "))
		case s.max > 0 && (v < s.min || v > s.max):
			return fmt.Sprintf("%d is not in %d..%d", v, s.min, s.max)
		}
	case bool:
		if s.base != "bool" && s.base != "" {
			return fmt.Sprintf("%t is a bool, want %s", v, s.base)
		}
	}
	return ""
}
