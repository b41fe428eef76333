package webpubsub

import "strings"

// Filter is an OData expression that selects connections, for example
// "userId ne 'alice' and 'news' in groups". The empty Filter selects every
// connection.
//
// The Filter functions build expressions from values of any content: they quote
// each value, so that it cannot change the meaning of the expression.
//
//	webpubsub.FilterGroup("news").And(webpubsub.FilterUsers(author).Not())
//
// What they do not cover can be written by hand, with [FilterLiteral] around
// each value:
//
//	webpubsub.Filter("endswith(userId, " + webpubsub.FilterLiteral(suffix) + ")")
//
// The language is documented at
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-odata-filter.
type Filter string

// FilterUsers selects the connections of the users with these IDs. Without an
// ID it selects no connection.
func FilterUsers(ids ...string) Filter { return oneOf("userId", ids) }

// FilterConnections selects the connections with these IDs. Without an ID it
// selects no connection.
func FilterConnections(ids ...string) Filter { return oneOf("connectionId", ids) }

// FilterGroup selects the connections in a group.
func FilterGroup(group string) Filter { return Filter(FilterLiteral(group) + " in groups") }

// FilterUserPrefix selects the connections of users whose ID starts with prefix.
func FilterUserPrefix(prefix string) Filter {
	return Filter("startswith(userId, " + FilterLiteral(prefix) + ")")
}

// FilterAnonymous selects the connections that have no user ID.
func FilterAnonymous() Filter { return "userId eq null" }

// FilterLiteral returns s as an OData string literal: in quotes, with each quote
// in it doubled.
func FilterLiteral(s string) string { return "'" + strings.ReplaceAll(s, "'", "''") + "'" }

// And returns a filter that selects the connections that both f and g select.
func (f Filter) And(g Filter) Filter {
	switch {
	case f == "":
		return g
	case g == "":
		return f
	}
	return "(" + f + ") and (" + g + ")"
}

// Or returns a filter that selects the connections that f, g, or both select.
func (f Filter) Or(g Filter) Filter {
	if f == "" || g == "" {
		return ""
	}
	return "(" + f + ") or (" + g + ")"
}

// Not returns a filter that selects the connections that f does not select.
func (f Filter) Not() Filter {
	if f == "" {
		return "false"
	}
	return "not (" + f + ")"
}

func oneOf(field string, values []string) Filter {
	switch len(values) {
	case 0:
		return "false" // OData has no empty list
	case 1:
		return Filter(field + " eq " + FilterLiteral(values[0]))
	}
	quoted := make([]string, len(values))
	for i, v := range values {
		quoted[i] = FilterLiteral(v)
	}
	return Filter(field + " in (" + strings.Join(quoted, ",") + ")")
}
