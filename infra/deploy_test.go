package infra_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/biceptest"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/webapp"
)

// shell runs scripts with stand-ins for az and azd, which write down how they are
// called and answer what they are told.
type shell struct {
	dir, path string
}

// newShell takes the body of the stand-in for az, a shell script.
func newShell(t *testing.T, az string) *shell {
	t.Helper()
	sh := testtool.Need(t, "sh")
	dir := t.TempDir()
	record := "#!" + sh + "\n{ echo \"- ${0##*/}\"; for arg; do echo \"  $arg\"; done; } >>'" + filepath.Join(dir, "calls") + "'\n"
	for name, body := range map[string]string{"az": az, "azd": ""} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(record+body), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	return &shell{dir: dir, path: sh}
}

// run returns what went to standard output and standard error, and whether the
// script succeeded.
func (s *shell) run(t *testing.T, env []string, args ...string) (stdout, stderr string, ok bool) {
	t.Helper()
	var out, errors bytes.Buffer
	cmd := exec.Command(s.path, args...)
	cmd.Dir = ".." // as azd and the workflow do
	cmd.Env = append(env, "PATH="+s.dir+string(filepath.ListSeparator)+os.Getenv("PATH"))
	cmd.Stdout, cmd.Stderr = &out, &errors
	err := cmd.Run()
	return out.String(), errors.String(), err == nil
}

// calls returns each call's arguments, with the name of the command first.
func (s *shell) calls(t *testing.T) [][]string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(s.dir, "calls"))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	var calls [][]string
	for line := range strings.Lines(string(text)) {
		line = strings.TrimSuffix(line, "\n")
		if name, ok := strings.CutPrefix(line, "- "); ok {
			calls = append(calls, []string{name})
			continue
		}
		calls[len(calls)-1] = append(calls[len(calls)-1], strings.TrimPrefix(line, "  "))
	}
	return calls
}

