package infra_test

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/webapp"
)

const samTemplate = "aws/template.yaml"

// sam is the part of the template that has to fit the Go code. Of intrinsic
// functions such as !Ref only the argument is seen, of !If the three.
type sam struct {
	Globals struct {
		Function samFunction
	}
	Resources map[string]samResource
	Outputs   map[string]struct{ Value string }
}

type samResource struct {
	Type       string
	Condition  string
	Properties json.RawMessage
}

type samFunction struct {
	Runtime       string
	Handler       string
	Architectures []string
	CodeURI       string
	Policies      any
	Environment   struct{ Variables map[string]any }
}

type samRoute struct {
	RouteKey, Target  string
	AuthorizationType []string
	AuthorizerID      []string
}

type samIntegration struct{ IntegrationType, IntegrationURI, PayloadFormatVersion string }

type samPermission struct {
	Action, FunctionName, Principal, SourceArn, FunctionURLAuthType string
	InvokedViaFunctionURL                                           bool
}

type samRole struct {
	ManagedPolicyArns any
	Policies          []struct {
		PolicyDocument struct {
			Statement []struct {
				Effect   string
				Action   []string
				Resource string
			}
		}
	}
}

func TestSAM(t *testing.T) {
	for _, problem := range reviewSAM(read(t, samTemplate)) {
		t.Error(problem)
	}
}

// reviewSAM returns what is wrong with the template against the Go code and as a
// way to run it safely. That it is a template at all is for cfn-lint to say.
func reviewSAM(text string) []string {
	r := &reviewer{}
	var s sam
	if err := decodeYAML(text, &s); err != nil {
		r.problem("%v", err)
		return r.problems
	}
	programs := make(map[string]string) // of functions
	for _, name := range slices.Sorted(maps.Keys(s.Resources)) {
		resource := s.Resources[name]
		var err error
		switch resource.Type {
		case "AWS::Serverless::Function":
			f := s.Globals.Function
			f.Environment.Variables = maps.Clone(f.Environment.Variables)
			if err = json.Unmarshal(resource.Properties, &f); err == nil {
				programs[name], err = r.samFunction(name, f)
			}
		case "AWS::IAM::Role":
			var role samRole
			if err = json.Unmarshal(resource.Properties, &role); err == nil {
				r.samRole(name, role)
			}
		}
		if err != nil {
			r.problem("%s: %v", name, err)
		}
	}
	routes := r.samRoutes(s.Resources, programs)
	if want := map[string]string{
		"ANY /api/negotiate": "negotiate", "OPTIONS /api/negotiate": "negotiate",
		"ANY /api/events": "events", "ANY /api/events/{event+}": "events",
		"ANY /": "functions", "ANY /api/index": "functions", "ANY /api/index/{file+}": "functions",
	}; !maps.Equal(routes, want) {
		r.problem("the API has the routes %v, want %v", routes, want)
	}
	r.samFunctionURL(s.Resources)
	for name, output := range s.Outputs {
		if _, p, isAPI := strings.Cut(output.Value, "${AWS::URLSuffix}"); output.Value != "FunctionUrl.FunctionUrl" && (!isAPI || routes["ANY "+p] == "") {
			r.problem("output %s is no URL of a function: %s", name, output.Value)
		}
	}
	return r.problems
}

