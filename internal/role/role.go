// Package role implements the permission checks of client roles: which groups a
// client may join and leave, and which it may publish to.
//
// A connection starts with the roles of its access token or of the connect
// event handler, and the REST API grants and revokes single groups while it
// lives:
//
//	set, ignored := role.Parse([]string{"webpubsub.sendToGroups.room.*"})
//	for _, err := range ignored { … }          // log them: each has the reason
//	set.Allows(role.Send, "room.1")            // true
//	err := set.Revoke(role.Send, "room.1")     // false from here on
//
// A group is allowed if a role or a grant covers it and no revoke does. The last
// grant or revoke of a group takes precedence over every role.
package role

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"

	webpubsub "example.com/webpubsub"
	"example.com/webpubsub/internal/clip"
	"example.com/webpubsub/internal/names"
)

// maxShown bounds what errors quote of text from others, in bytes.
const maxShown = 64

// Limits of one permission of one connection. The reference documents the
// stars only; the other numbers are those of Microsoft's emulator. It allows ten
// patterns, of which its own default rule is one. Whether the service counts so is
// not documented; nine are what is sure to work there.
const (
	MaxLiterals = 1000 // groups named by roles, grants and revokes
	MaxPatterns = 9    // roles with a pattern, other than **
	MaxPattern  = 1024 // characters of a pattern
	MaxStars    = 5    // stars of a pattern; ** counts as two
)

// Permission is a permission that a client has for a group.
type Permission uint8

// The permissions of the service.
const (
	// JoinLeave is the permission to join and leave a group.
	JoinLeave Permission = iota
	// Send is the permission to publish to a group.
	Send
	permissions
)

// String returns the permission's name in the REST API: "joinLeaveGroup" or
// "sendToGroup".
func (p Permission) String() string {
	switch p {
	case JoinLeave:
		return "joinLeaveGroup"
	case Send:
		return "sendToGroup"
	}
	return fmt.Sprintf("Permission(%d)", uint8(p))
}

// ParsePermission returns the permission that a REST path names. Case is
// ignored, and the numbers of the .NET enumeration, 1 for sendToGroup and 2 for
// joinLeaveGroup, are accepted.
func ParsePermission(s string) (Permission, error) {
	switch {
	case strings.EqualFold(s, "sendToGroup"), s == "1":
		return Send, nil
	case strings.EqualFold(s, "joinLeaveGroup"), s == "2":
		return JoinLeave, nil
	}
	return 0, fmt.Errorf("unknown permission %q: it is sendToGroup or joinLeaveGroup", clip.Text(s, maxShown))
}

// ErrTooMany is the error of [Set.Grant] and [Set.Revoke] if the connection
// has the maximum number of literal rules of that permission.
var ErrTooMany = fmt.Errorf("a connection has at most %d literal rules of one permission: use a role with a pattern, or undo a rule first", MaxLiterals)

// Set is the permissions of one client. The zero value allows nothing and takes three
// words. A Set is not safe for concurrent use. Copies share what Grant and Revoke
// change, so keep one copy.
type Set struct {
	rules [permissions]*rules // nil: nothing is allowed
	// These are not for single groups, and the REST API cannot change them.
	getState, setState bool
}

// rules are those of one permission.
type rules struct {
	any      bool      // every group is allowed
	patterns []pattern // these groups are allowed, when any is not set
	// The groups in except have the opposite of what any and patterns result in:
	// granted if those do not allow the group, revoked if they do.
	except map[string]struct{}
}

// Parse returns the permissions that a client's roles grant. A role that is unknown,
// malformed or beyond a limit is ignored, with an error for each. What the service
// does with a malformed pattern is not documented; Microsoft's emulator ignores it,
// too.
func Parse(roles []string) (Set, []error) {
	var s Set
	var ignored []error
	ignore := func(role string, err error) {
		ignored = append(ignored, fmt.Errorf("role %q is ignored: %w", clip.Text(role, maxShown), err))
	}

	// Literal roles are applied last: those that a wider role covers do not count
	// towards the limit. Beyond it the first ones of the token stay, and in Microsoft's
	// emulator the first ones by name.
	type literal struct {
		permission  Permission
		role, group string
	}
	var literals []literal
	for _, role := range roles {
		switch role {
		case webpubsub.RoleGetGroupState:
			s.getState = true
			continue
		case webpubsub.RoleSetGroupState:
			s.setState = true
			continue
		}
		p, kind, rest := split(role)
		switch kind {
		case anyGroup:
			s.at(p).any = true
		case oneGroup:
			literals = append(literals, literal{p, role, rest})
		case patternGroups:
			pat, err := compile(rest)
			if err != nil {
				ignore(role, err)
			} else if len(pat) == 1 && pat[0] == deep {
				s.at(p).any = true // every group; does not count towards the limit
			} else if name, ok := pat.literal(); ok {
				literals = append(literals, literal{p, role, name})
			} else if r := s.at(p); len(r.patterns) == MaxPatterns {
				ignore(role, fmt.Errorf("a connection has at most %d patterns of one permission", MaxPatterns))
			} else {
				r.patterns = append(r.patterns, pat)
			}
		default:
			ignore(role, errUnknown)
		}
	}
	for _, l := range literals {
		if err := names.Group(l.group); err != nil {
			ignore(l.role, err)
		} else if err := s.Grant(l.permission, l.group); err != nil {
			ignore(l.role, err)
		}
	}
	return s, ignored
}

