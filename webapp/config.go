package webapp

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"example.com/webpubsub/handler"
	"example.com/webpubsub/internal/azclient"
	"example.com/webpubsub/internal/connstr"
	"example.com/webpubsub/internal/names"
	"example.com/webpubsub/service"
)

// DefaultHub is the default of [Config].Hub.
const DefaultHub = "chat"

// Names of the settings, in one place for messages and for reading.
// docs/configuration.md lists them.
const (
	settingConnection  = "WebPubSubConnectionString"
	settingServiceURI  = settingConnection + "__serviceUri"
	settingCredential  = settingConnection + "__credential"
	settingClientID    = settingConnection + "__clientId"
	settingResourceID  = settingConnection + "__managedIdentityResourceId"
	settingHub         = "WebPubSubHub"
	settingAccessKeys  = "WebPubSubAccessKeys"
	settingTenant      = "WebPubSubEventTenant"
	settingAudience    = "WebPubSubEventAudience"
	settingPrincipals  = "WebPubSubEventPrincipals"
	settingUserIDQuery = "WebPubSubAllowUserIdQuery"
	settingPlatform    = "WebPubSubTrustPlatformAuth"
	settingNameKeys    = "WebPubSubUserNameKeys"
	settingOrigins     = "WebPubSubAllowedOrigins"

	// platformAuthEnabled is set by App Service and read by the Functions host
	// for the same purpose (azure-functions-host, EnvironmentSettingNames).
	// WEBSITE_SITE_NAME means only that the app runs there, not that a proxy in
	// front of it removes forged headers.
	platformAuthEnabled = "WEBSITE_AUTH_ENABLED"
	// identityEndpoint is where App Service, Functions and others serve tokens
	// of the app's managed identity.
	identityEndpoint = "IDENTITY_ENDPOINT"
)

// User is a user who has signed in.
type User struct {
	// ID identifies the user. It never changes and is never given to another
	// user. [EncodeUserID] makes the user ID of it.
	ID string
	// Name is the name that others see, or "" if it is the same.
	Name string
}

// Config is the configuration of an application, usually from [ConfigFromEnv].
// Either ConnectionString, or ServiceURI and Credential, are required.
type Config struct {
	// ConnectionString is the connection string of the resource. Its access key
	// signs client access tokens and REST calls and verifies events.
	ConnectionString string
	// ServiceURI is the endpoint of the resource, for use with Credential. It is
	// ignored if there is a connection string.
	ServiceURI string
	// Credential authenticates REST calls to ServiceURI.
	Credential azcore.TokenCredential
	// Hub is the hub of the application. Default: [DefaultHub].
	Hub string

	// AccessKeys verify the signatures of events, in addition to the key of the
	// connection string.
	AccessKeys []string
	// Entra verifies the tokens of events. Default: tokens are not verified.
	Entra *handler.EntraOptions

	// TrustTunnel accepts events that arrive through package tunnel without looking
	// at signature and token: see handler.Options. Default: every event is verified.
	TrustTunnel bool

	// AllowUserIDQuery accepts the user of negotiate from the query parameter
	// userId: any caller can be any user. For development only.
	AllowUserIDQuery bool
	// TrustPlatformAuth takes the user of negotiate from the headers
	// X-MS-CLIENT-PRINCIPAL-ID and -NAME of App Service authentication, or from
	// X-MS-CLIENT-PRINCIPAL of Static Web Apps.
	TrustPlatformAuth bool
	// Authenticate returns the user who calls negotiate, for an application that
	// authenticates users itself. It is called before the platform's headers and the
	// query are read, which are used if the User has no ID. An error rejects the call
	// with 401 and the text of the error. Default: only the platform's headers and
	// the query are used.
	Authenticate func(r *http.Request) (User, error)
	// UserNameKeys sign the readable names of users who have signed in: the
	// first signs, all verify. Each has at least 32 bytes. Default: the
	// access keys; without those, names are not transmitted.
	UserNameKeys []string
	// AllowedOrigins are the origins, such as "https://chat.example.com", whose pages
	// may call negotiate from a browser; "*" allows any. Default: none.
	AllowedOrigins []string

	// Page contains the files of the page, including index.html. The text {{names}}
	// in .html files is replaced: by "ask" if negotiate accepts any user ID, by
	// "platform" if users sign in through the platform, at /.auth/login, by "own" if only
	// Authenticate identifies them, by "none" if callers cannot authenticate.
	// client.js is added unless it is there, see The page in the package documentation.
	// Default: no page.
	Page fs.FS
	// PagePolicy is the Content-Security-Policy of the page. Default: the page's own
	// files, and connections to its own host and to the service.
	PagePolicy string

	// ClientOptions configure the REST client, for example its transport.
	ClientOptions *service.ClientOptions
	// Logger receives rejected requests and failures. Default: slog.Default().
	Logger *slog.Logger
	// Getenv returns a setting of the application itself, see [Config.Setting], or
	// "" if it is not set. Default: there are no such settings.
	Getenv func(name string) string
}

