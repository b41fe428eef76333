package names_test

import (
	"strings"
	"testing"

	"example.com/webpubsub/internal/names"
)

// A group "tenant/1" works between clients. REST calls for it succeed and reach
// nobody, because the service does not route %2F, so the mistake used to appear
// only in production.
func TestRoutableInPath(t *testing.T) {
	for _, s := range []string{"g", " g ", "a%2Fb", "100%", "a+b", "a?b#c", `a\b`, "日本", ":send", "...", ".g", "a;b,c", "c++", strings.Repeat("g", 1024)} {
		if err := names.RoutableInPath(s); err != nil {
			t.Errorf("%.20q: %v", s, err)
		}
	}
	for s, want := range map[string]string{
		".": "are removed", "..": "are removed", "\xff": "UTF-8",
		"tenant/1": "%2F", "/": "%2F", "a/": "%2F", "../b": "%2F",
	} {
		if err := names.RoutableInPath(s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: got %v, want an error with %q", s, err, want)
		}
	}
}

func TestUnaddressable(t *testing.T) {
	if got := names.Unaddressable("", nil, nil); got != nil {
		t.Errorf("an anonymous client: %v", got)
	}
	if got := names.Unaddressable("alice", []string{"webpubsub.sendToGroup", "webpubsub.sendToGroup.news", "webpubsub.joinLeaveGroups.a.**", "own/role"}, []string{"news"}); got != nil {
		t.Errorf("ordinary names: %v", got)
	}
	got := names.Unaddressable("a/b",
		[]string{"webpubsub.sendToGroup.tenant/1", "webpubsub.joinLeaveGroups.tenant/*", "webpubsub.joinLeaveGroup..."},
		[]string{"news", "tenant/2"})
	want := []string{`user ID: "a/b"`, `group: "tenant/2"`, `role "webpubsub.sendToGroup.tenant/1"`, `"tenant/*"`, `".." cannot`}
	if len(got) != len(want) {
		t.Fatalf("got %v", got)
	}
	for i := range want {
		if !strings.Contains(got[i].Error(), want[i]) {
			t.Errorf("got %v, want %s", got[i], want[i])
		}
	}
}
