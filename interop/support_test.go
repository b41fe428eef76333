package interop_test

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
)

var update = flag.Bool("update", false, "write the tables of docs/compatibility.md from what the suites prove")

// TestPackages runs the suite of every official package and compares the
// tables of docs/compatibility.md with what they prove.
func TestPackages(t *testing.T) {
	p := newProof()
	suites := []struct {
		name string
		run  func(*testing.T, *proof)
		ran  bool // not where it is skipped for want of a tool, or not chosen by -run
	}{
		{name: "Node", run: runNode},
		{name: "Upstreams", run: runUpstreams},
		{name: "Python", run: runPython},
		{name: "Java", run: runJava},
		{name: "MQTT", run: runMQTT},
	}
	t.Run("suites", func(t *testing.T) {
		for i := range suites {
			suite := &suites[i]
			t.Run(suite.name, func(t *testing.T) {
				t.Parallel() // they spend most of their time waiting
				suite.run(t, p)
				suite.ran = true
			})
		}
	})
	t.Run("Tables", func(t *testing.T) {
		for _, suite := range suites {
			if !suite.ran {
				t.Skipf("the tables are compared where every suite runs, and %s did not", suite.name)
			}
		}
		compareTables(t, p, filepath.Join("..", "docs", "compatibility.md"))
	})
}

// proof holds which features the tests of which package showed.
type proof struct {
	mu    sync.Mutex
	known map[string]bool
	tests map[claim]bool // false where one of its tests failed
}

// claim is a cell of a table.
type claim struct{ feature, pkg string }

func newProof() *proof {
	p := &proof{known: make(map[string]bool), tests: make(map[claim]bool)}
	for _, table := range features {
		for _, f := range table.rows {
			p.known[f.id] = true
		}
	}
	return p
}

// result is what a suite tells about a test, one JSON object a line.
type result struct {
	Name string `json:"name"`
	OK   bool   `json:"ok"`
}

var testName = regexp.MustCompile(`^([a-z-]+(?:, [a-z-]+)*): .`)

// suite runs a program that tests a package. The program writes its results to
// the file that WEBPUBSUB_RESULTS names; each becomes a test of Go's.
func (p *proof) suite(t *testing.T, b *backend, pkg, dir, name string, args ...string) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "results")
	out, err := b.command(t, dir, []string{"WEBPUBSUB_RESULTS=" + file}, name, args...)
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatalf("the suite reported nothing: %v\n%s", err, out)
	}
	results := 0
	for lines := bufio.NewScanner(bytes.NewReader(content)); lines.Scan(); results++ {
		var r result
		if err := json.Unmarshal(lines.Bytes(), &r); err != nil {
			t.Fatalf("%v: %s", err, lines.Text())
		}
		t.Run(r.Name, func(t *testing.T) { p.add(t, pkg, r) })
	}
	if results == 0 {
		t.Errorf("the suite ran no test\n%s", out)
	}
}

func (p *proof) add(t *testing.T, pkg string, r result) {
	t.Helper()
	if !r.OK {
		t.Error("failed, see the suite's output")
	}
	if err := p.note(pkg, r); err != nil {
		t.Error(err)
	}
}

