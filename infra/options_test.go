package infra_test

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"example.com/webpubsub/internal/test/biceptest"
)

// TestBicepRequires looks for the errors of a deployment without what the scripts
// register: Azure would accept the template, and nobody could join.
func TestBicepRequires(t *testing.T) {
	p := biceptest.Parse(t, bicepFiles(t))[0]
	for _, test := range []struct{ without, script, unless, value string }{
		{"signInClientId", "infra/signin.sh", "signIn", "none"},
		{"signInClientId", "infra/signin.sh", "signIn", "demo"},
		{"eventAudience", "infra/audience.sh", "verification", "key"},
	} {
		params := required()
		delete(params, test.without)
		if _, err := p.Eval("main.bicep", params, known); err == nil || !strings.Contains(err.Error(), test.script) {
			t.Errorf("without %s: error %v, want one that names %s", test.without, err, test.script)
		}
		params[test.unless] = test.value
		if _, err := p.Eval("main.bicep", params, known); err != nil {
			t.Errorf("%s=%s without %s: %v", test.unless, test.value, test.without, err)
		}
	}
}

func TestBicepOptions(t *testing.T) {
	p := biceptest.Parse(t, bicepFiles(t))[0]
	deploy := func(params biceptest.Values) *biceptest.Deployment {
		t.Helper()
		d, err := p.Eval("main.bicep", params, known)
		if err != nil {
			t.Fatal(err)
		}
		return d
	}
	check := func(d *biceptest.Deployment, want map[string]any) {
		t.Helper()
		r := &reviewer{}
		if r.equal("options", d, want); len(r.problems) > 0 {
			t.Error(strings.Join(r.problems, "\n"))
		}
	}

	d := deploy(with("deployHub", true, "presenceGroups", "room.*,lobby"))
	if d.Modules["hub"] != nil || d.Modules["hubWithPresence"] == nil {
		t.Fatal("presence events need the preview API, in place of the other")
	}
	preview := d.Modules["hubWithPresence"]
	handlers := at(preview, "hub.properties.eventHandlers").([]any)
	if got := handlers[0].(biceptest.Values)["groupPresenceEvents"]; !same(got, biceptest.Values{
		"eventNames": []string{"joined", "left"}, "groupFilters": []string{"room.*", "lobby"},
	}) {
		t.Errorf("groupPresenceEvents %v", got)
	}
	// But for the presence events the two files deploy the same hub.
	plain := deploy(with("deployHub", true)).Modules["hub"]
	delete(handlers[0].(biceptest.Values), "groupPresenceEvents")
	if got, want := preview.Resources["hub"].Body, plain.Resources["hub"].Body; !same(got, want) {
		t.Errorf("hub-preview.bicep deploys %v, hub.bicep %v", got, want)
	}

	d = deploy(with("deployHub", true, "eventHubs", true))
	namespace := at(d.Modules["events"], "eventHubs.name")
	check(d.Modules["hub"], map[string]any{"hub.properties.eventListeners": []any{biceptest.Values{
		"filter": biceptest.Values{"type": "EventName", "userEventPattern": "*", "systemEvents": []string{"connected", "disconnected"}},
		"endpoint": biceptest.Values{
			"type": "EventHub", "eventHubName": at(d.Modules["events"], "events.name"),
			"fullyQualifiedNamespace": fmt.Sprint(namespace, ".servicebus.windows.net"),
		},
	}}})
	check(d.Modules["events"], map[string]any{
		"eventHubs.properties.disableLocalAuth": true,
		// The service sends, not the app.
		"access.properties.principalId": principal,
	})
	if d.Outputs["HUB_EVENT_HUBS"] != namespace {
		t.Errorf("hub.sh is told of %v, want %v", d.Outputs["HUB_EVENT_HUBS"], namespace)
	}

	d = deploy(with("connectionsPerUser", 5, "webPubSubSku", "Premium_P1"))
	check(d.Modules["limits"], map[string]any{
		"webPubSub.properties.applicationFirewall.clientConnectionCountRules":           []any{biceptest.Values{"type": "ThrottleByUserIdRule", "maxCount": 5}},
		"webPubSub.properties.applicationFirewall.clientTrafficControlRules":            []any{},
		"webPubSub.properties.applicationFirewall.maxClientConnectionLifetimeInSeconds": 0,
	})
	d = deploy(with("bytesPerUserAndMinute", 1000, "connectionLifetime", 3600, "webPubSubSku", "Premium_P1"))
	check(d.Modules["limits"], map[string]any{
		"webPubSub.properties.applicationFirewall.clientTrafficControlRules": []any{biceptest.Values{
			"type": "TrafficThrottleByUserIdRule", "maxInboundMessageBytes": 1000, "aggregationWindowInSeconds": 60,
		}},
		"webPubSub.properties.applicationFirewall.maxClientConnectionLifetimeInSeconds": 3600,
	})
	// The second deployment of the resource must not undo the first.
	body := d.Modules["limits"].Resources["webPubSub"].Body
	delete(body["properties"].(biceptest.Values), "applicationFirewall")
	if want := d.Resources["webPubSub"].Body; !same(body, want) {
		t.Errorf("limits.bicep deploys %v, main.bicep %v", body, want)
	}

	d = deploy(with("diagnosticLogs", true, "clientCertificates", true))
	check(d, map[string]any{
		"webPubSubLogs.properties.workspaceId":          "<logs.id>",
		"webPubSub.properties.tls.clientCertEnabled":    true,
		"app.properties.siteConfig.cors.allowedOrigins": []any{},
	})
	if d.Resources["webPubSubLogs"].Scope != "webPubSub" {
		t.Error("the logs of another resource are sent")
	}
}

