package webapp_test

import (
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/Azure/azure-sdk-for-go/sdk/azcore"
	"github.com/Azure/azure-sdk-for-go/sdk/azcore/policy"
	"github.com/Azure/azure-sdk-for-go/sdk/azidentity"

	"example.com/webpubsub/webapp"
)

func getenv(settings map[string]string) func(string) string {
	return func(name string) string { return settings[name] }
}

func TestConfigFromEnv(t *testing.T) {
	for name, tt := range map[string]struct {
		env   map[string]string
		check func(webapp.Config) bool
	}{
		"connection string": {
			map[string]string{"WebPubSubConnectionString": " " + someConnection + "\n", "WebPubSubHub": "talk"},
			func(c webapp.Config) bool {
				return c.ConnectionString == someConnection && c.Credential == nil && c.Hub == "talk"
			},
		},
		"everything off by default": {
			map[string]string{"WebPubSubConnectionString": someConnection},
			func(c webapp.Config) bool {
				return !c.AllowUserIDQuery && !c.TrustPlatformAuth && c.AllowedOrigins == nil && c.Entra == nil && c.AccessKeys == nil
			},
		},
		"lists and switches": {
			map[string]string{
				"WebPubSubConnectionString": someConnection, "WebPubSubAccessKeys": "k1, k2,",
				"WebPubSubUserNameKeys":   strings.Repeat("a", 32) + "," + strings.Repeat("b", 32),
				"WebPubSubAllowedOrigins": "https://a.example,https://b.example", "WebPubSubAllowUserIdQuery": "True", "WebPubSubTrustPlatformAuth": "1",
			},
			func(c webapp.Config) bool {
				return strings.Join(c.AccessKeys, "|") == "k1|k2" && len(c.AllowedOrigins) == 2 && len(c.UserNameKeys) == 2 && c.AllowUserIDQuery && c.TrustPlatformAuth
			},
		},
		"the platform authenticates": {
			map[string]string{"WebPubSubConnectionString": someConnection, "WEBSITE_AUTH_ENABLED": "True"},
			func(c webapp.Config) bool { return c.TrustPlatformAuth },
		},
		"the platform authenticates, and is not trusted": {
			map[string]string{"WebPubSubConnectionString": someConnection, "WEBSITE_AUTH_ENABLED": "True", "WebPubSubTrustPlatformAuth": "false"},
			func(c webapp.Config) bool { return !c.TrustPlatformAuth },
		},
		// An app that runs on Azure is not always behind its authentication: there the
		// headers of a caller reach the app as he wrote them.
		"on the platform without authentication": {
			map[string]string{"WebPubSubConnectionString": someConnection, "WEBSITE_SITE_NAME": "app", "WEBSITE_INSTANCE_ID": "1", "WEBSITE_AUTH_ENABLED": "False"},
			func(c webapp.Config) bool { return !c.TrustPlatformAuth },
		},
		"managed identity of the platform": {
			map[string]string{
				"WebPubSubConnectionString__serviceUri": "https://contoso.webpubsub.azure.com", "IDENTITY_ENDPOINT": "http://127.0.0.1/msi",
				"WebPubSubConnectionString__clientId": "c", "WebPubSubAccessKeys": "k",
			},
			func(c webapp.Config) bool { return isManaged(c.Credential) },
		},
		"managed identity by name": {
			map[string]string{
				"WebPubSubConnectionString__serviceUri": "https://contoso.webpubsub.azure.com", "WebPubSubConnectionString__credential": "managedIdentity",
				"WebPubSubConnectionString__managedIdentityResourceId": "/subscriptions/s", "WebPubSubAccessKeys": "k",
			},
			func(c webapp.Config) bool { return isManaged(c.Credential) },
		},
		"default credential": {
			map[string]string{"WebPubSubConnectionString__serviceUri": "https://contoso.webpubsub.azure.com", "WebPubSubAccessKeys": "k"},
			func(c webapp.Config) bool { _, ok := c.Credential.(*azidentity.DefaultAzureCredential); return ok },
		},
		"the connection string wins": {
			map[string]string{"WebPubSubConnectionString": someConnection, "WebPubSubConnectionString__serviceUri": "https://contoso.webpubsub.azure.com"},
			func(c webapp.Config) bool { return c.Credential == nil },
		},
		"events verified by Entra": {
			map[string]string{
				"WebPubSubConnectionString": someConnection, "WebPubSubEventTenant": "t",
				"WebPubSubEventAudience": "api://chat,guid", "WebPubSubEventPrincipals": "oid",
			},
			func(c webapp.Config) bool {
				return c.Entra.TenantID == "t" && len(c.Entra.Audiences) == 2 && c.Entra.Principals[0] == "oid"
			},
		},
	} {
		t.Run(name, func(t *testing.T) {
			c, err := webapp.ConfigFromEnv(getenv(tt.env))
			if err != nil {
				t.Fatal(err)
			}
			if !tt.check(c) {
				t.Errorf("got %+v", c)
			}
		})
	}
}

