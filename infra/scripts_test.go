package infra_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/biceptest"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/webapp"
)

// TestHubScript goes the whole way: from the outputs of main.bicep, by hub.sh and
// a running app, to the parameters of hub.bicep.
func TestHubScript(t *testing.T) {
	testtool.Installed(t, "curl")
	p := biceptest.Parse(t, bicepFiles(t))[0]
	chat, err := webapp.New(webapp.Config{ConnectionString: handlertest.ConnectionString, Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	srv := httptest.NewServer(chat.Handler())
	t.Cleanup(srv.Close)

	for _, verification := range []string{"identity", "key"} {
		t.Run(verification, func(t *testing.T) {
			d, err := p.Eval("main.bicep", with("verification", verification), known)
			if err != nil {
				t.Fatal(err)
			}
			env := []string{"AZURE_RESOURCE_GROUP=rg-test", "HUB_TRIES=1"}
			for name, value := range d.Outputs {
				switch name {
				case "AZURE_FUNCTION_APP_URL":
					value = srv.URL
				case "AZURE_WEBPUBSUB_HOST":
					value = handlertest.Origin
				}
				env = append(env, fmt.Sprintf("%s=%v", name, value))
			}
			sh := newShell(t, "")
			if _, stderr, ok := sh.run(t, env, "infra/hub.sh"); !ok {
				t.Fatal(stderr)
			}
			calls := sh.calls(t)
			if len(calls) != 1 {
				t.Fatalf("calls %q, want one of az", calls)
			}
			i := slices.Index(calls[0], "--parameters")
			if i < 0 || !slices.Contains(calls[0], "rg-test") {
				t.Fatalf("call %q", calls[0])
			}
			params := make(biceptest.Values)
			for _, arg := range calls[0][i+1:] {
				name, value, _ := strings.Cut(arg, "=")
				params[name] = value
			}
			hub, err := p.Eval("hub.bicep", params, known)
			if err != nil {
				t.Fatal(err)
			}
			want := biceptest.Values{"type": "ManagedIdentity", "managedIdentity": biceptest.Values{"resource": audience}}
			if verification == "key" {
				want = biceptest.Values{"type": "None"}
			}
			handlers := at(hub, "hub.properties.eventHandlers").([]any)
			if got := handlers[0].(biceptest.Values)["auth"]; !same(got, want) {
				t.Errorf("the event handler's auth is %v, want %v", got, want)
			}
		})
	}
}

func TestHubScriptRefuses(t *testing.T) {
	testtool.Installed(t, "curl")
	broken := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Error(w, "WebPubSubEventAudience missing", http.StatusInternalServerError)
	}))
	t.Cleanup(broken.Close)
	env := []string{
		"AZURE_RESOURCE_GROUP=rg-test", "HUB_TRIES=1", "AZURE_FUNCTION_APP=f", "AZURE_FUNCTION_APP_URL=" + broken.URL,
		"AZURE_WEBPUBSUB=w", "AZURE_WEBPUBSUB_HOST=w.webpubsub.azure.com", "HUB_NAME=chat", "HUB_ANONYMOUS=deny", "HUB_AUDIENCE=",
	}
	sh := newShell(t, "")
	if _, stderr, ok := sh.run(t, env, "infra/hub.sh"); ok || !strings.Contains(stderr, "WebPubSubEventAudience missing") {
		t.Errorf("an app that does not answer: success is %v, errors %q, want the answer in them", ok, stderr)
	}
	for i, variable := range env {
		name, _, _ := strings.Cut(variable, "=")
		if name == "HUB_TRIES" {
			continue
		}
		if _, stderr, ok := sh.run(t, slices.Delete(slices.Clone(env), i, i+1), "infra/hub.sh"); ok || !strings.Contains(stderr, name) {
			t.Errorf("without %s: success is %v, errors %q, want its name in them", name, ok, stderr)
		}
	}
	if calls := sh.calls(t); len(calls) > 0 {
		t.Errorf("calls %q, want none", calls)
	}
}

