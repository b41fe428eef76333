package token_test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/internal/token"
)

var now = time.Unix(1_800_000_000, 0)

// compact makes a token without the package under test.
func compact(header, claims, key string) string {
	enc := base64.RawURLEncoding
	s := enc.EncodeToString([]byte(header)) + "." + enc.EncodeToString([]byte(claims))
	mac := hmac.New(sha256.New, []byte(key))
	mac.Write([]byte(s))
	return s + "." + enc.EncodeToString(mac.Sum(nil))
}

func TestSign(t *testing.T) {
	s, err := token.Sign("key", token.Claims{
		Audience: "http://h/client/hubs/chat", UserID: "alice", Roles: []string{"r"}, Groups: []string{"a", "b"},
		Issued: now, Expires: now.Add(time.Hour), Issuer: "me",
	})
	if err != nil {
		t.Fatal(err)
	}
	parts := strings.Split(s, ".")
	if want := compact(decode(t, parts[0]), decode(t, parts[1]), "key"); s != want {
		t.Errorf("the signature is not HMAC-SHA256 with the key's own bytes: %s", s)
	}
	var claims map[string]any
	if err := json.Unmarshal([]byte(decode(t, parts[1])), &claims); err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"aud": "http://h/client/hubs/chat", "sub": "alice", "role": []any{"r"}, "webpubsub.group": []any{"a", "b"},
		"iat": 1.8e9, "nbf": 1.8e9, "exp": 1.8e9 + 3600, "iss": "me",
	}
	if !reflect.DeepEqual(claims, want) {
		t.Errorf("got %v\nwant %v", claims, want)
	}
	got, err := token.Verify(s, []string{"other", "key"}, now)
	if err != nil || got.UserID != "alice" || got.Audience != want["aud"] || len(got.Groups) != 2 || !got.Expires.Equal(now.Add(time.Hour)) {
		t.Errorf("got %+v %v", got, err)
	}
}

func decode(t *testing.T, s string) string {
	t.Helper()
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestVerify(t *testing.T) {
	const hs256 = `{"alg":"HS256","typ":"JWT","kid":"anything"}`
	exp := func(d time.Duration) string { return fmt.Sprintf(`{"exp":%d}`, now.Add(d).Unix()) }
	for _, tt := range []struct {
		name, token, want string // want: part of the error, empty for none
		keys              []string
	}{
		{"good", compact(hs256, exp(time.Minute), "k"), "", []string{"k"}},
		{"second key", compact(hs256, exp(time.Minute), "k2"), "", []string{"k", "k2"}},
		{"within the skew", compact(hs256, exp(-4*time.Minute), "k"), "", []string{"k"}},
		{"expired", compact(hs256, exp(-6*time.Minute), "k"), "expired", []string{"k"}},
		{"no exp", compact(hs256, `{}`, "k"), "no exp", []string{"k"}},
		{"not yet", compact(hs256, fmt.Sprintf(`{"exp":%d,"nbf":%d}`, now.Add(time.Hour).Unix(), now.Add(6*time.Minute).Unix()), "k"), "not valid yet", []string{"k"}},
		{"wrong key", compact(hs256, exp(time.Minute), "x"), "token signature is invalid", []string{"k"}},
		{"no algorithm", compact(`{"alg":"none"}`, exp(time.Minute), "k"), "token signature is invalid", []string{"k"}},
		{"another algorithm", compact(`{"alg":"RS256"}`, exp(time.Minute), "k"), "token signature is invalid", []string{"k"}},
		{"empty key is no key", compact(hs256, exp(time.Minute), ""), "no access key", []string{""}},
		{"garbage", "a.b.c", "malformed", []string{"k"}},
		{"nothing", "", "malformed", []string{"k"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			_, err := token.Verify(tt.token, tt.keys, now)
			switch {
			case tt.want == "" && err != nil:
				t.Fatal(err)
			case tt.want != "" && (err == nil || !strings.Contains(err.Error(), tt.want)):
				t.Fatalf("got %v, want an error with %q", err, tt.want)
			case err != nil && tt.token != "" && strings.Contains(err.Error(), tt.token):
				t.Error("the error shows the token")
			}
		})
	}
}

// SDKs write roles and groups as arrays, hand-made tokens often as one string.
func TestListsMayBeStrings(t *testing.T) {
	for claims, want := range map[string][]string{
		`{"role":"a"}`:       {"a"},
		`{"role":["a","b"]}`: {"a", "b"},
		`{"role":["a",1]}`:   {"a", "1"},
		`{"role":7}`:         {"7"},
		`{}`:                 nil,
	} {
		c, err := token.Unverified(compact(`{"alg":"HS256"}`, claims, "k"))
		if err != nil || !reflect.DeepEqual(c.Roles, want) {
			t.Errorf("%s: got %v %v, want %v", claims, c.Roles, err, want)
		}
	}
}

func TestEntra(t *testing.T) {
	const rs256 = `{"alg":"RS256","kid":"x"}`
	for audience, want := range map[string]bool{
		`"https://webpubsub.azure.com"`:         true,
		`"https://webpubsub.azure.com/"`:        true,
		`["https://webpubsub.azure.cn"]`:        true,
		`"https://webpubsub.azure.us"`:          true,
		`"https://webpubsub.azure.com.evil"`:    false,
		`"http://webpubsub.azure.com"`:          false,
		`["and","https://webpubsub.azure.com"]`: true,
		`7`:                                     false,
	} {
		if got := token.IsEntra(compact(rs256, `{"aud":`+audience+`}`, "k")); got != want {
			t.Errorf("%s: %v", audience, got)
		}
	}
	if token.IsEntra("SecretPlaceholder") || token.IsEntra("") {
		t.Error("what is no token passes for one")
	}
	for claims, want := range map[string]string{
		fmt.Sprintf(`{"exp":%d}`, now.Unix()):                                                        "",
		fmt.Sprintf(`{"exp":%d}`, now.Add(-6*time.Minute).Unix()):                                    "expired",
		fmt.Sprintf(`{"exp":%d,"nbf":%d}`, now.Add(time.Hour).Unix(), now.Add(6*time.Minute).Unix()): "not valid yet",
		`{}`: "no exp",
	} {
		err := token.Lifetime(compact(rs256, claims, "k"), now)
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", claims, err, want)
		}
	}
	if err := token.Lifetime("a.b.c", now); err == nil {
		t.Error("garbage has a lifetime")
	}
}

func FuzzVerify(f *testing.F) {
	f.Add(compact(`{"alg":"HS256"}`, `{"exp":1800000100,"role":[1],"aud":["a"]}`, "k"))
	f.Add(compact(`{"alg":"RS256"}`, `{"exp":1e400,"nbf":"x","aud":"https://webpubsub.azure.com"}`, "k"))
	f.Add(compact(`{"alg":"HS256"}`, `{"exp":-1,"iat":1e30,"webpubsub.group":[["a"]]}`, "k"))
	f.Add("a.b.c")
	f.Add("..")
	f.Fuzz(func(t *testing.T, s string) {
		if _, err := token.Verify(s, []string{"another key"}, now); err == nil {
			t.Errorf("%q was accepted", s)
		}
		_, _ = token.Unverified(s)
		_ = token.IsEntra(s)
		_ = token.Lifetime(s, now)
	})
}
