package role_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"example.com/webpubsub/internal/role"
)

func TestRoles(t *testing.T) {
	tests := []struct {
		name       string
		roles      []string
		permission role.Permission
		group      string
		want       bool
	}{
		{"no role", nil, role.Send, "g", false},
		{"any group", []string{"webpubsub.sendToGroup"}, role.Send, "g", true},
		{"permissions are separate", []string{"webpubsub.sendToGroup"}, role.JoinLeave, "g", false},
		{"join any group", []string{"webpubsub.joinLeaveGroup"}, role.JoinLeave, "g", true},
		{"one group", []string{"webpubsub.sendToGroup.g"}, role.Send, "g", true},
		{"another group", []string{"webpubsub.sendToGroup.g"}, role.Send, "h", false},
		{"group names are case-sensitive", []string{"webpubsub.sendToGroup.Room"}, role.Send, "room", false},
		{"group name with dots", []string{"webpubsub.joinLeaveGroup.a.b"}, role.JoinLeave, "a.b", true},
		{"a star is a name", []string{"webpubsub.sendToGroup.*"}, role.Send, "*", true},
		{"a star is no wildcard", []string{"webpubsub.sendToGroup.*"}, role.Send, "g", false},
		{"pattern", []string{"webpubsub.sendToGroups.client-*"}, role.Send, "client-device", true},
		{"join pattern", []string{"webpubsub.joinLeaveGroups.public.*"}, role.JoinLeave, "public.news", true},
		{"pattern of the other permission", []string{"webpubsub.joinLeaveGroups.**"}, role.Send, "g", false},
		{"pattern without wildcards", []string{`webpubsub.sendToGroups.room\*`}, role.Send, "room*", true},
		{"second role", []string{"webpubsub.sendToGroup.a", "webpubsub.sendToGroup.b"}, role.Send, "b", true},
		{"second pattern", []string{"webpubsub.sendToGroups.a*", "webpubsub.sendToGroups.b*"}, role.Send, "b1", true},
		{"pattern beside a literal", []string{"webpubsub.sendToGroup.a1", "webpubsub.sendToGroups.a*"}, role.Send, "a1", true},
		{"the same role twice", []string{"webpubsub.sendToGroup.a", "webpubsub.sendToGroup.a"}, role.Send, "a", true},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, ignored := role.Parse(tt.roles)
			if len(ignored) > 0 {
				t.Fatalf("Parse(%q) ignored %v", tt.roles, ignored)
			}
			if got := s.Allows(tt.permission, tt.group); got != tt.want {
				t.Errorf("Parse(%q).Allows(%v, %q) = %v, want %v", tt.roles, tt.permission, tt.group, got, tt.want)
			}
		})
	}
}

