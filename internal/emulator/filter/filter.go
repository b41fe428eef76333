// Package filter implements the filter language of the REST API: an OData expression
// that selects the connections that a send or a change of groups applies to.
//
//	f, err := filter.Compile("userId ne 'alice' and 'news' in groups")
//	if err != nil { … }               // 400, with the service's own words
//	for _, c := range connections {
//		if f.Match(c) { … }
//	}
//
// The identifiers are userId, connectionId, groups and protocol, in any case;
// operators and functions are in lower case, and strings compare by case:
//
//	not                               binds tighter than all but in
//	eq ne gt ge lt le in              gt, ge, lt and le compare integers
//	and or                            and binds tighter than or
//	length tolower toupper trim concat substring indexof
//	contains startswith endswith
//
// A string is enclosed in single quotes, and a quote in it is doubled; an integer has 32
// bits. As in .NET, on which the service runs, length, substring and indexof
// count UTF-16 units. See
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-odata-filter.
package filter

// Subject is a connection as a filter sees it.
type Subject interface {
	// UserID returns the user id, and false for an anonymous connection, whose
	// userId is null.
	UserID() (id string, ok bool)
	ConnectionID() string
	// Protocol returns the subprotocol. A connection without one has "", and its
	// protocol is null. The reference does not have this identifier; Microsoft's
	// emulator does.
	Protocol() string
	// InGroup reports whether the connection is in the group.
	InGroup(name string) bool
	// GroupCount returns how many groups the connection is in.
	GroupCount() int
}

// Filter is a compiled filter. It never changes, so any number of goroutines
// may use it concurrently. The nil Filter matches every connection.
type Filter struct {
	root *node
}

// Compile parses and checks a filter. The empty text
// is no filter and matches every connection; text of white space alone is an
// error.
//
// The error is an [*Error]. Syntax and types are all checked here, so that a
// filter is rejected or works for all connections.
func Compile(text string) (*Filter, error) {
	if text == "" {
		return nil, nil
	}
	root, err := parse(text)
	if err == nil {
		err = check(root)
	}
	if err == nil {
		err = wantBool(root, root)
	}
	if err != nil {
		if err.Expression == "" {
			err.Expression = text
		}
		return nil, err
	}
	return &Filter{root: root}, nil
}

// Match reports whether the filter chooses the connection.
func (f *Filter) Match(s Subject) bool {
	return f == nil || eval(f.root, s) == yes
}

// Error is why a filter is rejected, in the words of the service and of
// Microsoft.OData, the parser it uses. Positions count UTF-16 units from zero.
// "Syntax error at position" gives the end of the token that is out of place,
// "expected at position" its beginning.
type Error struct {
	// Expression is the part of the filter that is wrong: the whole filter for a
	// syntax error.
	Expression string
	// Reason is the rule that it breaks.
	Reason string
}

// Error returns the whole message of the service's response.
func (e *Error) Error() string {
	return "Invalid syntax for '" + e.Expression + "': " + e.Reason + " (Parameter 'filter')"
}
