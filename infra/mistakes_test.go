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
	const main, hub = "main.bicep", "hub.bicep"
	mistakes := []struct{ name, file, old, replacement, found string }{
		{"syntax", main, "param name string", "param name", "syntax error"},
		{"misspelt property", main, "disableLocalAuth:", "disableLocalAuht:", "no property disableLocalAuht"},
		{"wrong case of a property", main, "instanceMemoryMB:", "instanceMemoryMb:", "no property instanceMemoryMb"},
		{"property at the wrong level", main, "    httpsOnly: true\n", "", "app.properties.httpsOnly is <nil>"},
		{"missing required property", main, "    Application_Type: 'web'\n", "", "insights.properties lacks Application_Type"},
		{"missing required section", main, "  sku: {\n    name: 'Standard_LRS'\n  }\n", "", "storage lacks sku"},
		{"read-only property", main, "    publicNetworkAccess: 'Enabled'\n    tls:", "    hostName: 'x'\n    publicNetworkAccess: 'Enabled'\n    tls:", "hostName cannot be set"},
		{"bad value", main, "'TLS1_2'", "'TLS12'", `"TLS12" is none of`},
		{"bad value in a parameter", main, "  'Premium_P1'\n", "  'Premium_P9'\n", `"Premium_P9" is none of`},
		{"bad value in a branch", hub, "type: 'ManagedIdentity'", "type: 'Managed'", `"Managed" is none of`},
		{"string for a bool", main, "httpsOnly: true", "httpsOnly: 'true'", "want bool"},
		{"number out of range", hub, "InSeconds: 20", "InSeconds: 300", "300 is not in 1..120"},
		{"parameter without bounds", main, "@minValue(40)\n@maxValue(1000)\n", "", "param maximumInstances needs @minValue and @maxValue"},
		{"default that is not allowed", main, "webPubSubSku string = 'Free_F1'", "webPubSubSku string = 'Free'", "param webPubSubSku"},
		{"undeclared symbol", main, "serverFarmId: plan.id", "serverFarmId: farm.id", "nothing declares farm"},
		{"unused parameter", main, "capacity: webPubSubUnits", "capacity: 1", "param webPubSubUnits is not used"},
		{"member that the type lacks", main, "identity.properties.clientId", "identity.properties.clientID", "there is no clientID here"},
		{"unknown function", main, "uniqueString(", "uniqString(", "function uniqString"},
		{"unknown type", main, "Microsoft.Web/serverfarms@", "Microsoft.Web/serverFarms@", "no resource type"},
		{"unknown API version", hub, "hubs@2024-03-01", "hubs@2024-03-02", "no resource type"},
		{"wrong parent", main, "parent: blobs", "parent: storage", "cannot be the parent"},
		{"missing parent", hub, "  parent: webPubSub\n", "", "has no parent"},
		{"name that the type forbids", main, "name: 'st${suffix}'", "name: 'st-${suffix}'", "name of storage"},
		{"name that is not known at the start", main, "guid(storage.id, identity.id,", "guid(storage.id, identity.properties.principalId,", "not known when the deployment starts"},
		{"resources that wait for each other", main, "clientCertEnabled: false", "clientCertEnabled: app.properties.httpsOnly", "needs itself to be deployed first"},
		{"missing module parameter", main, "    audience: byIdentity ? eventAudience : ''\n  }\n}", "  }\n}", "params of module hub lacks audience"},
		{"unknown module parameter", main, "    webPubSubName: webPubSub.name", "    webPubSub: webPubSub.name", "no property webPubSub"},
		{"module that is not there", main, "'hub.bicep'", "'hubs.bicep'", "no file hubs.bicep"},
		{"key in an output", main, "output HUB_NAME string = hubName", "output HUB_NAME string = webPubSub.listKeys().primaryKey", "holds a secret"},
		{"key in an output, by a variable", main, "output HUB_NAME string = hubName", "var key = 'x${webPubSub.listKeys().primaryKey}'\noutput HUB_NAME string = key", "holds a secret"},
		{"connection string in an output", main, "output HUB_NAME string = hubName", "output HUB_NAME string = insights.properties.ConnectionString", "holds a secret"},
		{"secure parameter in an output", main, "param hubName", "@secure()\nparam hubName", "holds a secret"},
		{"output of another type", main, "output HUB_NAME string = hubName", "output HUB_NAME int = hubName", "output HUB_NAME is string, want int"},
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
		{"audience that only one side has", main, "audience: byIdentity ? eventAudience : ''", "audience: byIdentity ? '' : eventAudience", "auth of the event handler"},
		{"wrong route", hub, "/api/events'", "/api/event'", "no route of host.json"},
		{"route without the prefix", hub, "/api/events'", "/events'", "no route of host.json"},
		{"function key in the URL", hub, "/api/events'", "/api/events?code=x'", "and no key"},
		{"event that is not sent", hub, "          'connected'\n", "", "systemEvents of the event handler"},
		{"anybody may connect", main, "param anonymousConnectPolicy string = 'deny'", "param anonymousConnectPolicy string = 'allow'", "anonymousConnectPolicy is allow"},
		{"cross-site calls refused", main, "        allowedOrigins: allowedOrigins\n", "        allowedOrigins: [\n          'https://portal.azure.com'\n        ]\n", "allowedOrigins is"},
		{"hub before the app", main, "param deployHub bool = false", "param deployHub bool = true", "before the app answers"},
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
	for i, p := range biceptest.Parse(t, types(t), sets...) {
		m := mistakes[i]
		t.Run(m.name, func(t *testing.T) {
			problems := strings.Join(review(p), "\n")
			if !strings.Contains(problems, m.found) {
				t.Errorf("not found: %s\nfound instead: %s", m.found, problems)
			}
		})
	}
}
