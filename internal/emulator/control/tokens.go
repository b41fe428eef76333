package control

import (
	"net/url"
	"strings"
	"time"

	"example.com/webpubsub/internal/emulator/access"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/internal/role"
	"example.com/webpubsub/internal/token"
)

// maxMinutes is about a century: what is added to a time must stay one.
const maxMinutes = 50_000_000

// createToken signs an access token for a client, as an application does when it
// negotiates.
func (c *call) createToken() error {
	var in struct {
		Hub        string   `json:"hub"`
		UserID     string   `json:"userId"`
		Roles      []string `json:"roles"`
		Groups     []string `json:"groups"`
		Minutes    *int     `json:"minutes"`
		ClientType string   `json:"clientType"`
	}
	if err := c.decode(&in, false); err != nil {
		return err
	}
	if err := names.Hub(in.Hub); err != nil {
		return invalidf("%v", err)
	}
	for _, g := range in.Groups {
		if err := names.Group(g); err != nil {
			return invalidf("%v", err)
		}
	}
	paths := map[string]string{"": access.ClientPath, "default": access.ClientPath, "mqtt": access.MQTTPath, "socketIO": access.SocketIOPath}
	path, ok := paths[in.ClientType]
	if !ok {
		return invalidf("clientType must be default, mqtt or socketIO.")
	}
	address := c.Access.Address(c.r)
	compact, expires, err := c.sign(in.Minutes, token.Claims{
		Audience: address + path + in.Hub, UserID: in.UserID, Roles: in.Roles, Groups: in.Groups,
	})
	if err != nil {
		return err
	}
	u, err := url.Parse(address)
	if err != nil {
		return invalidf("The Host of the request is not a host name.")
	}
	u.Scheme = map[string]string{"http": "ws", "https": "wss"}[u.Scheme]
	if in.ClientType == "socketIO" { // its clients begin with HTTP
		u.Scheme, _, _ = strings.Cut(address, "://")
	}
	u = u.JoinPath(path, in.Hub)
	out := struct {
		URL       string    `json:"url"`
		BaseURL   string    `json:"baseUrl"`
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expiresAt"`
		Warnings  []string  `json:"warnings"`
	}{BaseURL: u.String(), Token: compact, ExpiresAt: expires, Warnings: []string{}}
	out.URL = out.BaseURL + "?access_token=" + url.QueryEscape(compact)
	_, ignored := role.Parse(in.Roles)
	for _, err := range append(ignored, names.Unaddressable(in.UserID, in.Roles, in.Groups)...) {
		out.Warnings = append(out.Warnings, err.Error())
	}
	return c.answer(out)
}

// createRESTToken signs a token for one REST call.
func (c *call) createRESTToken() error {
	var in struct {
		URL     string `json:"url"`
		Minutes *int   `json:"minutes"`
	}
	if err := c.decode(&in, false); err != nil {
		return err
	}
	if u, err := url.Parse(in.URL); err != nil || u.Scheme != "http" && u.Scheme != "https" || u.Host == "" {
		return invalidf("url must be the address of the REST call, with scheme and host.")
	}
	compact, expires, err := c.sign(in.Minutes, token.Claims{Audience: in.URL})
	if err != nil {
		return err
	}
	return c.answer(struct {
		Token     string    `json:"token"`
		ExpiresAt time.Time `json:"expiresAt"`
	}{compact, expires})
}

func (c *call) sign(minutes *int, claims token.Claims) (compact string, expires time.Time, err error) {
	n := 60
	if minutes != nil {
		n = *minutes
	}
	if n < 1 || n > maxMinutes {
		return "", expires, invalidf("minutes must be from 1 to %d.", maxMinutes)
	}
	claims.KeyID, claims.Issuer = c.KeyID, token.Issuer
	claims.Issued = time.Now()
	claims.Expires = time.Unix(claims.Issued.Unix()+60*int64(n), 0)
	compact, err = token.Sign(c.Access.Keys[0], claims)
	return compact, claims.Expires.UTC(), err
}