// The stand-in for az in the directory of applications: there are those in $apps,
// and a created one is called new.
const directory = `case "$1 $2 $3" in
"ad app list") for app in $apps; do echo "$app"; done ;;
"ad app create") echo new ;;
"ad sp show") [ -n "$principal" ] ;;
esac
`

func TestRegisterScripts(t *testing.T) {
	for _, script := range [][]string{{"infra/audience.sh"}, {"infra/signin.sh", "register"}} {
		t.Run(script[0], func(t *testing.T) { testRegister(t, script) })
	}
}

func testRegister(t *testing.T, script []string) {
	for _, test := range []struct {
		name, apps, principal, want string
		made                        int
	}{
		{name: "nothing there", want: "new\n", made: 2},
		{name: "stopped half-way", apps: "old", want: "old\n", made: 1},
		{name: "all there", apps: "old", principal: "yes", want: "old\n"},
		{name: "which of them?", apps: "one two"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sh := newShell(t, directory)
			stdout, stderr, ok := sh.run(t, []string{"apps=" + test.apps, "principal=" + test.principal}, append(slices.Clone(script), "events")...)
			if stdout != test.want || ok != (test.want != "") {
				t.Errorf("success is %v, output %q, errors %q, want %q", ok, stdout, stderr, test.want)
			}
			made := 0
			for _, call := range sh.calls(t) {
				if slices.Contains(call, "create") {
					made++
				}
			}
			if made != test.made {
				t.Errorf("created %d, want %d: %q", made, test.made, sh.calls(t))
			}
		})
	}
}

// application is the stand-in for az where the application for sign-in has the
// redirect URIs $uris and, if $credential, the app's federated credential.
const application = `case "$3 $4" in
"show --id") for uri in $uris; do echo "$uri"; done ;;
"federated-credential list") case "$*" in
	*subject*) [ -z "$credential" ] || echo func ;;
	*) [ -z "$old" ] || echo func ;;
	esac ;;
esac
`

func TestSignInConnect(t *testing.T) {
	const callback = "https://func.azurewebsites.net/.auth/login/aad/callback"
	env := []string{
		"SIGN_IN_CLIENT_ID=" + signInID, "AZURE_FUNCTION_APP=func", "AZURE_FUNCTION_APP_URL=https://func.azurewebsites.net",
		"SIGN_IN_ISSUER=https://login.microsoftonline.com/" + tenant + "/v2.0", "SIGN_IN_SUBJECT=" + principal,
	}
	for _, test := range []struct {
		name, uris, credential, old string
		uri, verb                   string // what is changed
	}{
		{name: "first time", uri: callback, verb: "create"},
		{name: "another app signs in too", uris: "https://other.example/cb", uri: "https://other.example/cb " + callback, verb: "create"},
		{name: "all there", uris: callback, credential: "yes"},
		{name: "new identity of the app", uris: callback, old: "yes", verb: "update"},
	} {
		t.Run(test.name, func(t *testing.T) {
			sh := newShell(t, application)
			if _, stderr, ok := sh.run(t, append(env, "uris="+test.uris, "credential="+test.credential, "old="+test.old), "infra/signin.sh", "connect"); !ok {
				t.Fatal(stderr)
			}
			uri, verb := "", ""
			for _, call := range sh.calls(t) {
				if i := slices.Index(call, "--web-redirect-uris"); i > 0 {
					uri = strings.Join(call[i+1:], " ")
				}
				i := slices.Index(call, "--parameters")
				if i < 0 {
					continue
				}
				verb = call[4]
				var credential struct {
					Name, Issuer, Subject string
					Audiences             []string
				}
				if err := json.Unmarshal([]byte(strings.Join(call[i+1:], "\n")), &credential); err != nil {
					t.Fatal(err)
				}
				if credential.Subject != principal || !strings.Contains(credential.Issuer, tenant) || !slices.Equal(credential.Audiences, []string{"api://AzureADTokenExchange"}) {
					t.Errorf("credential %+v", credential)
				}
			}
			if uri != test.uri || verb != test.verb {
				t.Errorf("redirect URIs %q, credential %q, want %q and %q: %q", uri, verb, test.uri, test.verb, sh.calls(t))
			}
		})
	}
	t.Run("no sign-in", func(t *testing.T) {
		sh := newShell(t, application)
		if _, stderr, ok := sh.run(t, []string{"SIGN_IN_CLIENT_ID="}, "infra/signin.sh", "connect"); !ok || len(sh.calls(t)) > 0 {
			t.Errorf("calls %q, errors %q, want none", sh.calls(t), stderr)
		}
	})
	for i, variable := range env {
		sh := newShell(t, application)
		name, _, _ := strings.Cut(variable, "=")
		if _, stderr, ok := sh.run(t, slices.Delete(slices.Clone(env), i, i+1), "infra/signin.sh", "connect"); ok || !strings.Contains(stderr, name) {
			t.Errorf("without %s: success is %v, errors %q, want its name in them", name, ok, stderr)
		}
	}
}

