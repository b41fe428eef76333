package infra_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/biceptest"
	"example.com/webpubsub/internal/test/functionshost"
	"example.com/webpubsub/webapp"
)

func read(tb testing.TB, name string) string {
	tb.Helper()
	b, err := os.ReadFile(filepath.FromSlash(name))
	if err != nil {
		tb.Fatal(err)
	}
	return string(b)
}

func bicepFiles(tb testing.TB) map[string]string {
	tb.Helper()
	names, err := filepath.Glob("*.bicep")
	if err != nil || len(names) < 2 {
		tb.Fatalf("files %q, %v", names, err)
	}
	files := make(map[string]string)
	for _, name := range names {
		files[name] = read(tb, name)
	}
	return files
}

func TestBicep(t *testing.T) {
	for _, problem := range review(biceptest.Parse(t, bicepFiles(t))[0]) {
		t.Error(problem)
	}
}

// What the templates are deployed with here, and what Azure would answer.
const (
	signInID  = "66666666-6666-6666-6666-666666666666"
	audience  = "11111111-1111-1111-1111-111111111111"
	tenant    = "22222222-2222-2222-2222-222222222222"
	principal = "33333333-3333-3333-3333-333333333333"
	endpoint  = "wps-test.webpubsub.azure.com"
	otherKey  = "secondarysecondarysecondarysecondarysecondary"
)

var known = biceptest.Values{
	"webPubSub.identity.tenantId":              tenant,
	"webPubSub.identity.principalId":           principal,
	"webPubSub.properties.hostName":            endpoint,
	"webPubSub.listKeys().primaryKey":          handlertest.AccessKey,
	"webPubSub.listKeys().secondaryKey":        otherKey,
	"app.properties.defaultHostName":           "func-test.azurewebsites.net",
	"storage.properties.primaryEndpoints.blob": "https://sttest.blob.core.windows.net/",
	"insights.properties.ConnectionString":     "<connection string of insights>",
	"identity.properties.clientId":             "44444444-4444-4444-4444-444444444444",
	"identity.properties.principalId":          "55555555-5555-5555-5555-555555555555",
}

// roles are what the app's identity may do, by the resource on which it may (Azure
// built-in roles).
var roles = map[string]string{
	"storage":   "b7e6dc6d-f1e8-4753-8033-0f276bb0955b", // Storage Blob Data Owner
	"webPubSub": "12cf5a90-567b-43ae-8102-96cf46c7d9b4", // Web PubSub Service Owner
	"insights":  "3913510d-42f4-4e42-8a64-420c390055eb", // Monitoring Metrics Publisher
}

// platformSettings are those that the Functions host reads (Azure Functions, App
// settings reference). Flex Consumption refuses FUNCTIONS_WORKER_RUNTIME and
// WEBSITE_RUN_FROM_PACKAGE.
var platformSettings = []string{
	"APPLICATIONINSIGHTS_AUTHENTICATION_STRING", "APPLICATIONINSIGHTS_CONNECTION_STRING",
	"AzureWebJobsStorage__blobServiceUri", "AzureWebJobsStorage__clientId", "AzureWebJobsStorage__credential",
}

// signInSettings are read by App Service authentication.
var signInSettings = []string{"OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID", "WEBSITE_AUTH_AAD_ALLOWED_TENANTS"}