func (c Config) withDefaults() Config {
	c.Hub = cmp.Or(c.Hub, DefaultHub)
	if c.Logger == nil {
		c.Logger = slog.Default()
	}
	return c
}

// Setting returns the setting of the application with this name, without
// surrounding white space, or "" if it is not set.
func (c Config) Setting(name string) string {
	if c.Getenv == nil {
		return ""
	}
	return strings.TrimSpace(c.Getenv(name))
}

// ConfigFromEnv reads the settings of the package documentation; getenv is
// usually os.Getenv. Its error names every setting that is missing or wrong,
// with the remedy, and never contains a key.
func ConfigFromEnv(getenv func(string) string) (Config, error) {
	get := func(name string) string { return strings.TrimSpace(getenv(name)) }
	c := Config{
		ConnectionString: get(settingConnection),
		ServiceURI:       get(settingServiceURI),
		Hub:              get(settingHub),
		AccessKeys:       list(get(settingAccessKeys)),
		AllowedOrigins:   list(get(settingOrigins)),
		UserNameKeys:     list(get(settingNameKeys)),
		Getenv:           getenv,
	}
	var errs []error
	note := func(err error) {
		if err != nil {
			errs = append(errs, err)
		}
	}
	var err error
	c.AllowUserIDQuery, err = boolean(get, settingUserIDQuery, false)
	note(err)
	// The platform writes True.
	platform, _ := strconv.ParseBool(strings.ToLower(get(platformAuthEnabled)))
	c.TrustPlatformAuth, err = boolean(get, settingPlatform, platform)
	note(err)

	switch {
	case c.ConnectionString != "":
		_, err = connstr.Parse(c.ConnectionString)
		note(named(settingConnection, err))
	case c.ServiceURI != "":
		_, err = connstr.Endpoint(c.ServiceURI, "")
		note(named(settingServiceURI, err))
		c.Credential, err = credential(get)
		note(err)
	default:
		note(fmt.Errorf("%s is missing: set it to the connection string of the resource (the portal shows it under Keys), or set %s to its endpoint to use a managed identity", settingConnection, settingServiceURI))
	}
	if c.Hub != "" {
		note(named(settingHub, names.Hub(c.Hub)))
	}
	for _, o := range c.AllowedOrigins {
		note(named(settingOrigins, checkOrigin(o)))
	}
	note(named(settingNameKeys, checkNameKeys(c.UserNameKeys)))
	c.Entra, err = entra(get)
	note(err)
	if c.ConnectionString == "" && c.ServiceURI != "" && c.Entra == nil && err == nil && len(c.AccessKeys) == 0 {
		note(fmt.Errorf("nothing verifies events: set %s, %s and %s to those of the service's managed identity, or %s to the resource's keys", settingTenant, settingAudience, settingPrincipals, settingAccessKeys))
	}
	return c, errors.Join(errs...)
}

// named adds the name of the setting to an error.
func named(setting string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("%s: %w", setting, err)
}

