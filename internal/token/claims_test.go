package token_test

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"example.com/webpubsub/internal/token"
)

func TestClaimsMap(t *testing.T) {
	const (
		nameID = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
		role   = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
	)
	var decoded map[string]any
	claims := `{"sub":"alice","exp":1629186974,"big":1e21,"half":1.5,"ok":true,"none":null,"empty":[],
		"role":["a","b"],"mixed":["x",2,{"y":[1]}],"obj":{"k":"v"}}`
	if err := json.Unmarshal([]byte(claims), &decoded); err != nil {
		t.Fatal(err)
	}
	want := map[string][]string{
		"sub": {"alice"}, nameID: {"alice"}, "exp": {"1629186974"}, "big": {"1000000000000000000000"}, "half": {"1.5"},
		"ok": {"true"}, "none": {""}, "role": {"a", "b"}, role: {"a", "b"}, "mixed": {"x", "2", `{"y":[1]}`}, "obj": {`{"k":"v"}`},
	}
	if got := token.ClaimsMap(decoded); !reflect.DeepEqual(got, want) {
		t.Errorf("ClaimsMap = %v\nwant %v", got, want)
	}

	got := token.ClaimsMap(map[string]any{
		"sub": "s", "nameid": "n", "aud": []string{"a"}, "iat": int64(5),
		"n": json.Number("9007199254740993"), "e": json.Number("1.5e3"), "bad": func() {},
	})
	want = map[string][]string{
		"sub": {"s"}, "nameid": {"n"}, nameID: {"n", "s"}, "aud": {"a"}, "iat": {"5"},
		"n": {"9007199254740993"}, "e": {"1500"}, "bad": {""},
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("ClaimsMap = %v\nwant %v", got, want)
	}
	// Microsoft's emulator reads tokens with the library of the service, which
	// renames many more claims than sub and role.
	got = token.ClaimsMap(map[string]any{"email": "a@b", "given_name": "A", "oid": "o", "tid": "t", "upn": "u"})
	for short, long := range map[string]string{
		"email":      "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress",
		"given_name": "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/givenname",
		"oid":        "http://schemas.microsoft.com/identity/claims/objectidentifier",
		"tid":        "http://schemas.microsoft.com/identity/claims/tenantid",
		"upn":        "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/upn",
	} {
		if got[short] == nil || !reflect.DeepEqual(got[short], got[long]) {
			t.Errorf("%s is %v, and %s is %v", short, got[short], long, got[long])
		}
	}
	if got := token.ClaimsMap(nil); got == nil || len(got) != 0 {
		t.Errorf("ClaimsMap(nil) = %v, want an empty map", got)
	}
}

// The names of user and roles are those that .NET knows, since the service reads
// tokens with its library.
func TestClaimNames(t *testing.T) {
	const (
		nameID = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/nameidentifier"
		role   = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
	)
	for claims, want := range map[string]token.Claims{
		`{"sub":"s"}`:                        {UserID: "s"},
		`{"sub":5}`:                          {UserID: "5"},
		`{"sub":9007199254740993}`:           {UserID: "9007199254740993"},
		`{"nameid":"n"}`:                     {UserID: "n"},
		`{"` + nameID + `":"u"}`:             {UserID: "u"},
		`{"nameid":"n","sub":"s"}`:           {UserID: "s"},
		`{"sub":""}`:                         {},
		`{"role":"a"}`:                       {Roles: []string{"a"}},
		`{"roles":["a","b"]}`:                {Roles: []string{"a", "b"}},
		`{"` + role + `":["a"],"role":"b"}`:  {Roles: []string{"a", "b"}},
		`{"role":[]}`:                        {},
		`{"webpubsub.group":["g","h"]}`:      {Groups: []string{"g", "h"}},
		`{"webpubsub.group":7,"groups":"g"}`: {Groups: []string{"7"}},
		`{"aud":["a","b"]}`:                  {Audience: "a", Audiences: []string{"a", "b"}},
		`{"aud":[]}`:                         {},
		`{"iss":"i","jti":"j"}`:              {Issuer: "i", ID: "j"},
	} {
		got, err := token.Unverified(compact(`{"alg":"HS256"}`, claims, "k"))
		if got.Audiences == nil && want.Audience != "" {
			t.Errorf("%s: no audiences", claims)
		}
		if got.All = nil; err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %+v %v, want %+v", claims, got, err, want)
		}
	}
}

// A token that never expires says so with the greatest number that fits into 64
// bits, which overflowed into the past.
func TestExpiresBeyondTheCalendar(t *testing.T) {
	for claims, ok := range map[string]bool{
		`{"exp":9223372036854775807}`:                            true,
		`{"exp":253402300800}`:                                   true,
		`{"exp":1e300}`:                                          true,
		`{"exp":-9223372036854775808}`:                           false,
		`{"exp":9223372036854775807,"nbf":-9223372036854775808}`: true,
		`{"exp":9223372036854775807,"nbf":9223372036854775807}`:  false,
		`{"exp":"9223372036854775807"}`:                          false, // not a number: .NET takes it, RFC 7519 does not
		`{"exp":0}`:                                              false,
	} {
		got, err := token.Verify(compact(`{"alg":"HS256"}`, claims, "k"), []string{"k"}, now)
		if (err == nil) != ok {
			t.Errorf("%s: %v", claims, err)
		}
		if ok && got.Expires.Before(now.Add(200*365*24*time.Hour)) {
			t.Errorf("%s expires at %v", claims, got.Expires)
		}
	}
}