// TestPowerShellScripts holds the scripts for Windows against those for sh, as
// far as that can be told without running them: they call the same commands with
// the same options.
func TestPowerShellScripts(t *testing.T) {
	options := regexp.MustCompile(`--[a-z][a-z-]+`)
	all := func(names ...string) map[string]bool {
		found := make(map[string]bool)
		for _, name := range names {
			for _, o := range options.FindAllString(read(t, name), -1) {
				found[o] = true
			}
		}
		return found
	}
	unix, windows := all("audience.sh", "signin.sh", "hub.sh", "preprovision.sh"), all("az.ps1", "audience.ps1", "signin.ps1", "hub.ps1", "preprovision.ps1")
	for _, curl := range []string{"--silent", "--show-error", "--include", "--max-time", "--request", "--header"} {
		delete(unix, curl)
	}
	if !maps.Equal(unix, windows) {
		t.Errorf("options %v, want %v", slices.Sorted(maps.Keys(windows)), slices.Sorted(maps.Keys(unix)))
	}
	variables := regexp.MustCompile(`\b(?:WEBPUBSUB|AZURE|SIGN_IN|HUB)_[A-Z_]+\b`)
	for _, name := range []string{"audience", "signin", "hub", "preprovision"} {
		sh, ps := variables.FindAllString(read(t, name+".sh"), -1), variables.FindAllString(read(t, name+".ps1"), -1)
		slices.Sort(sh)
		slices.Sort(ps)
		if sh, ps = slices.Compact(sh), slices.Compact(ps); !slices.Equal(sh, ps) {
			t.Errorf("%s.ps1 reads %q, %s.sh %q", name, ps, name, sh)
		}
	}
}

// TestCompileScript runs the script of the workflow with a stand-in for the
// compiler that says nothing, and with one that warns: the status of the compiler
// does not change with a warning, so that it went unseen.
func TestCompileScript(t *testing.T) {
	const quiet = `while [ $# -gt 1 ]; do case "$1" in --file) file=$2 ;; --outfile) out=$2 ;; esac; shift; done
[ -z "$out" ] || cp "$file" "$out"
`
	sh := newShell(t, quiet)
	if stdout, stderr, ok := sh.run(t, nil, "infra/compile.sh"); !ok {
		t.Errorf("without a message: %s%s", stdout, stderr)
	}
	for name, az := range map[string]string{
		"warning": quiet + `case "$file" in hub.bicep) echo "/x/hub.bicep(1,1) : Warning no-unused-params: ..." >&2 ;; esac` + "\n",
		"format":  quiet + `case "$out" in *formatted.bicep) echo >>"$out" ;; esac` + "\n",
	} {
		sh := newShell(t, az)
		if _, _, ok := sh.run(t, nil, "infra/compile.sh"); ok {
			t.Errorf("%s: not seen", name)
		}
	}
	if _, err := os.Stat("azuredeploy.json"); err == nil {
		if !strings.Contains(read(t, "azuredeploy.json"), `"_generator"`) {
			t.Error("azuredeploy.json is not the compiler's output")
		}
	}
}
