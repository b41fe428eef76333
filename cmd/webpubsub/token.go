package main

import (
	"context"
	"flag"
	"fmt"
	"strings"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/service"
)

// runToken prints a client access URL.
func runToken(ctx context.Context, e *env, args []string) error {
	fs := flag.NewFlagSet("token", flag.ContinueOnError)
	var c connection
	c.flags(fs)
	user := fs.String("user", "", "user `ID` (default: anonymous)")
	expiry := fs.Duration("expiry", time.Hour, "lifetime of the token")
	protocol := choiceFlag(fs, "protocol", "client protocol", "default", "mqtt", "socketio")
	output := choiceFlag(fs, "o", "output format", "text", "json")
	var roles, groups list
	fs.Var(&roles, "role", "`role`, for example "+webpubsub.RoleSendToAnyGroup+"; may be repeated")
	fs.Var(&groups, "group", "`group` that the client joins when it connects; may be repeated")
	if err := parseFlags(e, fs, args); err != nil {
		return ignoreHelp(err)
	}
	if *expiry <= 0 {
		return usagef("-expiry is %v: it must be positive", *expiry)
	}
	if err := checkGroups(groups); err != nil {
		return err
	}
	client, err := c.client(fs)
	if err != nil {
		return err
	}
	o := &service.GetClientAccessTokenOptions{UserID: *user, Roles: roles, Groups: groups, Expiry: *expiry}
	if protocol.value != "default" {
		o.Protocol = service.ClientProtocol(protocol.value)
	}
	e.warnGrants(*user, roles, groups)
	t, err := client.GetClientAccessToken(ctx, o)
	if err != nil {
		return c.explain(err)
	}
	if output.value == "json" {
		return printJSON(e.out, t)
	}
	_, err = fmt.Fprintln(e.out, t.URL)
	return err
}

// checkGroups checks the values of -group.
func checkGroups(groups []string) error {
	for _, g := range groups {
		if err := names.Group(g); err != nil {
			return usagef("-group %q: %w", g, err)
		}
	}
	return nil
}

// warnGrants warns of roles and groups of a client access token that have no effect.
func (e *env) warnGrants(user string, roles, groups []string) {
	for _, role := range roles {
		if !knownRole(role) {
			e.warn("unknown role %q grants nothing; the roles are %s", role, strings.Join(roleNames, ", "))
		}
	}
	for _, err := range names.Unaddressable(user, roles, groups) {
		e.warn("%v; the client can connect, but REST calls cannot address the name", err)
	}
}

// roleNames are the roles of the service, those for one group or a pattern of
// groups without it.
var roleNames = []string{
	webpubsub.RoleJoinLeaveAnyGroup, webpubsub.RoleJoinLeaveGroup("<group>"), webpubsub.RoleJoinLeaveGroups("<pattern>"),
	webpubsub.RoleSendToAnyGroup, webpubsub.RoleSendToGroup("<group>"), webpubsub.RoleSendToGroups("<pattern>"),
	webpubsub.RoleGetGroupState, webpubsub.RoleSetGroupState,
}

func knownRole(role string) bool {
	for _, name := range roleNames {
		prefix, _, open := strings.Cut(name, "<")
		if role == name || open && strings.HasPrefix(role, prefix) && role != prefix {
			return true
		}
	}
	return false
}