var errUnknown = errors.New("it is not one of webpubsub.joinLeaveGroup, webpubsub.sendToGroup, these with .<group>, webpubsub.joinLeaveGroups.<pattern>, webpubsub.sendToGroups.<pattern>, webpubsub.getGroupState and webpubsub.setGroupState")

type kind uint8

const (
	unknown       kind = iota
	anyGroup           // webpubsub.sendToGroup
	oneGroup           // webpubsub.sendToGroup.<group>
	patternGroups      // webpubsub.sendToGroups.<pattern>
)

// split splits a role into its parts. Roles are case-sensitive.
func split(role string) (p Permission, k kind, rest string) {
	switch role {
	case webpubsub.RoleJoinLeaveAnyGroup:
		return JoinLeave, anyGroup, ""
	case webpubsub.RoleSendToAnyGroup:
		return Send, anyGroup, ""
	}
	if rest, ok := strings.CutPrefix(role, webpubsub.RoleJoinLeaveGroup("")); ok {
		return JoinLeave, oneGroup, rest
	}
	if rest, ok := strings.CutPrefix(role, webpubsub.RoleSendToGroup("")); ok {
		return Send, oneGroup, rest
	}
	if rest, ok := strings.CutPrefix(role, webpubsub.RoleJoinLeaveGroups("")); ok {
		return JoinLeave, patternGroups, rest
	}
	if rest, ok := strings.CutPrefix(role, webpubsub.RoleSendToGroups("")); ok {
		return Send, patternGroups, rest
	}
	return 0, unknown, ""
}

// Allows reports whether the client has the permission for the group.
func (s *Set) Allows(p Permission, group string) bool {
	if p >= permissions || s.rules[p] == nil {
		return false
	}
	return s.rules[p].allows(group)
}

func (r *rules) allows(group string) bool {
	_, excepted := r.except[group]
	return r.covers(group) != excepted
}

func (r *rules) covers(group string) bool {
	if r.any {
		return true
	}
	for _, p := range r.patterns {
		if p.match(group) {
			return true
		}
	}
	return false
}

// GetsGroupState reports whether the client may read the state of groups.
func (s *Set) GetsGroupState() bool { return s.getState }

// SetsGroupState reports whether the client may set its state in groups.
func (s *Set) SetsGroupState() bool { return s.setState }

// Grant allows one group by its literal name: "*" is a group named "*". It fails with
// [ErrTooMany]. Granting a group that is allowed has no effect.
func (s *Set) Grant(p Permission, group string) error { return s.set(p, group, true) }

// Revoke denies one group by its literal name, even if a role allows it, until it is
// granted again. The client stays in the group. It fails with [ErrTooMany]. Revoking
// a group that is not allowed has no effect.
func (s *Set) Revoke(p Permission, group string) error { return s.set(p, group, false) }

func (s *Set) set(p Permission, group string, allow bool) error {
	if p >= permissions {
		return fmt.Errorf("unknown permission %v", p)
	}
	if s.Allows(p, group) == allow {
		return nil
	}
	r := s.at(p)
	if _, ok := r.except[group]; ok {
		delete(r.except, group)
		return nil
	}
	if len(r.except) >= MaxLiterals {
		return ErrTooMany
	}
	if r.except == nil {
		r.except = make(map[string]struct{})
	}
	r.except[group] = struct{}{}
	return nil
}

// Revoked is a permission that was taken away for one group although a role grants
// it.
type Revoked struct {
	Permission Permission
	Group      string
}

// List returns the permissions as roles in alphabetical order, and what was
// revoked of them.
func (s *Set) List() (roles []string, revoked []Revoked) {
	for p, r := range s.rules {
		if r == nil {
			continue
		}
		p := Permission(p)
		name := "webpubsub." + p.String()
		if r.any {
			roles = append(roles, name)
		}
		for _, pat := range r.patterns {
			roles = append(roles, name+"s."+pat.String())
		}
		for group := range r.except {
			if r.covers(group) {
				revoked = append(revoked, Revoked{p, group})
			} else {
				roles = append(roles, name+"."+group)
			}
		}
	}
	if s.getState {
		roles = append(roles, webpubsub.RoleGetGroupState)
	}
	if s.setState {
		roles = append(roles, webpubsub.RoleSetGroupState)
	}
	slices.Sort(roles)
	slices.SortFunc(revoked, func(a, b Revoked) int {
		return cmp.Or(cmp.Compare(a.Permission, b.Permission), cmp.Compare(a.Group, b.Group))
	})
	return roles, revoked
}

// at returns the rules of p and creates them if necessary.
func (s *Set) at(p Permission) *rules {
	if s.rules[p] == nil {
		s.rules[p] = new(rules)
	}
	return s.rules[p]
}