// The button runs no script, so its template must deploy without what they
// register.
func TestBicepButton(t *testing.T) {
	d, err := biceptest.Parse(t, bicepFiles(t))[0].Eval("azuredeploy.bicep", biceptest.Values{"name": "test"}, known)
	if err != nil {
		t.Fatal(err)
	}
	if d.Modules["all"].Modules["authentication"] != nil {
		t.Error("the button configures sign-in, for which nothing is registered")
	}
}

// evaluated matches what the compiler left to Azure: an expression.
var evaluated = regexp.MustCompile(`^\[.*\]$`)

// TestBicepRecord holds the templates against what Microsoft's compiler made of
// an earlier version of them (testdata/compiled): a property that it knew and
// that has gone, or one that it has not seen, is a mistake unless it is listed.
func TestBicepRecord(t *testing.T) {
	added := map[string]bool{
		"hubs.properties.eventListeners": true, // in testdata/compiled/hub-preview.bicep
	}
	p := biceptest.Parse(t, bicepFiles(t))[0]
	for _, verification := range []string{"identity", "key"} {
		d, err := p.Eval("main.bicep", with("verification", verification, "signIn", "none", "deployHub", true), known)
		if err != nil {
			t.Fatal(err)
		}
		var record struct{ PredictedResources []map[string]any }
		if err := json.Unmarshal([]byte(read(t, "testdata/compiled/main."+verification+".snapshot.json")), &record); err != nil {
			t.Fatal(err)
		}
		ours := make(map[string][]map[string]any) // by type
		for _, resources := range []map[string]biceptest.Resource{d.Resources, d.Modules["hub"].Resources} {
			for _, r := range resources {
				if !r.Existing {
					typ, _, _ := strings.Cut(r.Type, "@")
					ours[typ] = append(ours[typ], plain(t, r.Body))
				}
			}
		}
		for _, want := range record.PredictedResources {
			typ := fmt.Sprint(want["type"])
			short := typ[strings.LastIndex(typ, "/")+1:]
			for _, key := range []string{"id", "type", "apiVersion"} {
				delete(want, key)
			}
			var best []string
			for i, got := range ours[typ] {
				if found := differences(short, got, want, added); i == 0 || len(found) < len(best) {
					best = found
				}
			}
			if len(ours[typ]) == 0 {
				best = []string{"is not deployed"}
			}
			for _, difference := range best {
				t.Errorf("%s: %s %v: %s", verification, typ, want["name"], difference)
			}
		}
	}
}

