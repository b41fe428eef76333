package filter

import "strings"

// function is one function of the language.
type function struct {
	params   []kind // str also takes null; collection takes that and strings
	required int    // how many of params a call must have
	result   kind
	nulls    int // the result is null when this many first arguments all are; 0: never
	call     func(n int, a [3]value) value
}

var functions = map[string]*function{
	"length":  {params: []kind{collection}, required: 1, result: integer, nulls: 1, call: length},
	"tolower": {params: []kind{str}, required: 1, result: str, nulls: 1, call: mapping(strings.ToLower)},
	"toupper": {params: []kind{str}, required: 1, result: str, nulls: 1, call: mapping(strings.ToUpper)},
	"trim":    {params: []kind{str}, required: 1, result: str, nulls: 1, call: mapping(strings.TrimSpace)},

	"concat":    {params: []kind{str, str}, required: 2, result: str, nulls: 2, call: concat},
	"substring": {params: []kind{str, integer, integer}, required: 2, result: str, nulls: 1, call: substring},
	"indexof":   {params: []kind{str, str}, required: 2, result: integer, call: indexOf},

	"contains":   {params: []kind{str, str}, required: 2, result: boolean, call: predicate(strings.Contains)},
	"startswith": {params: []kind{str, str}, required: 2, result: boolean, call: predicate(strings.HasPrefix)},
	"endswith":   {params: []kind{str, str}, required: 2, result: boolean, call: predicate(strings.HasSuffix)},
}

// length returns the number of characters of a string, or of groups.
func length(_ int, a [3]value) value {
	switch a[0].kind {
	case collection:
		return number(a[0].num)
	case str:
		return number(units(a[0].str))
	}
	return value{}
}

func mapping(f func(string) string) func(int, [3]value) value {
	return func(_ int, a [3]value) value {
		if a[0].kind != str {
			return value{}
		}
		return text(f(a[0].str))
	}
}

func predicate(f func(s, part string) bool) func(int, [3]value) value {
	return func(_ int, a [3]value) value {
		return truth(a[0].kind == str && a[1].kind == str && f(a[0].str, a[1].str))
	}
}

func concat(_ int, a [3]value) value {
	if a[0].kind != str && a[1].kind != str {
		return value{}
	}
	return text(a[0].str + a[1].str) // a null has no text
}

func indexOf(_ int, a [3]value) value {
	i := -1
	if a[0].kind == str && a[1].kind == str {
		i = strings.Index(a[0].str, a[1].str)
	}
	if i < 0 {
		return number(-1)
	}
	return number(units(a[0].str[:i]))
}

// substring is null outside the string.
func substring(n int, a [3]value) value {
	if a[0].kind != str || a[1].kind != integer || n == 3 && a[2].kind != integer {
		return value{}
	}
	from, ok := offset(a[0].str, a[1].num)
	if !ok {
		return value{}
	}
	rest := a[0].str[from:]
	if n == 3 {
		to, ok := offset(rest, a[2].num)
		if !ok {
			return value{}
		}
		rest = rest[:to]
	}
	return text(rest)
}

// units returns the length of s in UTF-16 units.
func units(s string) int {
	n := 0
	for _, c := range s {
		n++
		if c > 0xFFFF {
			n++
		}
	}
	return n
}

// offset returns where in s the nth UTF-16 unit begins, and whether s is that
// long. Inside a surrogate pair it is the character after.
func offset(s string, n int) (int, bool) {
	if n < 0 {
		return 0, false
	}
	for i, c := range s {
		if n <= 0 {
			return i, true
		}
		n--
		if c > 0xFFFF {
			n--
		}
	}
	return len(s), n <= 0
}
