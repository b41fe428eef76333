package emulator

import (
	"net"

	"example.com/webpubsub/internal/emulator/settings"
)

// Settings are the settings of Microsoft's emulator, which is configured as a program
// for ASP.NET Core. [ReadSettings] returns them.
type Settings struct {
	// AccessKey is WebPubSub:AccessKey, or "".
	AccessKey string
	// Addr is the address of the first of Urls, for [Options.Addr], or "", and
	// AddrFrom what it was read from. TLS reports whether the scheme is https.
	Addr, AddrFrom string
	TLS            bool
	// AllowUnverifiedEntra is WebPubSub:AllowUnvalidatedEntraTokens.
	AllowUnverifiedEntra bool
	// Hubs is WebPubSub:Hubs.
	Hubs map[string]HubSettings
	// Warnings describe settings that are known but not supported here, and those that
	// Microsoft's emulator would reject.
	Warnings []string

	in *settings.Microsoft
}

// ReadSettings reads settings of Microsoft's emulator. file is the path of an
// appsettings.json, or "" for none; the file appsettings.Production.json next to it, or
// that of another DOTNET_ENVIRONMENT or ASPNETCORE_ENVIRONMENT, is read too if it
// exists. The files may have comments and trailing commas:
//
//	{
//	  "Urls": "http://localhost:8080",
//	  "WebPubSub": {
//	    "AccessKey": "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789ABCDEFGH",
//	    "AllowUnvalidatedEntraTokens": false,
//	    "Hubs": {
//	      "chat": {
//	        "EventHandlers": [
//	          {
//	            "UrlTemplate": "http://localhost:7071/events/{hub}/{event}",
//	            "SystemEvents": ["connect", "connected", "disconnected"],
//	            "EventPattern": "*"
//	          }
//	        ]
//	      }
//	    }
//	  }
//	}
//
// environ are environment variables in the form of [os.Environ]. Urls and those that
// begin with WebPubSub__ replace single settings of the files: the variable
// WebPubSub__Hubs__chat__EventHandlers__0__UrlTemplate is the URL of the first event
// handler of the hub chat. With a file, or if there is a variable of WebPubSub__, the
// names may also begin with ASPNETCORE_ or DOTNET_; then the files come before them.
// Names are compared without case.
//
// In addition to what Microsoft's emulator accepts, a hub may have
// AnonymousConnectPolicy, WebSocketKeepAliveIntervalInSeconds and ApplicationFirewall,
// an event handler UserEventPattern (the same as EventPattern), GroupPresenceEvents,
// Auth and a URL of the scheme tunnel, as in [ReadHubs], and an event listener File or
// Url in place of EventHubEndpoint.
//
// A name below WebPubSub that neither emulator knows, or a value that breaks a rule, is
// an error that names the setting and its source.
func ReadSettings(file string, environ []string) (*Settings, error) {
	in, err := settings.ReadMicrosoft(file, environ)
	if err != nil {
		return nil, err
	}
	s := &Settings{
		AccessKey: in.AccessKey, AllowUnverifiedEntra: in.AllowUnverifiedEntra,
		Hubs: publicHubs(in.Hubs), Warnings: in.Warnings, in: in,
	}
	for i, a := range in.Addresses {
		if i > 0 {
			s.Warnings = append(s.Warnings, a.From+": this emulator listens on one address, the first; "+net.JoinHostPort(a.Host, a.Port)+" is ignored")
			continue
		}
		s.Addr, s.AddrFrom, s.TLS = net.JoinHostPort(a.Host, a.Port), a.From, a.TLS
	}
	return s, nil
}

func (s *Settings) internal() *settings.Microsoft {
	if s == nil {
		return nil
	}
	return s.in
}