// TestHubScript goes the whole way: from the outputs of main.bicep, by hub.sh and
// a running app, to the parameters of hub.bicep.
func TestHubScript(t *testing.T) {
	testtool.Need(t, "curl")
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
	testtool.Need(t, "curl")
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

// decodeYAML reads YAML by the rules of JSON, which take the case of names as it
// comes.
func decodeYAML(text string, v any) error {
	var all any
	if err := yaml.Unmarshal([]byte(text), &all); err != nil {
		return err
	}
	b, err := json.Marshal(all)
	if err != nil {
		return err
	}
	return json.Unmarshal(b, v)
}

// hook is a hook of azd, one for each kind of system.
type hook struct {
	POSIX, Windows struct{ Shell, Run string }
}

// azd is the part of azure.yaml that has to fit the other files.
type azd struct {
	Hooks    map[string]hook
	Services map[string]struct {
		Host, Language, Dist string
		Hooks                map[string]hook
	}
}

func readAZD(t *testing.T) azd {
	t.Helper()
	var a azd
	if err := decodeYAML(read(t, "../azure.yaml"), &a); err != nil {
		t.Fatal(err)
	}
	return a
}

func TestAZD(t *testing.T) {
	s, ok := readAZD(t).Services["functions"]
	if !ok {
		t.Fatal("there is no service functions, which is the tag azd-service-name of main.bicep")
	}
	if s.Host != "function" || s.Language != "custom" {
		t.Errorf("host %s, language %s, want a function app with a custom handler", s.Host, s.Language)
	}
	if run := s.Hooks["prepackage"].POSIX.Run; run != s.Hooks["prepackage"].Windows.Run || !strings.Contains(run, "webpubsub package -o "+s.Dist) {
		t.Errorf("prepackage does not put the package where azd looks for it, %s: %s", s.Dist, run)
	}
	if !strings.Contains(read(t, "main.bicep"), "'azd-service-name': 'functions'") {
		t.Error("main.bicep tags no app as azd's service functions")
	}

	var parameters struct {
		Parameters map[string]struct{ Value string }
	}
	if err := json.Unmarshal([]byte(read(t, "main.parameters.json")), &parameters); err != nil {
		t.Fatal(err)
	}
	params := required()
	for name, p := range parameters.Parameters {
		if !regexp.MustCompile(`^\$\{[A-Z_]+(=[A-Za-z0-9_]*)?\}$`).MatchString(p.Value) {
			t.Errorf("parameter %s is %q, want a variable of azd", name, p.Value)
		}
		variable, value, hasDefault := strings.Cut(strings.Trim(p.Value, "${}"), "=")
		if !hasDefault {
			value = variable
		}
		// What is empty by default is set by the hook before provisioning.
		if _, byHook := required()[name]; !byHook || value != "" {
			params[name] = value
		}
	}
	if _, err := biceptest.Parse(t, bicepFiles(t))[0].Eval("main.bicep", params, known); err != nil {
		t.Errorf("main.bicep with main.parameters.json: %v", err)
	}
}

// TestAZDHooks runs what azd runs before it deploys the resources: what has an id
// in Entra is registered once, and only if the settings need it.
func TestAZDHooks(t *testing.T) {
	a := readAZD(t)
	for name, run := range map[string][2]string{
		"preprovision":  {"sh infra/preprovision.sh", "./infra/preprovision.ps1"},
		"postprovision": {"sh infra/signin.sh connect", "./infra/signin.ps1 connect"},
		"postdeploy":    {"sh infra/hub.sh", "./infra/hub.ps1"},
	} {
		h := a.Hooks[name]
		if h.POSIX.Shell != "sh" || h.Windows.Shell != "pwsh" || !strings.HasPrefix(h.POSIX.Run, run[0]) || !strings.HasPrefix(h.Windows.Run, run[1]) {
			t.Errorf("%s: %+v", name, h)
		}
	}
	for _, last := range []string{a.Hooks["postdeploy"].POSIX.Run, a.Hooks["postdeploy"].Windows.Run} {
		if !strings.Contains(last, "CHAT_URL") {
			t.Errorf("azd up ends without a link: %s", last)
		}
	}
	const idOfAudience, idOfSignIn = "WEBPUBSUB_EVENT_AUDIENCE", "WEBPUBSUB_SIGN_IN_CLIENT_ID"
	for _, test := range []struct {
		env, want []string
	}{
		{nil, []string{idOfAudience, idOfSignIn}},
		{[]string{"WEBPUBSUB_VERIFICATION=identity", "WEBPUBSUB_SIGN_IN=entra"}, []string{idOfAudience, idOfSignIn}},
		{[]string{idOfAudience + "=" + audience}, []string{idOfSignIn}},
		{[]string{idOfAudience + "=" + audience, idOfSignIn + "=" + signInID}, nil},
		{[]string{"WEBPUBSUB_VERIFICATION=key", "WEBPUBSUB_SIGN_IN=demo"}, nil},
		{[]string{"WEBPUBSUB_SIGN_IN=none"}, []string{idOfAudience}},
	} {
		sh := newShell(t, directory)
		if _, stderr, ok := sh.run(t, append(test.env, "AZURE_ENV_NAME=test", "apps=", "principal="), "-euc", a.Hooks["preprovision"].POSIX.Run); !ok {
			t.Fatalf("%q: %s", test.env, stderr)
		}
		var set []string
		for _, call := range sh.calls(t) {
			if call[0] == "azd" {
				if !slices.Equal(call[1:3], []string{"env", "set"}) || call[4] != "new" {
					t.Errorf("%q: call %q", test.env, call)
				}
				set = append(set, call[3])
			}
		}
		if !slices.Equal(set, test.want) || (len(test.want) == 0 && len(sh.calls(t)) > 0) {
			t.Errorf("%q: set %q, want %q; calls %q", test.env, set, test.want, sh.calls(t))
		}
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

var (
	uses   = regexp.MustCompile(`(?m)^\s*-? *uses: *(.*)$`)
	pinned = regexp.MustCompile(`^[\w.-]+/[\w./-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+$`)
	passed = regexp.MustCompile(`(\w+)="\$\w+"`)
)

// The condition that the README puts on the deployer lets it give and take those
// roles that main.bicep gives. What it does not say of an action is allowed.
func TestREADMERoles(t *testing.T) {
	want := slices.Collect(maps.Values(roles))
	slices.Sort(want)
	for action, source := range map[string]string{"write": "Request", "delete": "Resource"} {
		of := "ActionMatches{'Microsoft.Authorization/roleAssignments/" + action + "'})) OR (@" + source +
			"[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {"
		_, list, _ := strings.Cut(read(t, "README.md"), of)
		list, _, _ = strings.Cut(list, "}")
		got := strings.Split(list, ", ")
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: roles %q, want %q", action, got, want)
		}
	}
}

// TestSnapshots evaluates the parameters whose snapshots the workflow validates.
func TestSnapshots(t *testing.T) {
	files, err := filepath.Glob("testdata/snapshots/*.bicepparam")
	if err != nil || len(files) == 0 {
		t.Fatalf("files %q, %v", files, err)
	}
	p := biceptest.Parse(t, bicepFiles(t))[0]
	assignment := regexp.MustCompile(`(?m)^param (\w+) = (.*)$`)
	for _, file := range files {
		params := make(biceptest.Values)
		for _, m := range assignment.FindAllStringSubmatch(read(t, filepath.ToSlash(file)), -1) {
			switch n, err := strconv.Atoi(m[2]); {
			case err == nil:
				params[m[1]] = n
			case m[2] == "true":
				params[m[1]] = true
			default:
				params[m[1]] = strings.Trim(m[2], "'")
			}
		}
		if _, err := p.Eval("main.bicep", params, known); err != nil {
			t.Errorf("%s: %v", file, err)
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

func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(files) != 5 {
		t.Fatalf("files %q, %v", files, err)
	}
	for _, file := range files {
		text := read(t, file)
		for _, action := range uses.FindAllStringSubmatch(text, -1) {
			if !pinned.MatchString(action[1]) {
				t.Errorf("%s: %s is not pinned by its hash, with the version in a comment", file, action[1])
			}
		}
		if strings.Contains(text, "secrets.") {
			t.Errorf("%s uses a secret; GitHub proves who it is by OpenID Connect", file)
		}
		var workflow struct{ Permissions map[string]string }
		if err := decodeYAML(text, &workflow); err != nil {
			t.Fatal(err)
		}
		want := map[string]string{"contents": "read"}
		if filepath.Base(file) == "deploy.yml" {
			want["id-token"] = "write" // to sign in
		}
		if filepath.Base(file) == "release.yml" {
			want["contents"] = "write" // to create the release
			if !strings.Contains(text, "go run ./internal/rename -check") {
				t.Errorf("%s: a release with the placeholder as its module path is not refused", file)
			}
		}
		if !maps.Equal(workflow.Permissions, want) {
			t.Errorf("%s: permissions %v, want %v", file, workflow.Permissions, want)
		}
	}

	var deploy struct {
		Defaults struct{ Run struct{ Shell string } }
		Jobs     map[string]struct {
			Steps []struct{ Run string }
		}
	}
	if err := decodeYAML(read(t, "../.github/workflows/deploy.yml"), &deploy); err != nil {
		t.Fatal(err)
	}
	if deploy.Defaults.Run.Shell != "bash" {
		t.Error("without shell: bash a failed deployment in a pipe goes unseen")
	}
	program := biceptest.Parse(t, bicepFiles(t))[0]
	deployed := false
	for _, step := range deploy.Jobs["azure"].Steps {
		if !strings.Contains(step.Run, "infra/main.bicep") {
			continue
		}
		deployed = true
		_, list, _ := strings.Cut(step.Run, "--parameters ")
		list, _, _ = strings.Cut(list, "\\")
		params := biceptest.Values{}
		for _, m := range passed.FindAllStringSubmatch(list, -1) {
			params[m[1]] = map[string]string{"verification": "key", "signIn": "demo", "webPubSubSku": "Free_F1"}[m[1]]
		}
		if d, err := program.Eval("main.bicep", params, known); err != nil || len(params) < 5 {
			t.Errorf("parameters %v: %v", params, err)
		} else {
			for name := range d.Outputs {
				if name != strings.ToUpper(name) {
					t.Errorf("output %s: the workflow makes outputs upper case, since Resource Manager does not keep their case", name)
				}
			}
		}
	}
	if !deployed {
		t.Error("no step deploys main.bicep")
	}
}