// credential chooses as Functions bindings do. If the platform has a managed
// identity, no other credential is tried, so that an error describes what is wrong
// with it instead of listing every other credential.
func credential(get func(string) string) (azcore.TokenCredential, error) {
	kind := get(settingCredential)
	// A request for a managed identity's token carries a secret header, which an
	// http.Client would send along with a redirect to any host.
	options := azcore.ClientOptions{Transport: azclient.Transport(nil)}
	switch {
	case kind != "" && !strings.EqualFold(kind, "managedidentity"):
		return nil, fmt.Errorf("%s is %q: the only value is managedidentity; leave it out to use what the environment offers", settingCredential, kind)
	case kind == "" && get(identityEndpoint) == "":
		cred, err := azidentity.NewDefaultAzureCredential(&azidentity.DefaultAzureCredentialOptions{ClientOptions: options})
		if err != nil {
			return nil, fmt.Errorf("%s is set, but no credential can be made: %w", settingServiceURI, err)
		}
		return cred, nil
	}
	o := &azidentity.ManagedIdentityCredentialOptions{ClientOptions: options}
	clientID, resourceID := get(settingClientID), get(settingResourceID)
	switch {
	case clientID != "" && resourceID != "":
		return nil, fmt.Errorf("%s and %s exclude each other: remove one", settingClientID, settingResourceID)
	case clientID != "":
		o.ID = azidentity.ClientID(clientID)
	case resourceID != "":
		o.ID = azidentity.ResourceID(resourceID)
	}
	cred, err := azidentity.NewManagedIdentityCredential(o)
	if err != nil {
		return nil, fmt.Errorf("%s is set, but the managed identity cannot be used: %w", settingServiceURI, err)
	}
	return cred, nil
}

// entra returns nil if none of its settings is set.
func entra(get func(string) string) (*handler.EntraOptions, error) {
	o := &handler.EntraOptions{
		TenantID:   get(settingTenant),
		Audiences:  list(get(settingAudience)),
		Principals: list(get(settingPrincipals)),
	}
	var missing []string
	if o.TenantID == "" {
		missing = append(missing, settingTenant)
	}
	if len(o.Audiences) == 0 {
		missing = append(missing, settingAudience)
	}
	if len(o.Principals) == 0 {
		missing = append(missing, settingPrincipals)
	}
	switch len(missing) {
	case 0:
		return o, nil
	case 3:
		return nil, nil
	}
	return nil, fmt.Errorf("%s missing: %s, %s and %s verify events together", strings.Join(missing, " and "), settingTenant, settingAudience, settingPrincipals)
}

// minNameKey is the minimum length of a key for names in bytes. A client has a name
// with its signature, and could find a short key by trying.
const minNameKey = 32

func checkNameKeys(keys []string) error {
	for _, k := range keys {
		if len(k) < minNameKey {
			return fmt.Errorf("a key has %d bytes: at least %d are needed, for example from openssl rand -hex 32", len(k), minNameKey)
		}
	}
	return nil
}

// list splits at commas and drops blanks and empty parts.
func list(s string) []string {
	var out []string
	for part := range strings.SplitSeq(s, ",") {
		if part = strings.TrimSpace(part); part != "" {
			out = append(out, part)
		}
	}
	return out
}

func boolean(get func(string) string, name string, otherwise bool) (bool, error) {
	s := get(name)
	if s == "" {
		return otherwise, nil
	}
	b, err := strconv.ParseBool(strings.ToLower(s))
	if err != nil {
		return false, fmt.Errorf("%s is %q: set it to true or false", name, s)
	}
	return b, nil
}

// LogValue shows the configuration without its secrets.
func (c Config) LogValue() slog.Value {
	auth := "none"
	if c.ConnectionString != "" {
		auth = "key"
	} else if c.Credential != nil {
		auth = "identity"
	}
	return slog.GroupValue(
		slog.String("auth", auth),
		slog.String("serviceUri", c.ServiceURI),
		slog.String("hub", cmp.Or(c.Hub, DefaultHub)),
		slog.Int("accessKeys", len(c.AccessKeys)),
		slog.Bool("entra", c.Entra != nil),
		slog.Bool("allowUserIdQuery", c.AllowUserIDQuery),
		slog.Bool("trustPlatformAuth", c.TrustPlatformAuth),
		slog.Int("userNameKeys", len(c.UserNameKeys)),
		slog.Any("allowedOrigins", c.AllowedOrigins),
	)
}

// String shows the configuration without its secrets.
func (c Config) String() string { return c.LogValue().String() }

// GoString returns the same as String, for %#v.
func (c Config) GoString() string { return c.String() }

// checkOrigin rejects what a browser never sends as Origin and so would never
// match.
func checkOrigin(s string) error {
	if s == "*" {
		return nil
	}
	u, err := url.Parse(s)
	if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.Scheme+"://"+u.Host != s || !isASCII(s) {
		return errors.New(s + ` is not an origin: write scheme and host in ASCII, as in "https://chat.example.com", or "*"`)
	}
	return nil
}