// review returns what is wrong with the templates: in themselves, as a way to run
// the app safely, and against the Go code.
func review(p *biceptest.Program) []string {
	r := &reviewer{}
	byDefault := r.deploy(p, required())
	if byDefault == nil {
		return r.problems
	}
	r.equal("by default", byDefault, map[string]any{
		"storage.properties.allowSharedKeyAccess":                                 false,
		"storage.properties.allowBlobPublicAccess":                                false,
		"storage.properties.minimumTlsVersion":                                    "TLS1_2",
		"container.properties.publicAccess":                                       "None",
		"webPubSub.properties.disableLocalAuth":                                   true,
		"webPubSub.properties.disableAadAuth":                                     false,
		"webPubSub.identity.type":                                                 "SystemAssigned",
		"insights.properties.DisableLocalAuth":                                    true,
		"insights.properties.WorkspaceResourceId":                                 "<logs.id>",
		"plan.sku.name":                                                           "FC1",
		"plan.sku.tier":                                                           "FlexConsumption",
		"plan.properties.reserved":                                                true,
		"app.kind":                                                                "functionapp,linux",
		"app.identity.type":                                                       "UserAssigned",
		"app.identity.userAssignedIdentities.<identity.id>":                       biceptest.Values{},
		"app.properties.serverFarmId":                                             "<plan.id>",
		"app.properties.httpsOnly":                                                true,
		"app.properties.siteConfig.minTlsVersion":                                 "1.2",
		"app.properties.siteConfig.ftpsState":                                     "Disabled",
		"app.properties.functionAppConfig.runtime.name":                           "custom",
		"app.properties.functionAppConfig.runtime.version":                        "1.0",
		"app.properties.functionAppConfig.deployment.storage.type":                "blobContainer",
		"app.properties.functionAppConfig.deployment.storage.value":               "https://sttest.blob.core.windows.net/packages",
		"app.properties.functionAppConfig.deployment.storage.authentication.type": "UserAssignedIdentity",
		"app.properties.functionAppConfig.deployment.storage.authentication.userAssignedIdentityResourceId": "<identity.id>",
		"noFtpPassword.properties.allow":        false,
		"noDeploymentPassword.properties.allow": false,
	})
	for name := range byDefault.Modules {
		if name != "authentication" {
			r.problem("by default the module %s is deployed: the hub before the app answers, the others if asked for", name)
		}
	}
	r.roles(byDefault)
	r.signIn(p)

	origins := []any{"https://chat.example.com"}
	for _, verification := range []string{"identity", "key"} {
		d := r.deploy(p, with("verification", verification, "hubName", "lobby", "deployHub", true, "allowedOrigins", origins))
		if d == nil {
			return r.problems
		}
		r.equal(verification, d, map[string]any{
			"webPubSub.properties.disableLocalAuth":         verification == "identity",
			"app.properties.siteConfig.cors.allowedOrigins": origins,
		})
		r.app(verification, d)
		r.outputs(d)
		hub := d.Modules["hub"]
		if hub == nil {
			r.problem("deployHub deploys no hub")
			continue
		}
		r.hub(verification, hub)
	}
	return r.problems
}

// required returns the parameters without which main.bicep refuses to deploy.
func required() biceptest.Values {
	return biceptest.Values{"name": "test", "eventAudience": audience, "signInClientId": signInID}
}

// with returns required parameters and others, given as name, value, name, value.
func with(pairs ...any) biceptest.Values {
	params := required()
	for i := 0; i < len(pairs); i += 2 {
		params[pairs[i].(string)] = pairs[i+1]
	}
	return params
}

type reviewer struct{ problems []string }

func (r *reviewer) problem(format string, args ...any) {
	r.problems = append(r.problems, fmt.Sprintf(format, args...))
}

func (r *reviewer) deploy(p *biceptest.Program, params biceptest.Values) *biceptest.Deployment {
	d, err := p.Eval("main.bicep", params, known)
	if err != nil {
		r.problem("deployment: %v", err)
		return nil
	}
	return d
}

// equal compares properties, each under symbol.path.
func (r *reviewer) equal(where string, d *biceptest.Deployment, want map[string]any) {
	for _, name := range slices.Sorted(maps.Keys(want)) {
		if got := at(d, name); !same(got, want[name]) {
			r.problem("%s: %s is %v, want %v", where, name, got, want[name])
		}
	}
}

func at(d *biceptest.Deployment, name string) any {
	symbol, rest, _ := strings.Cut(name, ".")
	var v any = d.Resources[symbol].Body
	for rest != "" {
		members, _ := v.(biceptest.Values)
		if x, ok := members[rest]; ok { // a key may have dots in it
			return x
		}
		var key string
		key, rest, _ = strings.Cut(rest, ".")
		v = members[key]
	}
	return v
}

func same(a, b any) bool {
	x, err1 := json.Marshal(a)
	y, err2 := json.Marshal(b)
	return err1 == nil && err2 == nil && string(x) == string(y)
}

// roles holds what the app's identity may do against what it needs.
func (r *reviewer) roles(d *biceptest.Deployment) {
	found := make(map[string]bool)
	for symbol, resource := range d.Resources {
		if !strings.HasPrefix(resource.Type, "Microsoft.Authorization/") {
			continue
		}
		id := path.Base(fmt.Sprint(at(d, symbol+".properties.roleDefinitionId")))
		switch want := roles[resource.Scope]; {
		case want == "":
			r.problem("%s gives role %s on %q, which no app needs", symbol, id, resource.Scope)
		case id != want:
			r.problem("%s gives role %s on %s, want %s", symbol, id, resource.Scope, want)
		}
		found[resource.Scope] = true
		r.equal(symbol, d, map[string]any{
			symbol + ".properties.principalId":   known["identity.properties.principalId"],
			symbol + ".properties.principalType": "ServicePrincipal",
		})
		if name := fmt.Sprint(resource.Body["name"]); !strings.Contains(name, id) || !strings.Contains(name, resource.Scope) {
			r.problem("%s is not named after its scope and role, so that two could collide: %s", symbol, name)
		}
	}
	for scope := range roles {
		if !found[scope] {
			r.problem("the app has no role on %s", scope)
		}
	}
}