func TestIgnoredRoles(t *testing.T) {
	tests := []struct {
		name, role, why string
	}{
		{"unknown", "admin", "not one of"},
		{"wrong separator", "webpubsub.sendToGroup:g", "not one of"},
		{"wrong case", "WebPubSub.sendToGroup", "not one of"},
		{"empty group", "webpubsub.sendToGroup.", "Invalid group name"},
		{"blank group", "webpubsub.joinLeaveGroup. ", "Invalid group name"},
		{"long group", "webpubsub.sendToGroup." + strings.Repeat("g", 1025), "Invalid group name"},
		{"empty pattern", "webpubsub.sendToGroups.", "empty"},
		{"long pattern", "webpubsub.sendToGroups." + strings.Repeat("g", 1025), "1024 characters"},
		{"six stars", "webpubsub.sendToGroups.*.*.*.*.*.*", "at most 5"},
		{"three double stars", "webpubsub.sendToGroups.**a**b**", "at most 5"},
		{"lone backslash", `webpubsub.sendToGroups.a\`, "single backslash"},
		{"bad escape", `webpubsub.sendToGroups.a\b*`, "backslash precedes 'b'"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, ignored := role.Parse([]string{tt.role, "webpubsub.sendToGroup.kept"})
			if len(ignored) != 1 || !strings.Contains(ignored[0].Error(), tt.why) {
				t.Errorf("Parse(%q) ignored %v, want one error about %q", tt.role, ignored, tt.why)
			}
			if !s.Allows(role.Send, "kept") {
				t.Errorf("the good role beside %q was lost", tt.role)
			}
			if s.Allows(role.Send, "other") || s.Allows(role.JoinLeave, "other") {
				t.Errorf("the ignored role %q allows something", tt.role)
			}
		})
	}
}

func TestIgnoredRoleIsClipped(t *testing.T) {
	_, ignored := role.Parse([]string{strings.Repeat("x", 1<<20)})
	if len(ignored) != 1 || len(ignored[0].Error()) > 512 {
		t.Errorf("a role of 1 MiB makes %d errors, the first of %d bytes", len(ignored), len(ignored[0].Error()))
	}
}

func TestTooManyPatterns(t *testing.T) {
	var roles []string
	for i := range role.MaxPatterns + 1 {
		roles = append(roles, fmt.Sprintf("webpubsub.sendToGroups.p%d-*", i))
		// The other permission has its own limit.
		roles = append(roles, fmt.Sprintf("webpubsub.joinLeaveGroups.p%d-*", i))
	}
	s, ignored := role.Parse(roles)
	if len(ignored) != 2 {
		t.Fatalf("ignored %v, want the last pattern of each permission", ignored)
	}
	for i := range role.MaxPatterns {
		if g := fmt.Sprintf("p%d-x", i); !s.Allows(role.Send, g) || !s.Allows(role.JoinLeave, g) {
			t.Errorf("%s is not allowed", g)
		}
	}
	if s.Allows(role.Send, fmt.Sprintf("p%d-x", role.MaxPatterns)) {
		t.Error("a pattern beyond the limit counts")
	}

	// Every group is no pattern that takes room. It was ignored behind ten others.
	for _, all := range []string{"**", "***", "*****"} {
		s, ignored := role.Parse(append(roles[:2*role.MaxPatterns:2*role.MaxPatterns], "webpubsub.sendToGroups."+all))
		if len(ignored) > 0 || !s.Allows(role.Send, "a.b") || s.Allows(role.JoinLeave, "a.b") {
			t.Errorf("%s: ignored %v", all, ignored)
		}
	}
}

func TestGrantAndRevoke(t *testing.T) {
	allows := func(t *testing.T, s *role.Set, group string, want bool) {
		t.Helper()
		if got := s.Allows(role.Send, group); got != want {
			t.Errorf("Allows(%q) = %v, want %v", group, got, want)
		}
	}
	do := func(t *testing.T, f func(role.Permission, string) error, group string) {
		t.Helper()
		if err := f(role.Send, group); err != nil {
			t.Fatal(err)
		}
	}

	t.Run("without roles", func(t *testing.T) {
		var s role.Set
		do(t, s.Revoke, "g")
		allows(t, &s, "g", false)
		do(t, s.Grant, "g")
		allows(t, &s, "g", true)
		allows(t, &s, "h", false)
		if s.Allows(role.JoinLeave, "g") {
			t.Error("the grant to send lets the client join")
		}
		do(t, s.Revoke, "g")
		allows(t, &s, "g", false)
	})
	for _, r := range []string{"webpubsub.sendToGroup", "webpubsub.sendToGroup.g", "webpubsub.sendToGroups.**"} {
		t.Run("revoke beats "+r, func(t *testing.T) {
			s, _ := role.Parse([]string{r})
			do(t, s.Revoke, "g")
			do(t, s.Revoke, "g")
			allows(t, &s, "g", false)
			do(t, s.Grant, "g")
			allows(t, &s, "g", true)
		})
	}
	t.Run("literal", func(t *testing.T) {
		var s role.Set
		do(t, s.Grant, "*")
		allows(t, &s, "*", true)
		allows(t, &s, "g", false)
	})
	t.Run("unknown permission", func(t *testing.T) {
		var s role.Set
		p := role.Permission(9)
		if s.Grant(p, "g") == nil || s.Revoke(p, "g") == nil || s.Allows(p, "g") {
			t.Error("a permission that does not exist is accepted")
		}
	})
}

func TestTooManyLiterals(t *testing.T) {
	for _, tt := range []struct {
		name      string
		roles     []string
		fill, add func(*role.Set, string) error
	}{
		{"grants", nil, grant, revoke},
		{"revokes", []string{"webpubsub.sendToGroup"}, revoke, grant},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := role.Parse(tt.roles)
			for i := range role.MaxLiterals {
				if err := tt.fill(&s, fmt.Sprint(i)); err != nil {
					t.Fatalf("rule %d: %v", i, err)
				}
			}
			before := s.Allows(role.Send, "more")
			if err := tt.fill(&s, "more"); !errors.Is(err, role.ErrTooMany) {
				t.Fatalf("rule %d: %v, want ErrTooMany", role.MaxLiterals, err)
			}
			if s.Allows(role.Send, "more") != before {
				t.Error("the refused rule took effect")
			}
			// What changes nothing needs no room, and undoing a rule makes some.
			if err := tt.fill(&s, "0"); err != nil {
				t.Errorf("repeating a rule: %v", err)
			}
			if err := tt.add(&s, "more"); err != nil {
				t.Errorf("the opposite of a missing rule: %v", err)
			}
			if err := tt.add(&s, "0"); err != nil {
				t.Errorf("undoing a rule: %v", err)
			}
			if err := tt.fill(&s, "more"); err != nil {
				t.Errorf("a rule in the room that was made: %v", err)
			}
		})
	}
}

func grant(s *role.Set, group string) error  { return s.Grant(role.Send, group) }
func revoke(s *role.Set, group string) error { return s.Revoke(role.Send, group) }

func TestTooManyLiteralRoles(t *testing.T) {
	var roles []string
	for i := range role.MaxLiterals + 1 {
		roles = append(roles, fmt.Sprintf("webpubsub.sendToGroup.%d", i))
	}
	_, ignored := role.Parse(roles)
	if len(ignored) != 1 || !errors.Is(ignored[0], role.ErrTooMany) {
		t.Errorf("ignored %v, want the last with ErrTooMany", ignored)
	}
	// Groups that a wider role covers take no room, wherever that role stands.
	for _, wide := range []string{"webpubsub.sendToGroup", "webpubsub.sendToGroups.*"} {
		s, ignored := role.Parse(append(roles, wide))
		if len(ignored) != 0 {
			t.Errorf("beside %s: ignored %v", wide, ignored)
		}
		if err := s.Revoke(role.Send, "5"); err != nil || s.Allows(role.Send, "5") {
			t.Errorf("beside %s: a revoke does not hold (%v)", wide, err)
		}
	}
}

func TestPermissionNames(t *testing.T) {
	for in, want := range map[string]role.Permission{
		"sendToGroup": role.Send, "SENDTOGROUP": role.Send, "1": role.Send,
		"joinLeaveGroup": role.JoinLeave, "joinleavegroup": role.JoinLeave, "2": role.JoinLeave,
	} {
		if got, err := role.ParsePermission(in); err != nil || got != want {
			t.Errorf("ParsePermission(%q) = %v, %v, want %v", in, got, err, want)
		}
	}
	for _, in := range []string{"", "0", "3", "sendToGroups", "webpubsub.sendToGroup"} {
		if p, err := role.ParsePermission(in); err == nil {
			t.Errorf("ParsePermission(%q) = %v, want an error", in, p)
		}
	}
	if role.JoinLeave.String() != "joinLeaveGroup" || role.Send.String() != "sendToGroup" || role.Permission(9).String() != "Permission(9)" {
		t.Error("the names of the permissions changed")
	}
}

func TestList(t *testing.T) {
	given := []string{"webpubsub.joinLeaveGroup", "webpubsub.sendToGroups.a\\*.?.*.**", "webpubsub.sendToGroup.z", "webpubsub.sendToGroup.b", "webpubsub.getGroupState", "webpubsub.setGroupState"}
	s, _ := role.Parse(given)
	_ = s.Revoke(role.JoinLeave, "secret")
	_ = s.Revoke(role.Send, "b")
	_ = s.Grant(role.Send, "c")
	roles, revoked := s.List()
	if want := []string{"webpubsub.getGroupState", "webpubsub.joinLeaveGroup", "webpubsub.sendToGroup.c", "webpubsub.sendToGroup.z", "webpubsub.sendToGroups.a\\*.?.*.**", "webpubsub.setGroupState"}; !slices.Equal(roles, want) {
		t.Errorf("got %q, want %q", roles, want)
	}
	if want := []role.Revoked{{Permission: role.JoinLeave, Group: "secret"}}; !slices.Equal(revoked, want) {
		t.Errorf("got %v, want %v", revoked, want)
	}
	// What is listed grants the same again.
	again, ignored := role.Parse(roles)
	if len(ignored) > 0 || !again.Allows(role.Send, "a*.x.y.z") || again.Allows(role.Send, "a.x.y.z") || again.Allows(role.Send, "b") {
		t.Errorf("%q grants something else: %v", roles, ignored)
	}
}

func TestEmptySetDoesNotAllocate(t *testing.T) {
	if n := testing.AllocsPerRun(100, func() {
		s, _ := role.Parse(nil)
		s.Allows(role.Send, "g")
		_ = s.Revoke(role.Send, "g")
	}); n != 0 {
		t.Errorf("a client without roles costs %v allocations, want none", n)
	}
	s, _ := role.Parse([]string{"webpubsub.sendToGroups.room.*.news", "webpubsub.sendToGroup.a"})
	if n := testing.AllocsPerRun(100, func() { s.Allows(role.Send, "room.1.news"); s.Allows(role.Send, "a") }); n != 0 {
		t.Errorf("Allows costs %v allocations, want none", n)
	}
}

func ExampleParse() {
	set, ignored := role.Parse([]string{
		"webpubsub.joinLeaveGroup.lobby",
		"webpubsub.sendToGroups.room.*",
		"webpubsub.sendToGroups.*.*.*.*.*.*",
	})
	fmt.Println(set.Allows(role.JoinLeave, "lobby"), set.Allows(role.Send, "room.1"), set.Allows(role.Send, "room.1.a"))
	fmt.Println(ignored[0])
	// Output:
	// true true false
	// role "webpubsub.sendToGroups.*.*.*.*.*.*" is ignored: the pattern has 6 stars: at most 5 are allowed, and ** counts as two
}

func ExampleSet_Revoke() {
	set, _ := role.Parse([]string{"webpubsub.sendToGroup"})
	fmt.Println(set.Revoke(role.Send, "news"), set.Allows(role.Send, "news"), set.Allows(role.Send, "chat"))
	fmt.Println(set.Grant(role.Send, "news"), set.Allows(role.Send, "news"))
	// Output:
	// <nil> false true
	// <nil> true
}
