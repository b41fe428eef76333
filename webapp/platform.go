package webapp

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
)

// Headers of App Service authentication (Azure App Service, "Work with user
// identities"). Static Web Apps sends the first one alone (Azure Static Web Apps,
// "Accessing user information"). The platform removes them from requests of
// clients.
const (
	headerPrincipal         = "X-Ms-Client-Principal"
	headerPrincipalID       = "X-Ms-Client-Principal-Id"
	headerPrincipalName     = "X-Ms-Client-Principal-Name"
	headerPrincipalProvider = "X-Ms-Client-Principal-Idp"
)

// principal is the JSON object in X-MS-CLIENT-PRINCIPAL, of Static Web Apps or of
// App Service.
type principal struct {
	IdentityProvider string   `json:"identityProvider"`
	UserID           string   `json:"userId"`
	UserDetails      string   `json:"userDetails"`
	UserRoles        []string `json:"userRoles"`

	NameType string `json:"name_typ"`
	Claims   []struct {
		Type  string `json:"typ"`
		Value string `json:"val"`
	} `json:"claims"`
}

// platformUser returns the user whom the platform has signed in, or none.
func platformUser(h http.Header) (User, error) {
	for _, header := range []string{headerPrincipal, headerPrincipalID, headerPrincipalName, headerPrincipalProvider} {
		if len(h.Values(header)) > 1 {
			// The platform sends one. More than one means that the client's was not
			// removed.
			return User{}, fmt.Errorf("header %s came more than once", header)
		}
	}
	var p principal
	if encoded := h.Get(headerPrincipal); encoded != "" {
		decoded, err := base64.StdEncoding.DecodeString(encoded)
		if err != nil || json.Unmarshal(decoded, &p) != nil {
			return User{}, fmt.Errorf("header %s is not JSON in base64", headerPrincipal)
		}
	}
	if p.IdentityProvider != "" || p.UserID != "" { // Static Web Apps
		if !slices.Contains(p.UserRoles, "authenticated") {
			return User{}, nil
		}
		return User{p.UserID, p.UserDetails}, nil
	}
	id := strings.TrimSpace(h.Get(headerPrincipalID))
	name := h.Get(headerPrincipalName)
	if id == "" && name != "" {
		return User{}, errors.New("App Service authentication sent a user name without an ID")
	}
	// Entra's IDs are GUIDs. Those of other providers are numbers, and two providers
	// can assign the same one.
	if idp := h.Get(headerPrincipalProvider); id != "" && idp != "" && idp != "aad" {
		id = idp + ":" + id
	}
	if name == "" || !isASCII(name) {
		// A header contains ASCII only; the claim contains the name in UTF-8.
		name = ""
		for _, c := range p.Claims {
			if c.Type == p.NameType && p.NameType != "" {
				name = c.Value
			}
		}
	}
	return User{id, name}, nil
}