// samRoutes returns the program that serves each route of the API. Routes of the
// service's events are open, since the handler verifies them; negotiate is open
// to a browser's preflight alone.
func (r *reviewer) samRoutes(resources map[string]samResource, programs map[string]string) map[string]string {
	routes := make(map[string]string)
	for _, name := range slices.Sorted(maps.Keys(resources)) {
		if resources[name].Type != "AWS::ApiGatewayV2::Route" {
			continue
		}
		var route samRoute
		var integration samIntegration
		if err := json.Unmarshal(resources[name].Properties, &route); err != nil {
			r.problem("%s: %v", name, err)
			continue
		}
		target := strings.TrimSuffix(strings.TrimPrefix(route.Target, "integrations/${"), "}")
		if err := json.Unmarshal(resources[target].Properties, &integration); err != nil {
			r.problem("%s: there is no integration %s: %v", name, target, err)
			continue
		}
		function, _, _ := strings.Cut(integration.IntegrationURI, ".")
		if integration.IntegrationType != "AWS_PROXY" || integration.PayloadFormatVersion != "2.0" {
			r.problem("%s: %+v, want AWS_PROXY with payload format 2.0, which the functions understand", target, integration)
		}
		if !slices.ContainsFunc(slices.Collect(maps.Values(resources)), func(other samResource) bool {
			var p samPermission
			return other.Type == "AWS::Lambda::Permission" && json.Unmarshal(other.Properties, &p) == nil &&
				p.Action == "lambda:InvokeFunction" && p.FunctionName == function && p.Principal == "apigateway.amazonaws.com" && strings.Contains(p.SourceArn, "${Api}")
		}) {
			r.problem("the API may not invoke %s", function)
		}
		if signedIn := route.RouteKey == "ANY /api/negotiate"; signedIn != (len(route.AuthorizerID) > 0) ||
			signedIn && !slices.Equal(route.AuthorizationType, []string{"SignIn", "JWT", "NONE"}) {
			r.problem("%s: the authorizer is for negotiate alone, and for all of it but the preflight", route.RouteKey)
		}
		routes[route.RouteKey] = programs[function]
	}
	return routes
}

// samFunctionURL wants both permissions that a public Function URL needs.
func (r *reviewer) samFunctionURL(resources map[string]samResource) {
	var invokeURL, invokeFunction bool
	for _, resource := range resources {
		var p samPermission
		if resource.Type != "AWS::Lambda::Permission" || resource.Condition != "HasFunctionUrl" || json.Unmarshal(resource.Properties, &p) != nil ||
			p.Principal != "*" || p.FunctionName != "Events" {
			continue
		}
		invokeURL = invokeURL || p.Action == "lambda:InvokeFunctionUrl" && p.FunctionURLAuthType == "NONE"
		invokeFunction = invokeFunction || p.Action == "lambda:InvokeFunction" && p.InvokedViaFunctionURL
	}
	if !invokeURL || !invokeFunction {
		r.problem("the Function URL lacks one of its two permissions: InvokeFunctionUrl %v, InvokeFunction %v", invokeURL, invokeFunction)
	}
}

// samFunction starts the app with the function's settings, and returns the name of
// its program.
func (r *reviewer) samFunction(name string, f samFunction) (program string, err error) {
	if f.Runtime != "provided.al2023" || f.Handler != "bootstrap" || !slices.Equal(f.Architectures, []string{"arm64"}) {
		r.problem("%s runs %s of %s on %v, want bootstrap of provided.al2023 on arm64, which webpubsub package makes", name, f.Handler, f.Runtime, f.Architectures)
	}
	if f.Policies != nil {
		r.problem("%s has policies beside its role", name)
	}
	program = strings.TrimSuffix(path.Base(f.CodeURI), "-lambda.zip")
	if path.Dir(f.CodeURI) != "../../dist" || program == path.Base(f.CodeURI) {
		r.problem("%s: CodeUri is %s, want what webpubsub package writes for Lambda", name, f.CodeURI)
	}
	if _, err := os.Stat(filepath.Join("..", "functions", strings.TrimPrefix(program, "functions"), "main.go")); err != nil {
		r.problem("%s: there is no program functions/%s", name, program)
	}

	settings := f.Environment.Variables
	if c := fmt.Sprint(settings["WebPubSubConnectionString"]); !strings.HasPrefix(c, "{{resolve:secretsmanager:") {
		r.problem("%s: the connection string is %q, want a reference to the secret", name, c)
	}
	values := map[string]string{ // as a deployment would have them
		"WebPubSubConnectionString":  handlertest.ConnectionString,
		"WebPubSubAllowUserIdQuery":  "false",
		"WebPubSubTrustPlatformAuth": "true",
		"WebPubSubAllowedOrigins":    "https://chat.example.com",
		"WebPubSubHub":               "lobby",
	}
	asked := map[string]bool{"WebPubSubBasePath": true} // by package hosting
	config, err := webapp.ConfigFromEnv(func(setting string) string {
		if asked[setting] = true; settings[setting] == nil {
			return ""
		}
		return values[setting]
	})
	if err != nil {
		return program, err
	}
	for setting := range settings {
		if !asked[setting] {
			r.problem("%s: nobody reads the setting %s", name, setting)
		}
	}
	config.Logger = slog.New(slog.DiscardHandler)
	chat, err := webapp.New(config)
	if err != nil {
		return program, err
	}
	if config.Hub != "lobby" {
		r.problem("%s: the hub is %q", name, config.Hub)
	}
	switch program {
	case "events":
		if res := handlertest.Do(chat.Events, handlertest.ValidationRequest()); !res.OK() {
			return program, fmt.Errorf("the preflight is answered with %d", res.Status)
		}
	case "negotiate":
		req := httptest.NewRequest(http.MethodOptions, "/api/negotiate", nil)
		req.Header.Set("Origin", "https://chat.example.com")
		req.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		if chat.Negotiate().ServeHTTP(w, req); w.Header().Get("Access-Control-Allow-Origin") == "" {
			return program, errors.New("a page of another site may not call it")
		}
		if v, _ := settings["WebPubSubTrustPlatformAuth"].([]any); len(v) != 3 || v[0] != "SignIn" || v[1] != "true" {
			return program, errors.New("the user of the authorizer is not read")
		}
	}
	return program, nil
}

