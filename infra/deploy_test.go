package infra_test

import (
	"encoding/json"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"example.com/webpubsub/internal/test/biceptest"
)

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

func TestWorkflows(t *testing.T) {
	files, err := filepath.Glob("../.github/workflows/*.yml")
	if err != nil || len(files) != 6 {
		t.Fatalf("files %q, %v", files, err)
	}
	for _, file := range files {
		text := read(t, file)
		for _, action := range uses.FindAllStringSubmatch(text, -1) {
			if !pinned.MatchString(action[1]) {
				t.Errorf("%s: %s is not pinned by its hash, with the version in a comment", file, action[1])
			}
		}
		// The tap is another repository, which the token of a workflow does not reach.
		if strings.Contains(strings.ReplaceAll(text, "secrets.TAP_TOKEN", ""), "secrets.") {
			t.Errorf("%s uses a secret; GitHub authenticates by OpenID Connect", file)
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
			want["contents"] = "write"                                // to create the release
			want["id-token"], want["attestations"] = "write", "write" // to attest what it consists of
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