func isManaged(cred azcore.TokenCredential) bool {
	_, ok := cred.(*azidentity.ManagedIdentityCredential)
	return ok
}

// Every setting that is missing or wrong is named at once, so that five mistakes
// do not take five deployments to find.
func TestConfigFromEnvErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		env  map[string]string
		want []string
	}{
		"nothing": {
			nil,
			[]string{"WebPubSubConnectionString is missing", "WebPubSubConnectionString__serviceUri"},
		},
		"several": {
			map[string]string{"WebPubSubAllowUserIdQuery": "yes", "WebPubSubTrustPlatformAuth": "perhaps", "WebPubSubEventTenant": "t"},
			[]string{
				"WebPubSubConnectionString is missing", `WebPubSubAllowUserIdQuery is "yes"`, `WebPubSubTrustPlatformAuth is "perhaps"`,
				"WebPubSubEventAudience and WebPubSubEventPrincipals missing",
			},
		},
		"values that mean nothing": {
			map[string]string{
				"WebPubSubConnectionString": "verysecretkey", "WebPubSubHub": "1", "WebPubSubAllowedOrigins": "https://a.example/",
				"WebPubSubEventTenant": "t", "WebPubSubUserNameKeys": "verysecret",
			},
			[]string{
				"WebPubSubUserNameKeys: a key has 10 bytes", "WebPubSubConnectionString: connection string: a part has no '='", `WebPubSubHub: invalid hub name "1"`,
				"WebPubSubAllowedOrigins: https://a.example/ is not an origin", "WebPubSubEventAudience and WebPubSubEventPrincipals missing",
			},
		},
		"endpoint": {
			map[string]string{"WebPubSubConnectionString__serviceUri": "ftp://contoso", "WebPubSubConnectionString__credential": "magic"},
			[]string{
				"WebPubSubConnectionString__serviceUri: endpoint: not an http or https URL", "__credential is", "nothing verifies events",
			},
		},
		"no verification of events": {
			map[string]string{"WebPubSubConnectionString__serviceUri": "https://contoso.webpubsub.azure.com"},
			[]string{"nothing verifies events", "WebPubSubEventTenant", "WebPubSubAccessKeys"},
		},
		"credential": {
			map[string]string{
				"WebPubSubConnectionString__serviceUri": "https://contoso.webpubsub.azure.com", "WebPubSubAccessKeys": "k",
				"WebPubSubConnectionString__credential": "magic",
			},
			[]string{`WebPubSubConnectionString__credential is "magic"`, "managedidentity"},
		},
		"two identities": {
			map[string]string{
				"WebPubSubConnectionString__serviceUri": "https://contoso.webpubsub.azure.com", "WebPubSubAccessKeys": "k", "IDENTITY_ENDPOINT": "x",
				"WebPubSubConnectionString__clientId": "c", "WebPubSubConnectionString__managedIdentityResourceId": "r",
			},
			[]string{"WebPubSubConnectionString__clientId and WebPubSubConnectionString__managedIdentityResourceId exclude each other"},
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := webapp.ConfigFromEnv(getenv(tt.env))
			if err == nil {
				t.Fatal("no error")
			}
			for _, want := range tt.want {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q does not name %q", err, want)
				}
			}
			if strings.Contains(err.Error(), "verysecret") {
				t.Errorf("the error shows a key: %v", err)
			}
		})
	}
}

// An app that is to use an identity, and whose connection string is still set, uses
// the access key.
func TestNewFromEnvLogsCredential(t *testing.T) {
	for name, tt := range map[string]struct {
		env        map[string]string
		want, lack string
	}{
		"key":      {map[string]string{"WebPubSubConnectionString": someConnection}, "auth=key", "not used"},
		"both":     {map[string]string{"WebPubSubConnectionString": someConnection, "WebPubSubConnectionString__serviceUri": "https://contoso.webpubsub.azure.com"}, "not used", "auth=identity"},
		"identity": {map[string]string{"WebPubSubConnectionString__serviceUri": "https://contoso.webpubsub.azure.com", "IDENTITY_ENDPOINT": "http://127.0.0.1/msi", "WebPubSubAccessKeys": "verysecretkey"}, "auth=identity", "not used"},
	} {
		t.Run(name, func(t *testing.T) {
			var log strings.Builder
			if _, err := webapp.NewFromEnv(getenv(tt.env), slog.New(slog.NewTextHandler(&log, nil)), webapp.New); err != nil {
				t.Fatal(err)
			}
			if got := log.String(); !strings.Contains(got, tt.want) || strings.Contains(got, tt.lack) || strings.Contains(got, "verysecret") {
				t.Errorf("want %q, and neither %q nor a key, in %s", tt.want, tt.lack, got)
			}
		})
	}
	if _, err := webapp.NewFromEnv(getenv(nil), nil, webapp.New); err == nil {
		t.Error("no error without settings")
	}
}