// samRole lets the functions write their log, and nothing else.
func (r *reviewer) samRole(name string, role samRole) {
	if role.ManagedPolicyArns != nil {
		r.problem("%s has managed policies", name)
	}
	for _, p := range role.Policies {
		for _, s := range p.PolicyDocument.Statement {
			if s.Effect != "Allow" || s.Resource != "Logs.Arn" || !slices.Equal(s.Action, []string{"logs:CreateLogStream", "logs:PutLogEvents"}) {
				r.problem("%s: %s %v on %s, want no more than writing the log", name, s.Effect, s.Action, s.Resource)
			}
		}
	}
}

// samMistakes are planted in the template. The review finds those that have a
// text here, cfn-lint the others.
var samMistakes = []struct{ name, old, replacement, found string }{
	{"another processor", "[arm64]", "[x86_64]", "want bootstrap of provided.al2023 on arm64"},
	{"another runtime", "provided.al2023", "provided.al2", "want bootstrap of provided.al2023"},
	{"program that is not there", "events-lambda.zip", "event-lambda.zip", "no program functions/event"},
	{"package that nobody makes", "dist/events-lambda.zip", "bin/events-lambda.zip", "want what webpubsub package writes"},
	{"misspelt setting", "WebPubSubHub:", "WebPubSubHubName:", "nobody reads the setting WebPubSubHubName"},
	{"origins that do not arrive", "WebPubSubAllowedOrigins:", "WebPubSubAllowedOrigin:", "a page of another site may not call it"},
	{"wrong path", "ANY /api/events\n", "ANY /events\n", "the API has the routes"},
	{"service's preflight without a route", "ANY /api/events\n", "POST /api/events\n", "the API has the routes"},
	{"browser's preflight without a route", "OPTIONS /api/negotiate", "GET /api/negotiate", "the API has the routes"},
	{"older payload", `PayloadFormatVersion: "2.0"`, `PayloadFormatVersion: "1.0"`, "want AWS_PROXY with payload format 2.0"},
	{"API without permission", "FunctionName: !Ref Events\n      Principal: apigateway", "FunctionName: !Ref Negotiate\n      Principal: apigateway", "may not invoke Events"},
	{"Function URL without its second permission", "InvokedViaFunctionUrl: true", "InvokedViaFunctionUrl: false", "lacks one of its two permissions"},
	{"Function URL without its first permission", "FunctionUrlAuthType: NONE", "FunctionUrlAuthType: AWS_IAM", "lacks one of its two permissions"},
	{"negotiate without authorizer", "      AuthorizerId: !If [SignIn, !Ref Authorizer, !Ref \"AWS::NoValue\"]\n", "", "the authorizer is for negotiate alone"},
	{"sign-in that is never asked for", "!If [SignIn, JWT, NONE]", "!If [SignIn, NONE, JWT]", "the authorizer is for negotiate alone"},
	{"user of the authorizer ignored", `!If [SignIn, "true", "false"]`, `!If [SignIn, "false", "true"]`, "the user of the authorizer is not read"},
	{"connection string in the open", `!Sub "{{resolve:secretsmanager:${ConnectionStringSecret}:SecretString}}"`, "!Ref ConnectionStringSecret", "want a reference to the secret"},
	{"right to read secrets", "                  - logs:PutLogEvents\n", "                  - logs:PutLogEvents\n                  - secretsmanager:GetSecretValue\n", "no more than writing the log"},
	{"rights everywhere", "Resource: !GetAtt Logs.Arn", `Resource: "*"`, "no more than writing the log"},
	{"output of a secret", "/api/negotiate\"\n", "/?key=${ConnectionStringSecret}\"\n", "is no URL"},

	{"misspelt property", "MemorySize:", "MemorySise:", ""},
	{"unknown resource", "!Ref Logs", "!Ref Log", ""},
	{"unknown attribute", "!GetAtt Role.Arn", "!GetAtt Role.ARN", ""},
	{"value that is not allowed", "RetentionInDays: 30", "RetentionInDays: 31", ""},
	{"unknown type", "AWS::ApiGatewayV2::Stage", "AWS::ApiGatewayV2::Step", ""},
	{"unknown condition", "Condition: SignIn", "Condition: SignUp", ""},
}

