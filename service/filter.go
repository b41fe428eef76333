package service

import (
	"errors"
	"fmt"
	"reflect"
	"strconv"
	"strings"
)

// badFilter starts what [Filter] returns when it cannot make a filter. It is no
// OData, so it can never select anybody.
const badFilter = "%!(service.Filter: "

// Filter writes an OData filter whose arguments cannot change its meaning:
// %s, %d, %t, %v and %q are replaced by the argument as an OData literal, with
// quotes where they belong. Write the verb without quotes; inside quotes it is
// safe as well. %% is a percent sign.
//
//	service.Filter("userId ne %s and %s in groups", name, group)
//	service.Filter("userId in %s", []string{"alice", "bob"})
//	service.Filter("startswith(userId, %s) or length(userId) gt %d", prefix, 8)
//
// An argument may be a string, an integer, a bool, nil for null, a non-empty
// []string for a list, or a [fmt.Stringer], which counts as its text. Where the
// arguments do not fit the format, which go vet reports, the result is a text
// that every call of this package refuses.
//
// The language is documented at
// https://learn.microsoft.com/azure/azure-web-pubsub/reference-odata-filter.
func Filter(format string, args ...any) string {
	if false {
		_ = fmt.Sprintf(format, args...) // tells go vet to check the arguments
	}
	var b strings.Builder
	quoted, next := false, 0
	for i := 0; i < len(format); i++ {
		switch format[i] {
		case '\'':
			quoted = !quoted // a doubled quote is out and in again
			b.WriteByte('\'')
			continue
		case '%':
		default:
			b.WriteByte(format[i])
			continue
		}
		i++
		if i == len(format) {
			return badFilter + "the format ends with %)"
		}
		if format[i] == '%' {
			b.WriteByte('%')
			continue
		}
		if strings.IndexByte("sdtvq", format[i]) < 0 {
			return badFilter + "unknown verb %" + format[i:i+1] + ")"
		}
		if next == len(args) {
			return badFilter + "more verbs than arguments)"
		}
		text, err := literal(args[next], quoted)
		if err != nil {
			return badFilter + "argument " + strconv.Itoa(next+1) + " " + err.Error() + ")"
		}
		b.WriteString(text)
		next++
	}
	if next < len(args) {
		return badFilter + "more arguments than verbs)"
	}
	if quoted {
		return badFilter + "a quote is not closed)"
	}
	return b.String()
}

// literal returns v in OData; for a place between quotes, without its own.
func literal(v any, quoted bool) (string, error) {
	quote := func(s string) string {
		s = strings.ReplaceAll(s, "'", "''")
		if quoted {
			return s
		}
		return "'" + s + "'"
	}
	switch v := v.(type) {
	case nil:
		if quoted {
			return "", errors.New("is nil between quotes")
		}
		return "null", nil
	case []string:
		if quoted {
			return "", errors.New("is a list between quotes")
		}
		if len(v) == 0 {
			return "", errors.New("is an empty list, which OData does not have")
		}
		items := make([]string, len(v))
		for i, s := range v {
			items[i] = quote(s)
		}
		return "(" + strings.Join(items, ",") + ")", nil
	case fmt.Stringer:
		return quote(fmt.Sprint(v)), nil // Sprint survives a nil pointer
	}
	switch r := reflect.ValueOf(v); r.Kind() {
	case reflect.String:
		return quote(r.String()), nil
	case reflect.Bool:
		return strconv.FormatBool(r.Bool()), nil
	case reflect.Int, reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		return strconv.FormatInt(r.Int(), 10), nil
	case reflect.Uint, reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		return strconv.FormatUint(r.Uint(), 10), nil
	}
	return "", fmt.Errorf("of type %T has no OData literal", v)
}

// checkFilter refuses what Filter could not make, and a filter that the chosen
// API version would ignore.
func (c *Client) checkFilter(filter string) error {
	if _, problem, bad := strings.Cut(filter, badFilter); bad {
		return errors.New("Filter: " + strings.TrimSuffix(problem, ")"))
	}
	return c.need(v2022, "a filter")
}
