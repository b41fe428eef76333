package main

import (
	"context"
	"net/http"
	"net/url"
	"strings"
	"time"

	"example.com/webpubsub"
	"example.com/webpubsub/emulator"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/token"
	"example.com/webpubsub/service"
)

const (
	hubName   = "bench"
	groupName = "g"
)

// emulatorRole says its connection string. With "patient" it keeps more messages
// that are not acknowledged than the service's 1,000: the official client
// acknowledges once a second, and would be cut off for being slow at a rate that
// it can otherwise take.
func emulatorRole(args []string) error {
	o := emulator.Options{Addr: "127.0.0.1:0"}
	if len(args) > 0 && args[0] == "patient" {
		o.MaxPendingMessages = 1 << 20
	}
	srv, err := emulator.Start(o)
	if err != nil {
		return err
	}
	defer srv.Close()
	return commands(srv.ConnectionString(), nil)
}

// emulatorEndpoint is a subscriber's and publisher's view of the emulator, for
// clients that join the groups as they connect.
func emulatorEndpoint(ctx context.Context, connectionString, protocol string, groups ...string) (endpoint, error) {
	c, err := service.NewClientFromConnectionString(connectionString, hubName, nil)
	if err != nil {
		return endpoint{}, err
	}
	t, err := c.GetClientAccessToken(ctx, &service.GetClientAccessTokenOptions{Groups: groups, Roles: []string{webpubsub.RoleSendToAnyGroup, webpubsub.RoleJoinLeaveAnyGroup}})
	if err != nil {
		return endpoint{}, err
	}
	e := endpoint{url: t.URL, status: http.StatusAccepted}
	if protocol != "raw" {
		e.subprotocol, e.welcome = protocol+".webpubsub.azure.v1", 1
		e.acknowledge = protocol == "json.reliable"
	}
	e.publish, err = sendRequest(connectionString, "/groups/"+groupName, "")
	return e, err
}

// sendRequest returns the request that sends a text by REST: to everybody, or to
// what the path names.
func sendRequest(connectionString, path, filter string) (func() *http.Request, error) {
	cs, err := connstr.Parse(connectionString)
	if err != nil {
		return nil, err
	}
	target := cs.Endpoint + "/api/hubs/" + hubName + path + "/:send"
	jwt, err := token.Sign(cs.AccessKey, token.Claims{Audience: target, Expires: time.Now().Add(time.Hour)})
	if err != nil {
		return nil, err
	}
	target += "?api-version=2024-12-01"
	if filter != "" {
		target += "&filter=" + url.QueryEscape(filter)
	}
	return func() *http.Request {
		r := post(target)
		r.Header.Set("Authorization", "Bearer "+jwt)
		return r
	}, nil
}

// post returns a request with the placeholder of a message as its body.
func post(url string) *http.Request {
	r, err := http.NewRequest(http.MethodPost, url, strings.NewReader(placeholder+strings.Repeat("x", payloadSize-len(placeholder))))
	if err != nil {
		panic(err)
	}
	r.Header.Set("Content-Type", "text/plain")
	return r
}