// settings returns the app's settings by name.
func (r *reviewer) settings(where string, d *biceptest.Deployment) map[string]string {
	settings := make(map[string]string)
	list, _ := at(d, "app.properties.siteConfig.appSettings").([]any)
	for _, s := range list {
		name, value := fmt.Sprint(s.(biceptest.Values)["name"]), fmt.Sprint(s.(biceptest.Values)["value"])
		if _, twice := settings[name]; twice {
			r.problem("%s: setting %s occurs twice", where, name)
		}
		settings[name] = value
	}
	return settings
}

// outputs looks for secrets in what everybody who reads the deployment sees.
func (r *reviewer) outputs(d *biceptest.Deployment) {
	secrets := []string{
		handlertest.AccessKey, otherKey, known["insights.properties.ConnectionString"].(string),
		r.settings("outputs", d)["WebPubSubUserNameKeys"],
	}
	for name, value := range d.Outputs {
		if slices.ContainsFunc(secrets, func(s string) bool { return strings.Contains(fmt.Sprint(value), s) }) {
			r.problem("output %s holds a secret", name)
		}
	}
}

// signIn holds each way to sign in against the platform's rules and the app: by
// the first template nobody could join, since negotiate answered 401 until
// somebody had configured a sign-in by hand.
func (r *reviewer) signIn(p *biceptest.Program) {
	for choice, want := range map[string]struct {
		demo, trust bool
		module      any // authentication enabled
	}{
		"entra": {trust: true, module: true},
		"demo":  {demo: true, module: false},
		"none":  {},
	} {
		params := with("signIn", choice)
		if choice != "entra" {
			delete(params, "signInClientId")
		}
		d := r.deploy(p, params)
		if d == nil {
			return
		}
		settings := r.settings(choice, d)
		config, err := webapp.ConfigFromEnv(func(name string) string { return settings[name] })
		if err != nil {
			r.problem("signIn %s: %v", choice, err)
			return
		}
		if config.AllowUserIDQuery != want.demo || config.TrustPlatformAuth != want.trust {
			r.problem("signIn %s: the app gets %v", choice, config)
		}
		if got := settings["OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID"]; (got == known["identity.properties.clientId"]) != want.trust || (got != "") != want.trust {
			r.problem("signIn %s: OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID is %q", choice, got)
		}
		m := d.Modules["authentication"]
		if (m == nil) != (want.module == nil) {
			r.problem("signIn %s: authentication is deployed: %t", choice, m != nil)
		}
		if m == nil {
			continue
		}
		enabled := want.module.(bool)
		r.equal("signIn "+choice, m, map[string]any{
			"signIn.name":                                              "authsettingsV2",
			"signIn.properties.platform.enabled":                       enabled,
			"signIn.properties.globalValidation.excludedPaths":         []any{"/api/events"},
			"signIn.properties.globalValidation.requireAuthentication": enabled,
			"signIn.properties.login.routes.logoutEndpoint":            "/.auth/logout",
		})
		if !enabled {
			continue
		}
		r.equal("signIn "+choice, m, map[string]any{
			"signIn.properties.globalValidation.unauthenticatedClientAction":                                "RedirectToLoginPage",
			"signIn.properties.identityProviders.azureActiveDirectory.registration.clientId":                signInID,
			"signIn.properties.identityProviders.azureActiveDirectory.registration.clientSecretSettingName": "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID",
			"signIn.properties.identityProviders.azureActiveDirectory.registration.openIdIssuer":            d.Outputs["SIGN_IN_ISSUER"],
			"signIn.properties.identityProviders.azureActiveDirectory.validation.allowedAudiences":          []any{signInID, "api://" + signInID},
		})
	}
}

