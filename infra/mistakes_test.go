package infra_test

import (
	"maps"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/biceptest"
)

// TestBicepMistakes plants mistakes, each of which the review must find: else it
// would prove nothing about the templates.
func TestBicepMistakes(t *testing.T) {
	const main, hub, signIn = "main.bicep", "hub.bicep", "signin.bicep"
	mistakes := []struct{ name, file, old, replacement, found string }{
		{"syntax", main, "param name string", "param name", "syntax error"},
		{"property at the wrong level", main, "    httpsOnly: true\n", "", "app.properties.httpsOnly is <nil>"},
		{"undeclared symbol", main, "serverFarmId: plan.id", "serverFarmId: farm.id", "farm cannot be evaluated"},
		{"unknown function", main, "uniqueString(", "uniqString(", "uniqString cannot be evaluated"},
		{"unknown module parameter", main, "    webPubSubName: webPubSub.name\n    functionAppName", "    webPubSub: webPubSub.name\n    functionAppName", "no parameter webPubSub"},
		{"key in an output", main, "output HUB_NAME string = hubName", "output HUB_NAME string = webPubSub.listKeys().primaryKey", "holds a secret"},
		{"key in an output, by a variable", main, "output HUB_NAME string = hubName", "var key = 'x${webPubSub.listKeys().primaryKey}'\noutput HUB_NAME string = key", "holds a secret"},
		{"connection string in an output", main, "output HUB_NAME string = hubName", "output HUB_NAME string = insights.properties.ConnectionString", "holds a secret"},
		{"secure parameter in an output", main, "output HUB_NAME string = hubName", "output HUB_NAME string = userNameKey", "holds a secret"},
		{"wrong role", main, "12cf5a90-567b-43ae-8102-96cf46c7d9b4", "bfb1c7d2-fb1a-466b-b2ba-aee63b92deaf", "gives role bfb1c7d2"},
		{"role on the whole group", main, "  scope: webPubSub\n", "", `on "", which no app needs`},
		{"role for somebody else", main, "principalId: identity.properties.principalId", "principalId: webPubSub.identity.principalId", "properties.principalId is"},
		{"shared key", main, "allowSharedKeyAccess: false", "allowSharedKeyAccess: true", "storage.properties.allowSharedKeyAccess is true"},
		{"public blobs", main, "publicAccess: 'None'", "publicAccess: 'Blob'", "container.properties.publicAccess is Blob"},
		{"local auth by default", main, "disableLocalAuth: byIdentity", "disableLocalAuth: !byIdentity", "webPubSub.properties.disableLocalAuth is false"},
		{"keys by default", main, "param verification string = 'identity'", "param verification string = 'key'", "webPubSub.properties.disableLocalAuth is false"},
		{"deployment by password", main, "    allow: false\n", "    allow: true\n", "noFtpPassword.properties.allow is true"},
		{"another runtime", main, "name: 'custom'", "name: 'node'", "runtime.name is node"},
		{"package in another container", main, "blob}${container.name}", "blob}package", "storage.value is"},
		{"misspelt setting", main, "'WebPubSubHub'", "'WebPubSubHubName'", "nobody reads the setting WebPubSubHubName"},
		{"misspelt setting of verification", main, "'WebPubSubEventPrincipals'", "'WebPubSubEventPrincipal'", "the app refuses its settings"},
		{"setting that Flex Consumption refuses", main, "'WebPubSubAllowUserIdQuery'", "'FUNCTIONS_WORKER_RUNTIME'", "nobody reads the setting FUNCTIONS_WORKER_RUNTIME"},
		{"setting that the host needs", main, "'AzureWebJobsStorage__clientId'", "'AzureWebJobsStorage__clientid'", "the host lacks the setting AzureWebJobsStorage__clientId"},
		{"tokens of the wrong principal", main, "value: webPubSub.identity.principalId", "value: identity.properties.principalId", "the app looks for the tokens of"},
		{"one key only", main, ",${webPubSub.listKeys().secondaryKey}", "", "key: an event signed with the key secondary"},
		{"audience that only one side has", main, "audience: byIdentity ? audience : ''", "audience: byIdentity ? '' : audience", "auth of the event handler"},
		{"wrong route", hub, "/api/events'", "/api/event'", "no route of host.json"},
		{"route without the prefix", hub, "/api/events'", "/events'", "no route of host.json"},
		{"function key in the URL", hub, "/api/events'", "/api/events?code=x'", "and no key"},
		{"event that is not sent", hub, "          'connected'\n", "", "systemEvents of the event handler"},
		{"anybody may connect", main, "param anonymousConnectPolicy string = 'deny'", "param anonymousConnectPolicy string = 'allow'", "anonymousConnectPolicy is allow"},
		{"cross-site calls refused", main, "        allowedOrigins: allowedOrigins\n", "        allowedOrigins: [\n          'https://portal.azure.com'\n        ]\n", "allowedOrigins is"},
		{"sign-in that stops the events", signIn, "        '/api/events'\n", "", "excludedPaths is"},
		{"sign-in that lets everybody in", signIn, "requireAuthentication: !empty(clientId)", "requireAuthentication: false", "requireAuthentication is false"},
		{"sign-in by a secret", signIn, "clientSecretSettingName: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'", "clientSecretSettingName: 'SECRET'", "clientSecretSettingName is SECRET"},
		{"sign-in as the wrong identity", main, "name: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'\n        value: identity.properties.clientId", "name: 'OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID'\n        value: signInClient", "OVERRIDE_USE_MI_FIC_ASSERTION_CLIENTID is"},
		{"anybody by default", main, "param signIn string = 'entra'", "param signIn string = 'demo'", "the app gets"},
		{"hub before the app", main, "param deployHub bool = false", "param deployHub bool = true", "the module hub is deployed"},
		{"construct that the check does not know", main, "var packages = 'packages'", "var packages = [for s in ['a']: s][0]", "not understood here"},
	}
	files := bicepFiles(t)
	sets := make([]map[string]string, len(mistakes))
	for i, m := range mistakes {
		sets[i] = maps.Clone(files)
		sets[i][m.file] = strings.Replace(files[m.file], m.old, m.replacement, 1)
		if sets[i][m.file] == files[m.file] {
			t.Fatalf("%s: %s does not hold %q: the list of mistakes is out of date", m.name, m.file, m.old)
		}
	}
	for i, p := range biceptest.Parse(t, sets...) {
		m := mistakes[i]
		t.Run(m.name, func(t *testing.T) {
			problems := strings.Join(review(p), "\n")
			if !strings.Contains(problems, m.found) {
				t.Errorf("not found: %s\nfound instead: %s", m.found, problems)
			}
		})
	}
}