func TestSAMMistakes(t *testing.T) {
	text := read(t, samTemplate)
	for _, m := range samMistakes {
		if m.found == "" {
			continue
		}
		t.Run(m.name, func(t *testing.T) {
			problems := strings.Join(reviewSAM(plant(t, text, m.old, m.replacement)), "\n")
			if !strings.Contains(problems, m.found) {
				t.Errorf("not found: %s\nfound instead: %s", m.found, problems)
			}
		})
	}
}

func plant(tb testing.TB, text, old, replacement string) string {
	tb.Helper()
	changed := strings.Replace(text, old, replacement, 1)
	if changed == text {
		tb.Fatalf("there is no %q: the list of mistakes is out of date", old)
	}
	return changed
}

// TestSAMLint runs the linter behind "sam validate --lint" over the template, and
// over mistakes in it.
func TestSAMLint(t *testing.T) {
	python := testtool.Python(t, "aws")
	text := read(t, samTemplate)
	dir := t.TempDir()
	names := make(map[string]string)
	write := func(name, text string) string {
		file := filepath.Join(dir, fmt.Sprintf("%02d.yaml", len(names)))
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		names[file] = name
		return file
	}
	files := []string{write("", text)}
	for _, m := range samMistakes {
		if m.found == "" {
			files = append(files, write(m.name, plant(t, text, m.old, m.replacement)))
		}
	}
	out, err := exec.Command(filepath.Join(filepath.Dir(python), "cfn-lint"), append([]string{"--regions", "eu-west-1", "--format", "json", "--"}, files...)...).Output()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err) // a status says what was found
	}
	var matches []struct {
		Filename, Message string
		Location          struct{ Start struct{ LineNumber int } }
	}
	if err := json.Unmarshal(out, &matches); err != nil {
		t.Fatalf("cfn-lint: %v\n%s", err, out)
	}
	found := make(map[string]bool)
	for _, m := range matches {
		if found[m.Filename] = true; m.Filename == files[0] {
			t.Errorf("line %d: %s", m.Location.Start.LineNumber, m.Message)
		}
	}
	for _, file := range files[1:] {
		if !found[file] {
			t.Errorf("cfn-lint does not find the mistake: %s", names[file])
		}
	}
}
