//go:build linux

package image

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"example.com/webpubsub"
	"example.com/webpubsub/internal/test/functionshost"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/service"
)

// composeService is one of compose.yaml, as far as the test understands it.
type composeService struct {
	Build struct {
		Context, Target string
	}
	Image       string
	Command     []string
	Environment map[string]string
	Ports       []string
	NetworkMode string `yaml:"network_mode"`
	Volumes     []string
	DependsOn   yaml.Node `yaml:"depends_on"`
	Init        bool
}

// UnmarshalYAML reads the short form of build too, which names the context.
func (s *composeService) UnmarshalYAML(n *yaml.Node) error {
	for i := 0; i+1 < len(n.Content); i += 2 {
		if key, value := n.Content[i], n.Content[i+1]; key.Value == "build" && value.Kind == yaml.ScalarNode {
			*value = yaml.Node{Kind: yaml.MappingNode, Content: []*yaml.Node{
				{Kind: yaml.ScalarNode, Value: "context"}, {Kind: yaml.ScalarNode, Value: value.Value},
			}}
		}
	}
	type plain composeService
	return n.Decode((*plain)(s))
}

// The services of compose.yaml work together. They share one network, which is here
// that of this machine, with other ports.
func TestCompose(t *testing.T) {
	node := testtool.Need(t, "node")
	images := buildImages(t)
	text, err := os.ReadFile(filepath.Join(tree, "compose.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	emulatorPort, functionsPort := functionshost.FreePort(t), functionshost.FreePort(t)
	ports := strings.NewReplacer("8080", emulatorPort, "7071", functionsPort)
	var compose struct{ Services map[string]*composeService }
	if err := yaml.Unmarshal([]byte(ports.Replace(string(text))), &compose); err != nil {
		t.Fatal(err)
	}
	if got := slices.Sorted(maps.Keys(compose.Services)); !slices.Equal(got, []string{"client", "emulator", "functions"}) {
		t.Fatalf("services %q", got)
	}
	emulator, functions, client := compose.Services["emulator"], compose.Services["functions"], compose.Services["client"]
	for name, s := range compose.Services {
		if name != "emulator" && s.NetworkMode != "service:emulator" {
			t.Errorf("%s has network mode %q", name, s.NetworkMode)
		}
	}
	for _, p := range emulator.Ports {
		if !strings.HasPrefix(p, "127.0.0.1:") {
			t.Errorf("port %s is open to the network", p)
		}
	}
	if !strings.Contains(client.Image, "@sha256:") {
		t.Errorf("the image %s is not given by its digest", client.Image)
	}

	environment := func(s *composeService, more ...string) []string {
		for name, value := range s.Environment {
			if strings.HasPrefix(value, "${") { // without a value on this machine
				value = ""
			}
			more = append(more, name+"="+value)
		}
		return more
	}
	for _, img := range images {
		img.addHosts(t)
	}
	img := images[emulator.Build.Target]
	env := environment(emulator, "WEBPUBSUB_ADDR=0.0.0.0:"+emulatorPort, "WEBPUBSUB_URL=http://127.0.0.1:"+emulatorPort)
	start(t, img.command(t, env, append(img.entrypoint, emulator.Command...)...))
	if out, err := img.command(t, env, append(img.healthcheck, "-wait", "30s")...).CombinedOutput(); err != nil {
		t.Fatalf("health: %v\n%s", err, out)
	}
	img = images[functions.Build.Target]
	start(t, img.command(t, environment(functions, "PORT="+functionsPort), img.entrypoint...))

	file, inContainer, _ := strings.Cut(strings.TrimSuffix(client.Volumes[0], ":ro"), ":")
	words := slices.Clone(client.Command)
	if words[0] != "node" || words[1] != inContainer {
		t.Fatalf("the client runs %q, with the file %s", words, inContainer)
	}
	words[1] = filepath.Join(tree, file)
	cmd := nodeCommand(node, words[1:])
	out := startClient(t, cmd)
	out.waitFor(t, "connected as compose")

	chat, err := service.NewClientFromConnectionString(functions.Environment["WebPubSubConnectionString"], "chat", nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := chat.SendToUser(t.Context(), "compose", webpubsub.MustJSON(map[string]string{"text": "hello compose"}), nil); err != nil {
		t.Fatal(err)
	}
	out.waitFor(t, `server : {"text":"hello compose"}`)
}