// note takes a result down. It fails for a name that does not say what the test
// proves.
func (p *proof) note(pkg string, r result) error {
	m := testName.FindStringSubmatch(r.Name)
	if m == nil {
		return fmt.Errorf(`%q does not begin with the features that it proves, as in "send-all: text and JSON"`, r.Name)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for id := range strings.SplitSeq(m[1], ", ") {
		if !p.known[id] {
			return fmt.Errorf("%q: there is no feature %q in features_test.go", r.Name, id)
		}
		c := claim{id, pkg}
		before, tested := p.tests[c]
		p.tests[c] = r.OK && (before || !tested)
	}
	return nil
}

// markdown renders the tables. It fails for a cell without proof.
func (p *proof) markdown(tables []table) (string, error) {
	var out strings.Builder
	var errs []error
	for _, table := range tables {
		fmt.Fprintf(&out, "\n| %s |", table.title)
		for _, pkg := range table.packages {
			fmt.Fprintf(&out, " `%s` %s |", pkg, versions()[pkg])
		}
		fmt.Fprintf(&out, "\n|---%s|\n", strings.Repeat("|:---:", len(table.packages)))
		for _, f := range table.rows {
			fmt.Fprintf(&out, "| %s |", f.text)
			for _, pkg := range table.packages {
				shown, lacks := p.tests[claim{f.id, pkg}], slices.Contains(f.lack, pkg)
				switch {
				case shown && !lacks:
					out.WriteString(" ✓ |")
				case lacks && !shown:
					out.WriteString(" – |")
				case shown:
					errs = append(errs, fmt.Errorf("%s is said to lack %q, but a test proves it", pkg, f.id))
				default:
					errs = append(errs, fmt.Errorf("no test that passes proves %q with %s", f.id, pkg))
				}
			}
			out.WriteString("\n")
		}
	}
	out.WriteString("\n")
	return out.String(), errors.Join(errs...)
}

const (
	tablesBegin = "<!-- The tables are written by: WEBPUBSUB_REQUIRE_TOOLS=1 go test ./interop -run Packages -update -->\n"
	tablesEnd   = "<!-- End of the tables. -->\n"
)

// replaceTables returns the text with other tables in place of its own.
func replaceTables(text, tables string) (string, error) {
	before, rest, ok := strings.Cut(text, tablesBegin)
	_, after, ok2 := strings.Cut(rest, tablesEnd)
	if !ok || !ok2 {
		return "", fmt.Errorf("the lines %q and %q, which are around the tables, are missing", tablesBegin, tablesEnd)
	}
	return before + tablesBegin + tables + tablesEnd + after, nil
}

// compareTables fails the test if the tables of the page are not those proven,
// or writes them there with -update.
func compareTables(t *testing.T, p *proof, name string) {
	t.Helper()
	tables, err := p.markdown(features)
	if err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	want, err := replaceTables(string(content), tables)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	switch {
	case want == string(content):
	case *update:
		if err := os.WriteFile(name, []byte(want), 0o644); err != nil {
			t.Fatal(err)
		}
	default:
		t.Errorf("the tables of %s are not what the suites prove: write them with WEBPUBSUB_REQUIRE_TOOLS=1 go test ./interop -run Packages -update, and read the difference", name)
	}
}

// versions reads what the packages are from the lock files: "1.4.0, Java".
var versions = sync.OnceValue(func() map[string]string {
	found := map[string]string{goHandler: "of this module, Go"}
	for _, lock := range []struct{ language, file, pattern string }{
		{"JavaScript", "node/package.json", `"(@azure/[a-z.-]+)": "([^"]+)"`},
		{"JavaScript", "mqtt/package.json", `"(mqtt)": "([^"]+)"`},
		{"Python", "python/requirements.txt", `(?m)^(azure-messaging-[a-z]+)==(\S+)`},
		{"Python", "mqtt/requirements.txt", `(?m)^(paho-mqtt)==(\S+)`},
		{"Java", "java/pom.xml", `<artifactId>(azure-messaging-[a-z]+)</artifactId>\s*<version>([^<]+)`},
	} {
		content, err := os.ReadFile(filepath.FromSlash(lock.file))
		if err != nil {
			panic(err)
		}
		for _, m := range regexp.MustCompile(lock.pattern).FindAllStringSubmatch(string(content), -1) {
			found[m[1]] = m[2] + ", " + lock.language
		}
	}
	return found
})

// A table cannot say more than the tests do, nor less.
func TestTablesMatchResults(t *testing.T) {
	tables := []table{{title: "Things", packages: []string{jsService, javaService}, rows: []feature{
		{id: "send-all", text: "send"},
		{id: "group-list", text: "list", lack: []string{javaService}},
	}}}
	js, java := result{"send-all, group-list: both", true}, result{"send-all: one", true}
	for _, tt := range []struct {
		name     string
		js, java []result
		err      string
	}{
		{"all proven", []result{js}, []result{java}, ""},
		{"one missing", []result{js}, nil, `no test that passes proves "send-all" with azure-messaging-webpubsub`},
		{"one failed", []result{js, {"send-all: again", false}}, []result{java}, `no test that passes proves "send-all" with @azure/web-pubsub`},
		{"failed, then passed", []result{{"group-list: first", false}, js}, []result{java}, `no test that passes proves "group-list" with @azure/web-pubsub`},
		{"more than is claimed", []result{js}, []result{java, {"group-list: too", true}}, `azure-messaging-webpubsub is said to lack "group-list", but a test proves it`},
		{"unknown feature", []result{{"send-al: typo", true}}, nil, `"send-al: typo": there is no feature "send-al" in features_test.go`},
		{"no feature", []result{{"sends to all", true}}, nil, `"sends to all" does not begin with the features that it proves, as in "send-all: text and JSON"`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := newProof()
			var err error
			for _, r := range tt.js {
				err = cmp.Or(err, p.note(jsService, r))
			}
			for _, r := range tt.java {
				err = cmp.Or(err, p.note(javaService, r))
			}
			if err == nil {
				_, err = p.markdown(tables)
			}
			if got := fmt.Sprint(cmp.Or(err, errors.New(""))); got != tt.err {
				t.Errorf("got error %q, want %q", got, tt.err)
			}
		})
	}
}
