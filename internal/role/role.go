// Package role decides what a client may do: which groups it may join and
// leave, and which it may publish to.
//
// A connection starts with the roles of its access token or of the connect
// event handler, and the REST API grants and revokes single groups while it
// lives:
//
//	set, ignored := role.Parse([]string{"webpubsub.sendToGroups.room.*"})
//	for _, err := range ignored { … }          // log them: each says why
//	set.Allows(role.Send, "room.1")            // true
//	err := set.Revoke(role.Send, "room.1")     // false from here on
//
// A group is allowed when a role or a grant covers it and no revoke does. The
// last grant or revoke of a group beats every role.
package role

import (
	"errors"
	"fmt"
	"strings"

	webpubsub "example.com/webpubsub"
	"example.com/webpubsub/internal/names"
)

// Limits of one permission of one connection. The reference documents the
// stars only; the other numbers are those of Microsoft's emulator. It allows ten
// patterns, of which its own default rule is one. Whether the service counts so is
// not documented; nine are what is sure to work there.
const (
	MaxLiterals = 1000 // groups named by roles, grants and revokes
	MaxPatterns = 9    // roles with a pattern, other than **
	MaxPattern  = 1024 // characters of a pattern
	MaxStars    = 5    // stars of a pattern, those of ** counted singly
)

// Permission is one thing that a client may do with a group.
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

// ParsePermission returns the permission that a REST path names. Case does not
// count, and the numbers of the .NET enumeration, 1 for sendToGroup and 2 for
// joinLeaveGroup, stand for the names.
func ParsePermission(s string) (Permission, error) {
	switch {
	case strings.EqualFold(s, "sendToGroup"), s == "1":
		return Send, nil
	case strings.EqualFold(s, "joinLeaveGroup"), s == "2":
		return JoinLeave, nil
	}
	return 0, fmt.Errorf("unknown permission %q: it is sendToGroup or joinLeaveGroup", clip(s))
}

// ErrTooMany is the error of [Set.Grant] and [Set.Revoke] when the connection
// has no room for another literal rule of that permission.
var ErrTooMany = fmt.Errorf("a connection has at most %d literal rules of one permission: use a role with a pattern, or undo a rule first", MaxLiterals)

// Set is what one client may do. The zero value allows nothing and costs two
// words. A Set has no lock: whoever owns it guards it. Copies share what
// Grant and Revoke change, so keep one copy.
type Set struct {
	rules [permissions]*rules // nil: nothing is allowed
}

// rules are those of one permission.
type rules struct {
	any      bool      // every group is allowed
	patterns []pattern // these groups are allowed, when any is not set
	// For the groups in except the opposite of any and patterns holds: allowed
	// by name where they say no, revoked where they say yes.
	except map[string]struct{}
}

// Parse returns the set that a client's roles stand for. A role that is
// unknown, not well formed or beyond a limit is ignored, and the errors tell
// which and why. What the service does with a bad pattern is not documented;
// Microsoft's emulator ignores it too.
func Parse(roles []string) (Set, []error) {
	var s Set
	var ignored []error
	ignore := func(role string, err error) {
		ignored = append(ignored, fmt.Errorf("role %q is ignored: %w", clip(role), err))
	}

	// Literal roles come last: those that a wider role covers take no room.
	type literal struct {
		permission  Permission
		role, group string
	}
	var literals []literal
	for _, role := range roles {
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
				s.at(p).any = true // every group, and no pattern that counts
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

var errUnknown = errors.New("it is none of webpubsub.joinLeaveGroup, webpubsub.sendToGroup, these with .<group>, webpubsub.joinLeaveGroups.<pattern> and webpubsub.sendToGroups.<pattern>")

type kind uint8

const (
	unknown       kind = iota
	anyGroup           // webpubsub.sendToGroup
	oneGroup           // webpubsub.sendToGroup.<group>
	patternGroups      // webpubsub.sendToGroups.<pattern>
)

// split takes a role apart. Roles are case-sensitive.
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

// Grant allows the one group, named literally: "*" is a group called "*". It
// fails with [ErrTooMany]; granting what is allowed changes nothing.
func (s *Set) Grant(p Permission, group string) error { return s.set(p, group, true) }

// Revoke forbids the one group, named literally, whatever roles allow it, until
// it is granted again. It does not make the client leave the group. It fails
// with [ErrTooMany]; revoking what is not allowed changes nothing.
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

// at returns the rules of p, made when there are none yet.
func (s *Set) at(p Permission) *rules {
	if s.rules[p] == nil {
		s.rules[p] = new(rules)
	}
	return s.rules[p]
}

// clip keeps a hostile token from filling the log.
func clip(s string) string {
	if len(s) > 64 {
		return s[:64] + "…"
	}
	return s
}
