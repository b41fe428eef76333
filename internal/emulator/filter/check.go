package filter

import (
	"slices"
	"strconv"
	"strings"
)

// identify returns the operation of an identifier, opName if it is unknown.
func identify(n *node) op {
	if n.op == opName {
		switch {
		case strings.EqualFold(n.text, "userId"):
			return opUserID
		case strings.EqualFold(n.text, "connectionId"):
			return opConnectionID
		case strings.EqualFold(n.text, "groups"):
			return opGroups
		case strings.EqualFold(n.text, "protocol"):
			return opProtocol
		}
	}
	return n.op
}

// check finds the type of every node. The service checks a filter by trying it
// on an anonymous connection, so its messages give the type of a function of
// userId as null. Here every type is known beforehand, and filters that the
// trial would let pass and the first named user would break are rejected too.
//
// Errors without an expression get that of the operator or function around
// them, or the whole filter if there is none.
func check(n *node) *Error {
	switch n.op = identify(n); n.op {
	case opLiteral:
		n.kind, n.null = n.val.kind, n.val.kind == null
	case opUserID, opProtocol:
		n.kind, n.null = str, true
	case opConnectionID:
		n.kind = str
	case opGroups:
		n.kind = collection
	case opName, opNumber:
		return unsupported(n)
	case opCall:
		return checkCall(n).around(n)
	case opNot:
		n.kind = boolean
		if err := check(n.args[0]); err != nil {
			return err
		}
		return wantBool(n.args[0], n)
	case opIn:
		n.kind = boolean
		return checkIn(n).around(n)
	default:
		n.kind = boolean
		return checkBinary(n).around(n)
	}
	return nil
}

func checkBinary(n *node) *Error {
	for _, a := range n.args {
		if err := check(a); err != nil {
			return err
		}
	}
	for _, a := range n.args {
		switch n.op {
		case opAnd, opOr:
			if err := wantBool(a, n); err != nil {
				return err
			}
		case opGt, opGe, opLt, opLe:
			if a.kind != integer && a.kind != null {
				return mismatch(a.kind, integer)
			}
		}
	}
	return nil
}

func checkIn(n *node) *Error {
	if err := check(n.args[0]); err != nil {
		return err
	}
	right := n.args[1]
	if right.op != opList {
		switch err := check(right); {
		case err != nil:
			return err
		case right.op == opLiteral && right.kind == str:
			return invalid(right.val.str)
		case right.kind != collection:
			return mismatch(right.kind, collection)
		}
		return nil
	}
	for _, item := range right.args {
		if err := check(item); err != nil {
			return err
		}
	}
	// A long list of names is the usual way to address many users.
	if !slices.ContainsFunc(right.args, func(item *node) bool { return item.op != opLiteral }) {
		right.set = make(map[value]struct{}, len(right.args))
		for _, item := range right.args {
			right.set[item.val] = struct{}{}
		}
	}
	return nil
}

func checkCall(n *node) *Error {
	n.fn = functions[n.text]
	if n.fn == nil {
		return unsupported(n)
	}
	if len(n.args) < n.fn.required || len(n.args) > len(n.fn.params) {
		return invalid(source(n))
	}
	for i, a := range n.args {
		if err := check(a); err != nil {
			return err
		}
		switch want := n.fn.params[i]; {
		case want == integer && (a.kind != integer || a.null):
			return mismatch(shown(a), integer)
		case want == str && a.kind != str && a.kind != null:
			return mismatch(a.kind, str)
		case want == collection && a.kind != collection && a.kind != str && a.kind != null:
			return invalid(source(n))
		}
	}
	n.kind = n.fn.result
	n.null = n.fn.nulls > 0
	for _, a := range n.args[:n.fn.nulls] {
		n.null = n.null && a.null
	}
	return nil
}

// wantBool rejects n, an operand of at, unless it is a boolean.
func wantBool(n, at *node) *Error {
	if n.kind == boolean {
		return nil
	}
	return mismatch(shown(n), boolean).around(at)
}

// shown is the type of n as the service's trial finds it.
func shown(n *node) kind {
	if n.op == opCall && n.null {
		return null
	}
	return n.kind
}

func mismatch(got, want kind) *Error {
	return &Error{Reason: "Type '" + got.String() + "', expect '" + want.String() + "'."}
}

func invalid(token string) *Error {
	return &Error{Reason: "Invalid token '" + token + "'."}
}

func unsupported(n *node) *Error {
	return &Error{Reason: "Token '" + source(n) + "' is not supported."}
}

// around sets the expression of an error that has none.
func (e *Error) around(n *node) *Error {
	if e != nil && e.Expression == "" {
		e.Expression = source(n)
	}
	return e
}

var operators = [...]string{
	opAnd: " and ", opOr: " or ", opEq: " eq ", opNe: " ne ",
	opGt: " gt ", opGe: " ge ", opLt: " lt ", opLe: " le ",
}

// source writes an expression the way the service's messages do: operators
// inside others in parentheses, no space after a comma, quotes not doubled.
func source(n *node) string {
	var b strings.Builder
	n.write(&b)
	return b.String()
}

func (n *node) write(b *strings.Builder) {
	switch n.op {
	case opLiteral:
		n.val.write(b)
	case opCall:
		b.WriteString(n.text + "(")
		for i, a := range n.args {
			if i > 0 {
				b.WriteByte(',')
			}
			a.write(b)
		}
		b.WriteByte(')')
	case opNot:
		b.WriteString("not ")
		n.args[0].wrap(b)
	case opIn:
		n.args[0].write(b)
		b.WriteString(" in ")
		n.args[1].write(b)
	case opAnd, opOr, opEq, opNe, opGt, opGe, opLt, opLe:
		n.args[0].wrap(b)
		b.WriteString(operators[n.op])
		n.args[1].wrap(b)
	default:
		b.WriteString(n.text)
	}
}

func (n *node) wrap(b *strings.Builder) {
	if n.op < opNot || n.op > opIn {
		n.write(b)
		return
	}
	b.WriteByte('(')
	n.write(b)
	b.WriteByte(')')
}

func (v value) write(b *strings.Builder) {
	switch v.kind {
	case null:
		b.WriteString("null")
	case boolean:
		if v == yes { // capitals, as .NET has them
			b.WriteString("True")
		} else {
			b.WriteString("False")
		}
	case integer:
		b.WriteString(strconv.Itoa(v.num))
	case str:
		b.WriteString("'" + v.str + "'")
	}
}
