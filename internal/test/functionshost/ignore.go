package functionshost

import (
	"regexp"
	"strings"
)

// Packs returns whether Azure Functions Core Tools put a file into the package,
// by the text of .funcignore. The file looks like .gitignore and is not: a
// pattern is anchored at the root and ends at a word boundary, so that "infra"
// also means infra-old; * matches at least one character, ** for any path;
// and a pattern with ! wins at any position. (Azure/azure-functions-core-tools,
// GitIgnoreParser.)
func Packs(funcignore string) func(path string) bool {
	var ignored, kept []string
	for line := range strings.Lines(funcignore) {
		line = strings.TrimSpace(line)
		if line == "" || line[0] == '#' {
			continue
		}
		pattern, keep := strings.CutPrefix(line, "!")
		pattern = regexp.QuoteMeta(strings.TrimPrefix(pattern, "/"))
		pattern = strings.ReplaceAll(pattern, `\*\*`, `(.+)`)
		pattern = strings.ReplaceAll(pattern, `\*`, `([^/]+)`)
		if keep {
			kept = append(kept, pattern)
		} else {
			ignored = append(ignored, pattern)
		}
	}
	match := func(patterns []string) func(string) bool {
		if len(patterns) == 0 {
			return func(string) bool { return false }
		}
		return regexp.MustCompile(`^((` + strings.Join(patterns, `)|(`) + `))\b`).MatchString
	}
	isIgnored, isKept := match(ignored), match(kept)
	return func(path string) bool { return isKept(path) || !isIgnored(path) }
}
