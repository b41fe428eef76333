package upstream

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
)

// mappedClaims are the second names that some claims have in a connect event:
// the service reads tokens with a .NET library that renames them, and sends
// both names.
var mappedClaims = map[string]string{
	"sub":    "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
	"nameid": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier",
	"role":   "http://schemas.microsoft.com/ws/2008/06/identity/claims/role",
}

// ClaimsMap returns the decoded claims of a token in the form of a connect
// event: each value is an array of strings, a number is written in digits
// ("exp": ["1629186974"]), an object as JSON, and sub and role appear under
// their .NET names too. A claim with an empty array is left out.
func ClaimsMap(claims map[string]any) map[string][]string {
	out := make(map[string][]string, len(claims)+2)
	for _, name := range slices.Sorted(maps.Keys(claims)) { // two claims may share a second name
		values := claimValues(claims[name])
		if len(values) == 0 {
			continue
		}
		out[name] = append(out[name], values...)
		if mapped, ok := mappedClaims[name]; ok {
			out[mapped] = append(out[mapped], values...)
		}
	}
	return out
}

func claimValues(v any) []string {
	switch v := v.(type) {
	case []string:
		return v
	case []any:
		out := make([]string, 0, len(v))
		for _, e := range v {
			out = append(out, claimText(e))
		}
		return out
	}
	return []string{claimText(v)}
}

func claimText(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		return v
	case float64:
		return strconv.FormatFloat(v, 'f', -1, 64)
	case json.Number:
		if _, err := v.Int64(); err != nil { // not an integer, or with an exponent
			if f, err := v.Float64(); err == nil {
				return strconv.FormatFloat(f, 'f', -1, 64)
			}
		}
		return v.String()
	}
	b, err := json.Marshal(v)
	if err != nil {
		return "" // not a value that JSON decodes to
	}
	return string(b)
}
