package journal

import (
	"maps"
	"net/url"
	"regexp"
	"slices"
	"strings"
)

// Removed replaces a secret.
const Removed = "[removed]"

// secretHeaders are headers that contain credentials, in lower case.
var secretHeaders = []string{
	"authorization", "proxy-authorization", "cookie", "set-cookie", "ce-signature",
	"x-functions-key", "x-api-key", "ocp-apim-subscription-key", "x-ms-client-principal", "x-ms-token-aad-access-token",
}

// secretParameters are query parameters that do, in lower case.
var secretParameters = []string{"access_token", "token", "code", "sig", "key", "awps_reconnection_token", "client_secret"}

// RedactHeader returns a header without secrets.
func RedactHeader(h map[string][]string) map[string][]string {
	out := make(map[string][]string, len(h))
	for _, name := range slices.Sorted(maps.Keys(h)) {
		values := slices.Clone(h[name])
		if slices.Contains(secretHeaders, strings.ToLower(name)) {
			values = []string{Removed}
		}
		out[name] = values
	}
	return out
}

// RedactURL returns an address, or a path, without the secrets in its query.
func RedactURL(address string) string {
	path, query, ok := strings.Cut(address, "?")
	if !ok {
		return address
	}
	parts := strings.Split(query, "&")
	for i, p := range parts {
		name, _, _ := strings.Cut(p, "=")
		if plain, err := url.QueryUnescape(name); err == nil && slices.Contains(secretParameters, strings.ToLower(plain)) {
			parts[i] = name + "=" + Removed
		}
	}
	return path + "?" + strings.Join(parts, "&")
}

// secretMembers finds the members of JSON that a connect event repeats of the
// client's request: parameters, headers and the password of an MQTT client. It
// works on the text, which may be cut off anywhere.
var secretMembers = regexp.MustCompile(`(?i)"(` + strings.Join(slices.Concat(secretHeaders, secretParameters, []string{"password", "reconnectionToken"}), "|") + `)"(\s*:\s*)(\[(?:[^\]"]|"(?:[^"\\]|\\.)*(?:"|$))*(?:\]|$)|"(?:[^"\\]|\\.)*(?:"|$))`)

// RedactJSON returns JSON without the values of such members.
func RedactJSON(p Payload) Payload {
	p.Data = secretMembers.ReplaceAllFunc(p.Data, func(found []byte) []byte {
		m := secretMembers.FindSubmatch(found)
		out := append([]byte{'"'}, m[1]...)
		out = append(append(out, '"'), m[2]...)
		if m[3][0] == '[' {
			return append(out, `["`+Removed+`"]`...)
		}
		return append(out, `"`+Removed+`"`...)
	})
	return p
}
