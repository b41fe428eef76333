package image

import (
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"testing"
)

const tree = "../../.."

// instruction is one of a Dockerfile, without the lines' continuations.
type instruction struct{ name, args string }

// stage begins with FROM.
type stage struct {
	name, base string
	steps      []instruction
}

// parse reads a Dockerfile.
func parse(t *testing.T, text string) []stage {
	t.Helper()
	text = regexp.MustCompile(`(?m)^#.*\n`).ReplaceAllString(text, "")
	text = regexp.MustCompile(`\\\n\s*`).ReplaceAllString(text, " ")
	var stages []stage
	for line := range strings.Lines(text) {
		name, args, _ := strings.Cut(strings.TrimSpace(line), " ")
		args = strings.TrimSpace(args)
		switch {
		case name == "":
		case name == "FROM":
			words := strings.Fields(regexp.MustCompile(`--platform=\S+ `).ReplaceAllString(args, ""))
			s := stage{base: words[0]}
			if len(words) == 3 {
				s.name = words[2] // FROM base AS name
			}
			stages = append(stages, s)
		default:
			last := &stages[len(stages)-1]
			last.steps = append(last.steps, instruction{name, args})
		}
	}
	return stages
}

// image is the result of a final stage.
type image struct {
	root        string // the root file system
	env         []string
	user        string
	entrypoint  []string
	cmd         []string
	healthcheck []string
}

// build carries out Dockerfile and returns its images, by the names of their stages.
func build(t *testing.T, version string) map[string]*image {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(tree, "Dockerfile"))
	if err != nil {
		t.Fatal(err)
	}
	out := t.TempDir()
	images := map[string]*image{}
	for _, s := range parse(t, string(text)) {
		if s.base != "scratch" {
			buildStage(t, s, map[string]string{"OUT": out, "TARGETARCH": runtime.GOARCH, "VERSION": version})
			continue
		}
		images[s.name] = finalStage(t, s, out)
	}
	return images
}

// buildStage runs the commands of the build stage in the tree.
func buildStage(t *testing.T, s stage, given map[string]string) {
	t.Helper()
	if !strings.Contains(s.base, "@sha256:") {
		t.Errorf("the base image %s is not given by its digest", s.base)
	}
	env := os.Environ()
	for _, step := range s.steps {
		switch step.name {
		case "ARG":
			name, value, _ := strings.Cut(step.args, "=")
			if v, ok := given[name]; ok {
				value = v
			}
			env = append(env, name+"="+value)
		case "RUN":
			if step.args == "go mod download" {
				continue // this machine has its own cache
			}
			cmd := exec.Command("sh", "-c", step.args)
			cmd.Dir, cmd.Env = tree, env
			if b, err := cmd.CombinedOutput(); err != nil {
				t.Fatalf("RUN %s: %v\n%s", step.args, err, b)
			}
		case "WORKDIR", "COPY": // the tree
		default:
			t.Fatalf("the test does not know %s", step.name)
		}
	}
}

// finalStage makes the root file system of an image. out is what /out is in the build
// stage.
func finalStage(t *testing.T, s stage, out string) *image {
	t.Helper()
	img := &image{root: filepath.Join(t.TempDir(), "root")}
	for _, step := range s.steps {
		switch step.name {
		case "COPY":
			words := strings.Fields(step.args) // --from=build FROM TO
			if len(words) != 3 || words[0] != "--from=build" {
				t.Fatalf("COPY %s", step.args)
			}
			from := words[1]
			if rest, ok := strings.CutPrefix(from, "/out/"); ok {
				from = filepath.Join(out, rest)
			}
			copyFile(t, from, filepath.Join(img.root, words[2]))
		case "ENV":
			img.env = append(img.env, step.args)
		case "USER":
			img.user = step.args
		case "ENTRYPOINT":
			img.entrypoint = list(t, step.args)
		case "CMD":
			img.cmd = list(t, step.args)
		case "HEALTHCHECK":
			_, args, _ := strings.Cut(step.args, "CMD ")
			img.healthcheck = list(t, args)
		case "EXPOSE":
		default:
			t.Fatalf("the test does not know %s", step.name)
		}
	}
	return img
}

// list reads the JSON form of a command: an image without a shell needs it.
func list(t *testing.T, text string) (words []string) {
	t.Helper()
	if err := json.Unmarshal([]byte(text), &words); err != nil || len(words) == 0 {
		t.Fatalf("%s is not a list in JSON: %v", text, err)
	}
	return words
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	info, err := os.Stat(from)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(from)
	if err == nil {
		err = os.MkdirAll(filepath.Dir(to), 0o755)
	}
	if err == nil {
		err = os.WriteFile(to, b, info.Mode().Perm())
	}
	if err != nil {
		t.Fatal(err)
	}
}