// app starts the app with its settings and sends it events as the service would.
func (r *reviewer) app(verification string, d *biceptest.Deployment) {
	settings := r.settings(verification, d)
	asked := make(map[string]bool)
	// As in the app itself, the platform's own variables tell it where it runs.
	settings["IDENTITY_ENDPOINT"], settings["IDENTITY_HEADER"] = "http://127.0.0.1:1/token", "header"
	config, err := webapp.ConfigFromEnv(func(name string) string {
		asked[name] = true
		return settings[name]
	})
	if err != nil {
		r.problem("%s: the app refuses its settings: %v", verification, err)
		return
	}
	for _, name := range slices.Sorted(maps.Keys(settings)) {
		if !asked[name] && !slices.Contains(platformSettings, name) && !slices.Contains(signInSettings, name) && !strings.HasPrefix(name, "IDENTITY_") {
			r.problem("%s: nobody reads the setting %s", verification, name)
		}
	}
	for _, name := range platformSettings {
		if settings[name] == "" {
			r.problem("%s: the host lacks the setting %s", verification, name)
		}
	}
	if config.Hub != "lobby" || config.Credential == nil || config.AllowUserIDQuery || len(config.AllowedOrigins) > 0 || len(config.UserNameKeys) != 1 {
		r.problem("%s: the app gets %v", verification, config)
	}
	config.Logger = slog.New(slog.DiscardHandler)
	chat, err := webapp.New(config)
	if err != nil {
		r.problem("%s: the app does not start: %v", verification, err)
		return
	}
	if res := handlertest.Do(chat.Events, handlertest.ValidationRequest(endpoint)); !res.OK() {
		r.problem("%s: the app does not let the service send events: %d", verification, res.Status)
	}
	send := func(key string) int {
		return handlertest.Do(chat.Events, handlertest.UserEvent("lobby", "conn1", "nothing", webpubsub.Text("hi"),
			&handlertest.Options{Origin: endpoint, AccessKeys: []string{key}})).Status
	}
	for key, want := range map[string]bool{handlertest.AccessKey: verification == "key", otherKey: verification == "key", "forged": false} {
		if status := send(key); (status == http.StatusUnauthorized) == want {
			r.problem("%s: an event signed with the key %s is answered with %d", verification, key, status)
		}
	}
	if verification == "identity" {
		switch e := config.Entra; {
		case e == nil:
			r.problem("the app does not look at tokens")
		case e.TenantID != tenant || !slices.Equal(e.Audiences, []string{audience}) || !slices.Equal(e.Principals, []string{principal}):
			r.problem("the app looks for the tokens of %+v", e)
		}
	} else if config.Entra != nil {
		r.problem("key: the app wants tokens that nobody sends")
	}
}

// hub holds the event handler against the routes and the choice of verification.
func (r *reviewer) hub(verification string, d *biceptest.Deployment) {
	want := map[string]any{
		"hub.name":                              "lobby",
		"hub.properties.anonymousConnectPolicy": "deny",
	}
	r.equal(verification, d, want)
	handlers, _ := at(d, "hub.properties.eventHandlers").([]any)
	if len(handlers) != 1 {
		r.problem("%s: the hub has %d event handlers", verification, len(handlers))
		return
	}
	h := handlers[0].(biceptest.Values)
	auth := biceptest.Values{"type": "None"}
	if verification == "identity" {
		auth = biceptest.Values{"type": "ManagedIdentity", "managedIdentity": biceptest.Values{"resource": audience}}
	}
	for name, want := range map[string]any{
		"auth":             auth,
		"userEventPattern": "*",
		"systemEvents":     []any{"connect", "connected", "disconnected"},
	} {
		if !same(h[name], want) {
			r.problem("%s: %s of the event handler is %v, want %v", verification, name, h[name], want)
		}
	}
	if err := reaches(fmt.Sprint(h["urlTemplate"])); err != nil {
		r.problem("%s: urlTemplate %v: %v", verification, h["urlTemplate"], err)
	}
}

// reaches follows a URL through the routes of host.json to the app.
func reaches(template string) error {
	u, err := url.Parse(template)
	if err != nil {
		return err
	}
	if u.Scheme != "https" || u.Host != known["app.properties.defaultHostName"] || u.RawQuery != "" {
		return errors.New("want https, the host of the app, and no key")
	}
	host, err := functionshost.Load("..", false)
	if err != nil {
		return err
	}
	if !slices.ContainsFunc(host.Routes, func(route string) bool {
		fixed, _, _ := strings.Cut(route, "/{*")
		return path.Join("/", host.Prefix, fixed) == u.Path
	}) {
		return fmt.Errorf("no route of host.json has the path %s", u.Path)
	}
	chat, err := webapp.New(webapp.Config{ConnectionString: handlertest.ConnectionString, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		return err
	}
	req := handlertest.ValidationRequest()
	req.URL.Path = u.Path
	w := httptest.NewRecorder()
	chat.Handler().ServeHTTP(w, req)
	if w.Header().Get("WebHook-Allowed-Origin") == "" {
		return fmt.Errorf("the app answers %d at %s", w.Code, u.Path)
	}
	return nil
}
