package settings

import (
	"maps"
	"slices"
	"strconv"
	"strings"
)

// fields are the settings that a section may have, with what reads each.
type fields map[string]func(*section) error

// fields reads a section, in which any other name is an error.
func (s *section) fields(known fields) error {
	if s == nil {
		return nil
	}
	if s.value != nil && *s.value != "" {
		return s.errorf("a text is not what belongs here: it takes an object")
	}
next:
	for _, child := range s.sorted() {
		for name, read := range known {
			if strings.EqualFold(name, child.name()) {
				if err := read(child); err != nil {
					return err
				}
				continue next
			}
		}
		return child.errorf("there is no such setting; there are %s", strings.Join(slices.Sorted(maps.Keys(known)), ", "))
	}
	return nil
}

// string reads a text.
func (s *section) string(out *string) error {
	if len(s.children) > 0 {
		return s.errorf("an object or a list is not what belongs here: it takes a text")
	}
	*out = *s.value
	return nil
}

func (s *section) bool(out *bool) error {
	var text string
	if err := s.string(&text); err != nil || text == "" {
		return err
	}
	switch {
	case strings.EqualFold(text, "true"):
		*out = true
	case strings.EqualFold(text, "false"):
		*out = false
	default:
		return s.errorf("%q is neither true nor false", text)
	}
	return nil
}

// list reads a list of texts.
func (s *section) list(out *[]string) error {
	if s.value != nil && *s.value != "" {
		return s.errorf("a text is not what belongs here: it takes a list, whose first element is %s:0", s.path)
	}
	for _, child := range s.sorted() {
		var text string
		if err := child.string(&text); err != nil {
			return err
		}
		*out = append(*out, text)
	}
	return nil
}

// plain returns the section as a value for JSON: texts that are whole numbers as
// numbers, and children with indexes as a list.
func (s *section) plain() any {
	if len(s.children) == 0 {
		if n, err := strconv.ParseInt(*s.value, 10, 64); err == nil {
			return n
		}
		return *s.value
	}
	all := s.sorted()
	if _, err := strconv.Atoi(all[0].name()); err != nil {
		out := make(map[string]any, len(all))
		for _, child := range all {
			out[child.name()] = child.plain()
		}
		return out
	}
	out := make([]any, len(all))
	for i, child := range all {
		out[i] = child.plain()
	}
	return out
}