// plain returns a body as JSON has it.
func plain(t *testing.T, v any) map[string]any {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	var out map[string]any
	if err := json.Unmarshal(b, &out); err != nil {
		t.Fatal(err)
	}
	return out
}

// differences lists where a value is not what the compiler made of it, as far as
// both have evaluated it.
func differences(where string, got, want any, added map[string]bool) []string {
	var found []string
	switch want := want.(type) {
	case map[string]any:
		members, ok := got.(map[string]any)
		if !ok {
			return []string{fmt.Sprintf("%s is %v, was %v", where, got, want)}
		}
		for key, w := range want {
			if strings.HasPrefix(key, "/subscriptions/") { // a resource id
				continue
			}
			g, ok := members[key]
			if !ok {
				found = append(found, where+"."+key+" is missing")
				continue
			}
			found = append(found, differences(where+"."+key, g, w, added)...)
		}
		for key := range members {
			if _, ok := want[key]; !ok && !added[where+"."+key] && !strings.HasPrefix(key, "<") {
				found = append(found, where+"."+key+" is not in the record")
			}
		}
	case []any:
		items, _ := got.([]any)
		if where == "sites.properties.siteConfig.appSettings" {
			return settingDifferences(items, want)
		}
		if len(items) != len(want) {
			return []string{fmt.Sprintf("%s is %v, was %v", where, got, want)}
		}
		for i := range want {
			found = append(found, differences(where, items[i], want[i], added)...)
		}
	case string:
		// Of names and ids the two know different parts.
		text := fmt.Sprint(got)
		if evaluated.MatchString(want) || strings.Contains(text, "<") || strings.HasSuffix(want, "/"+text) || strings.HasPrefix(want, "/subscriptions/") {
			return nil
		}
		for recorded, here := range map[string]string{"11111111-2222-3333-4444-555555555555": audience, "westeurope": "<resourceGroup.location>", "chat": "test"} {
			if want == recorded && (text == here || text == recorded) {
				return nil
			}
		}
		if text != want {
			found = append(found, fmt.Sprintf("%s is %q, was %q", where, text, want))
		}
	default:
		if fmt.Sprint(got) != fmt.Sprint(want) {
			found = append(found, fmt.Sprintf("%s is %v, was %v", where, got, want))
		}
	}
	return found
}

// settingDifferences lists recorded settings that have gone.
func settingDifferences(got, want []any) []string {
	names := make(map[any]bool)
	for _, s := range got {
		names[s.(map[string]any)["name"]] = true
	}
	var found []string
	for _, s := range want {
		if name := s.(map[string]any)["name"]; !names[name] {
			found = append(found, fmt.Sprintf("setting %v is missing", name))
		}
	}
	return found
}

// TestBicepSignInRecord: the compiler has accepted the module in
// testdata/compiled; ours has every property of it and no other.
func TestBicepSignInRecord(t *testing.T) {
	eval := func(files map[string]string, name string) map[string]any {
		d, err := biceptest.Parse(t, files)[0].Eval(name, biceptest.Values{"appName": "func", "clientId": signInID}, known)
		if err != nil {
			t.Fatal(err)
		}
		return plain(t, d.Resources["signIn"].Body)
	}
	got := eval(bicepFiles(t), "signin.bicep")
	want := eval(map[string]string{"signin.bicep": read(t, "testdata/compiled/signin.bicep")}, "signin.bicep")
	if !same(got, want) {
		t.Errorf("signin.bicep deploys\n%v\nwant\n%v", got, want)
	}
}