func TestNewErrors(t *testing.T) {
	for name, tt := range map[string]struct {
		config webapp.Config
		want   string
	}{
		"nothing":            {webapp.Config{}, "WebPubSubConnectionString"},
		"no credential":      {webapp.Config{ServiceURI: "https://contoso.webpubsub.azure.com"}, "Credential"},
		"hub":                {webapp.Config{ConnectionString: someConnection, Hub: "1"}, "hub"},
		"connection string":  {webapp.Config{ConnectionString: "Endpoint=https://contoso.webpubsub.azure.com;AccessKey="}, "AccessKey"},
		"origin with a path": {webapp.Config{ConnectionString: someConnection, AllowedOrigins: []string{"https://a.example/"}}, "https://a.example/ is not an origin"},
		"origin not ASCII":   {webapp.Config{ConnectionString: someConnection, AllowedOrigins: []string{"https://bücher.example"}}, "in ASCII"},
		"origin without scheme": {
			webapp.Config{ConnectionString: someConnection, AllowedOrigins: []string{"a.example"}}, "WebPubSubAllowedOrigins",
		},
		"events unverified": {
			webapp.Config{ServiceURI: "https://contoso.webpubsub.azure.com", Credential: fakeCredential{}}, "WebPubSubAccessKeys",
		},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := webapp.New(tt.config)
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Fatalf("error %v does not name %q", err, tt.want)
			}
			if strings.Contains(err.Error(), "verysecret") {
				t.Errorf("the error shows the key: %v", err)
			}
		})
	}
}

func TestConfigHidesKeys(t *testing.T) {
	c := webapp.Config{ConnectionString: someConnection, AccessKeys: []string{"verysecretkey2"}, UserNameKeys: []string{"verysecretkey3"}}
	for _, format := range []string{"%v", "%+v", "%#v", "%s"} {
		if s := fmt.Sprintf(format, c); strings.Contains(s, "verysecret") || !strings.Contains(s, "key") {
			t.Errorf("%s shows %s", format, s)
		}
	}
}

// An application has settings of its own, which it reads where the others come
// from.
func TestSetting(t *testing.T) {
	c, err := webapp.ConfigFromEnv(getenv(map[string]string{"WebPubSubConnectionString": someConnection, "QuizQuestions": " 20\n"}))
	if err != nil || c.Setting("QuizQuestions") != "20" || c.Setting("Nothing") != "" || (webapp.Config{}).Setting("QuizQuestions") != "" {
		t.Errorf("got %q, %v", c.Setting("QuizQuestions"), err)
	}
}

// A request for a managed identity's token carries a secret header, which an
// http.Client sends along with a redirect to any host.
func TestCredentialsDoNotFollowRedirects(t *testing.T) {
	elsewhere := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		t.Errorf("the redirect was followed, with X-IDENTITY-HEADER %q", r.Header.Get("X-IDENTITY-HEADER"))
	}))
	defer elsewhere.Close()
	identity := httptest.NewServer(http.RedirectHandler(elsewhere.URL+"/steal", http.StatusTemporaryRedirect))
	defer identity.Close()
	t.Setenv("IDENTITY_ENDPOINT", identity.URL)
	t.Setenv("IDENTITY_HEADER", "verysecret")
	for name, setting := range map[string]string{"the platform's": identity.URL, "the default": ""} {
		if setting == "" {
			t.Setenv("AZURE_TOKEN_CREDENTIALS", "ManagedIdentityCredential")
		}
		c, err := webapp.ConfigFromEnv(getenv(map[string]string{
			"WebPubSubConnectionString__serviceUri": "https://contoso.webpubsub.azure.com", "WebPubSubAccessKeys": "k", "IDENTITY_ENDPOINT": setting,
		}))
		if err != nil {
			t.Fatal(err)
		}
		_, err = c.Credential.GetToken(t.Context(), policy.TokenRequestOptions{Scopes: []string{"https://webpubsub.azure.com/.default"}})
		if err == nil || !strings.Contains(err.Error(), "redirected to "+elsewhere.URL+"/steal") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
