package webpubsub_test

import (
	"encoding/json"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
)

// readJSON reads a file of strict JSON, which every editor accepts.
func readJSON(t *testing.T, name string, v any) {
	t.Helper()
	text, err := os.ReadFile(name)
	if err == nil {
		err = json.Unmarshal(text, v)
	}
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
}

// What the settings of the editor refer to exists, and its programs have the same
// settings as the functions under "func start".
func TestEditorSettings(t *testing.T) {
	var launch struct {
		Configurations []struct {
			Name, Program string
			Env           map[string]string
		}
	}
	readJSON(t, ".vscode/launch.json", &launch)
	var sample struct{ Values map[string]string }
	readJSON(t, "local.settings.sample.json", &sample)
	maps.DeleteFunc(sample.Values, func(name, _ string) bool { return !strings.HasPrefix(name, "WebPubSub") })
	withSettings := 0
	for _, c := range launch.Configurations {
		if folder, ok := strings.CutPrefix(c.Program, "${workspaceFolder}/"); ok {
			if files, err := os.ReadDir(folder); err != nil || len(files) == 0 {
				t.Errorf("%s: %s: %v", c.Name, folder, err)
			}
		}
		if c.Env == nil {
			continue
		}
		withSettings++
		delete(c.Env, "PORT")
		if !maps.Equal(c.Env, sample.Values) {
			t.Errorf("%s has the settings %v, want %v", c.Name, c.Env, sample.Values)
		}
	}
	if withSettings == 0 {
		t.Error("no program has settings")
	}

	var tasks struct {
		Tasks []struct {
			Label     string
			DependsOn []string
		}
	}
	readJSON(t, ".vscode/tasks.json", &tasks)
	var labels []string
	for _, task := range tasks.Tasks {
		labels = append(labels, task.Label)
	}
	for _, task := range tasks.Tasks {
		for _, other := range task.DependsOn {
			if !slices.Contains(labels, other) {
				t.Errorf("%s depends on %s, which does not exist", task.Label, other)
			}
		}
	}
	for _, c := range launch.Configurations {
		if _, task, ok := strings.Cut(c.Name, "with the task "); ok && !slices.Contains(labels, task) {
			t.Errorf("%s: there is no such task", c.Name)
		}
	}

	var recommended struct{ Recommendations []string }
	readJSON(t, ".vscode/extensions.json", &recommended)
	var container struct {
		Customizations struct {
			VSCode struct{ Extensions []string }
		}
	}
	readJSON(t, ".devcontainer/devcontainer.json", &container)
	if got := container.Customizations.VSCode.Extensions; !slices.Equal(got, recommended.Recommendations) {
		t.Errorf("the container has the extensions %q, and those recommended are %q", got, recommended.Recommendations)
	}
}
