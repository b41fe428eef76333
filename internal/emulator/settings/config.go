package settings

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/tailscale/hujson"
)

// section is a part of a configuration of .NET: a tree of names, which are compared
// without case, with a text at some of them. An element of an array has its index as
// its name. Sources are added one after another; the later one replaces the texts
// that it has too. (Microsoft Learn, "Configuration in .NET".)
type section struct {
	path     string // as the newest source spells it, with : between names
	from     string // the newest source, for errors
	value    *string
	children map[string]*section // by lower-case name
}

// get returns a child, or nil.
func (s *section) get(name string) *section {
	if s == nil {
		return nil
	}
	return s.children[strings.ToLower(name)]
}

// maxNesting is what System.Text.Json reads by default.
const maxNesting = 64

// set replaces the text at a path.
func (s *section) set(path, value, from string) error {
	if strings.Count(path, ":") > maxNesting {
		return fmt.Errorf("%s: this is nested too deeply for settings", from)
	}
	for name := range strings.SplitSeq(path, ":") {
		key := strings.ToLower(name)
		if s.children == nil {
			s.children = make(map[string]*section)
		}
		child := s.children[key]
		if child == nil {
			child = &section{}
			s.children[key] = child
		}
		child.path, child.from = name, from
		if s.path != "" {
			child.path = s.path + ":" + name
		}
		s = child
	}
	s.value = &value
	return nil
}

// name returns the last name of the path.
func (s *section) name() string { return s.path[strings.LastIndexByte(s.path, ':')+1:] }

// sorted returns the children: numbers by value, then names.
func (s *section) sorted() []*section {
	type child struct {
		*section
		name   string
		number int
	}
	var all []child
	for name, c := range s.children {
		n, err := strconv.Atoi(name)
		if err != nil {
			n = -1
		}
		all = append(all, child{c, name, n})
	}
	slices.SortFunc(all, func(a, b child) int {
		switch {
		case a.number >= 0 && b.number >= 0:
			return a.number - b.number
		case a.number >= 0:
			return -1
		case b.number >= 0:
			return 1
		}
		return strings.Compare(a.name, b.name)
	})
	out := make([]*section, len(all))
	for i, c := range all {
		out[i] = c.section
	}
	return out
}

// errorf returns an error that names the setting and its source.
func (s *section) errorf(format string, args ...any) error {
	return fmt.Errorf("%s (%s): %w", s.path, s.from, fmt.Errorf(format, args...))
}

// addJSON adds a JSON file, in which comments and trailing commas are allowed. As in
// .NET a name that occurs twice is an error.
func (s *section) addJSON(data []byte, file string) error {
	data = bytes.TrimPrefix(data, []byte("\xef\xbb\xbf"))
	if len(data) > maxFile {
		return errors.New("the settings exceed 1 MiB")
	}
	// Unlike the library, the number of brackets is bounded before it recurses.
	if bytes.Count(data, []byte("["))+bytes.Count(data, []byte("{")) > 10_000 {
		return errors.New("these are too many objects and lists for settings")
	}
	// A comment may end with the file, for .NET but not for the library.
	standard, err := hujson.Standardize(append(slices.Clip(data), '\n'))
	if err != nil {
		return errors.New(strings.TrimPrefix(err.Error(), "hujson: "))
	}
	j := jsonSource{data: standard, d: json.NewDecoder(bytes.NewReader(standard)), file: file, seen: make(map[string]int), line: 1}
	j.d.UseNumber()
	if t := bytes.TrimSpace(standard); len(t) == 0 || t[0] != '{' {
		return errors.New("the settings are not a JSON object")
	}
	return j.add(s, "", 0)
}

// jsonSource reads the values of one file.
type jsonSource struct {
	data []byte // without comments, which leaves lines where they are
	d    *json.Decoder
	file string
	seen map[string]int // line by lower-case path

	line int
	read int64 // how far lines are counted
}

func (j *jsonSource) add(s *section, path string, depth int) error {
	t, err := j.d.Token()
	if err != nil {
		return err
	}
	j.line += bytes.Count(j.data[j.read:j.d.InputOffset()], []byte("\n"))
	j.read = j.d.InputOffset()
	if depth > maxNesting { // of empty objects and lists
		return fmt.Errorf("line %d: this is nested too deeply for settings", j.line)
	}
	if t == json.Delim('{') || t == json.Delim('[') {
		for i := 0; j.d.More(); i++ {
			name := strconv.Itoa(i)
			if t == json.Delim('{') {
				n, err := j.d.Token()
				if err != nil {
					return err
				}
				name = n.(string) // JSON has no other names
			}
			if path != "" {
				name = path + ":" + name
			}
			if err := j.add(s, name, depth+1); err != nil {
				return err
			}
		}
		_, err := j.d.Token() // the closing one
		return err
	}
	key := strings.ToLower(path)
	if first, twice := j.seen[key]; twice {
		return fmt.Errorf("line %d: %s: it occurs a second time, first on line %d; names are compared without case", j.line, path, first)
	}
	j.seen[key] = j.line
	value := ""
	if t != nil {
		value = fmt.Sprint(t)
	}
	return s.set(path, value, fmt.Sprintf("%s, line %d", j.file, j.line))
}

// addVariables adds the environment variables, each NAME=value, whose names begin
// with the prefix in any case. What follows the prefix is a path, in which __ is the
// same as a colon.
func (s *section) addVariables(environ []string, prefix string) error {
	for _, v := range environ {
		name, value, _ := strings.Cut(v, "=")
		if len(name) > len(prefix) && strings.EqualFold(name[:len(prefix)], prefix) {
			if err := s.set(strings.ReplaceAll(name[len(prefix):], "__", ":"), value, "environment variable "+name); err != nil {
				return err
			}
		}
	}
	return nil
}
