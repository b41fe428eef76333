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

	"example.com/webpubsub/app"
	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/testtool"
)

const samTemplate = "aws/template.yaml"

// sam is the part of the template that has to fit the Go code. Of intrinsic
// functions such as !Ref only the argument is seen.
type sam struct {
	Globals struct {
		Function samFunction
	}
	Resources map[string]struct {
		Type       string
		Properties json.RawMessage
	}
	Outputs map[string]struct{ Value string }
}

type samFunction struct {
	Runtime       string
	Handler       string
	Architectures []string
	CodeURI       string
	Policies      any
	Environment   struct{ Variables map[string]string }
	Events        map[string]struct {
		Type       string
		Properties struct{ Path, Method string }
	}
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
	paths := make(map[string]string) // to the function that serves them
	for _, name := range slices.Sorted(maps.Keys(s.Resources)) {
		resource := s.Resources[name]
		var err error
		switch resource.Type {
		case "AWS::Serverless::Function":
			f := s.Globals.Function
			f.Environment.Variables = maps.Clone(f.Environment.Variables)
			if err = json.Unmarshal(resource.Properties, &f); err == nil {
				err = r.samFunction(name, f, paths)
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
	if want := map[string]string{
		"/api/negotiate": "negotiate", "/api/events": "events", "/api/events/{event+}": "events",
	}; !maps.Equal(paths, want) {
		r.problem("the functions serve %v, want %v", paths, want)
	}
	for name, output := range s.Outputs {
		if _, p, _ := strings.Cut(output.Value, "${AWS::URLSuffix}"); paths[p] == "" {
			r.problem("output %s is no URL of a function: %s", name, output.Value)
		}
	}
	return r.problems
}

// samFunction starts the app with the function's settings.
func (r *reviewer) samFunction(name string, f samFunction, paths map[string]string) error {
	if f.Runtime != "provided.al2023" || f.Handler != "bootstrap" || !slices.Equal(f.Architectures, []string{"arm64"}) {
		r.problem("%s runs %s of %s on %v, want bootstrap of provided.al2023 on arm64, which webpubsub package makes", name, f.Handler, f.Runtime, f.Architectures)
	}
	if f.Policies != nil {
		r.problem("%s has policies beside its role", name)
	}
	program := strings.TrimSuffix(path.Base(f.CodeURI), "-lambda.zip")
	if path.Dir(f.CodeURI) != "../../dist" || program == path.Base(f.CodeURI) {
		r.problem("%s: CodeUri is %s, want what webpubsub package writes for Lambda", name, f.CodeURI)
	}
	if _, err := os.Stat(filepath.Join("..", "functions", program, "main.go")); err != nil {
		r.problem("%s: there is no program functions/%s", name, program)
	}
	for _, e := range f.Events {
		if e.Type != "HttpApi" || e.Properties.Method != "ANY" {
			r.problem("%s: %s %s %s: the preflights need every method of an HTTP API", name, e.Type, e.Properties.Method, e.Properties.Path)
		}
		paths[e.Properties.Path] = program
	}

	settings := f.Environment.Variables
	if c := settings["WebPubSubConnectionString"]; !strings.HasPrefix(c, "{{resolve:secretsmanager:") {
		r.problem("%s: the connection string is %q, want a reference to the secret", name, c)
	}
	values := map[string]string{ // as a deployment would have them
		"WebPubSubConnectionString": handlertest.ConnectionString,
		"WebPubSubAllowUserIdQuery": "false",
		"WebPubSubAllowedOrigins":   "https://chat.example.com",
		"WebPubSubHub":              "lobby",
	}
	asked := make(map[string]bool)
	config, err := app.ConfigFromEnv(func(setting string) string {
		if asked[setting] = true; settings[setting] == "" {
			return ""
		}
		return values[setting]
	})
	if err != nil {
		return err
	}
	for setting := range settings {
		if !asked[setting] {
			r.problem("%s: nobody reads the setting %s", name, setting)
		}
	}
	config.Logger = slog.New(slog.DiscardHandler)
	chat, err := app.New(config)
	if err != nil {
		return err
	}
	if config.Hub != "lobby" {
		r.problem("%s: the hub is %q", name, config.Hub)
	}
	switch program {
	case "events":
		if res := handlertest.Do(chat.Events(), handlertest.Preflight()); !res.OK() {
			return fmt.Errorf("the preflight is answered with %d", res.Status)
		}
	case "negotiate":
		req := httptest.NewRequest(http.MethodOptions, "/api/negotiate", nil)
		req.Header.Set("Origin", "https://chat.example.com")
		req.Header.Set("Access-Control-Request-Method", "POST")
		w := httptest.NewRecorder()
		if chat.Negotiate().ServeHTTP(w, req); w.Header().Get("Access-Control-Allow-Origin") == "" {
			return errors.New("a page of another site may not call it")
		}
	}
	return nil
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
	{"wrong path", "Path: /api/events\n", "Path: /events\n", "the functions serve"},
	{"preflight without a route", "Method: ANY", "Method: POST", "need every method"},
	{"connection string in the open", `!Sub "{{resolve:secretsmanager:${ConnectionStringSecret}:SecretString}}"`, "!Ref ConnectionStringSecret", "want a reference to the secret"},
	{"right to read secrets", "                  - logs:PutLogEvents\n", "                  - logs:PutLogEvents\n                  - secretsmanager:GetSecretValue\n", "no more than writing the log"},
	{"rights everywhere", "Resource: !GetAtt Logs.Arn", `Resource: "*"`, "no more than writing the log"},
	{"output of a secret", "/api/negotiate\"\n", "/?key=${ConnectionStringSecret}\"\n", "output NegotiateUrl is no URL"},

	{"misspelt property", "MemorySize:", "MemorySise:", ""},
	{"unknown resource", "!Ref Logs", "!Ref Log", ""},
	{"unknown attribute", "!GetAtt Role.Arn", "!GetAtt Role.ARN", ""},
	{"value that is not allowed", "RetentionInDays: 30", "RetentionInDays: 31", ""},
	{"unknown type", "AWS::Serverless::HttpApi", "AWS::Serverless::HttpsApi", ""},
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
