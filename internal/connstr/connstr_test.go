package connstr_test

import (
	"net/url"
	"strings"
	"testing"

	"example.com/webpubsub/internal/connstr"
)

func TestParse(t *testing.T) {
	for _, tt := range []struct{ name, in, endpoint, key string }{
		{"as the portal shows it", "Endpoint=https://a.webpubsub.azure.com;AccessKey=k;Version=1.0;", "https://a.webpubsub.azure.com", "k"},
		{"names in any case, blanks, order", " accesskey = k ; ENDPOINT = http://h:8080 ", "http://h:8080", "k"},
		{"= in the key", "Endpoint=http://h;AccessKey=a=b==;", "http://h", "a=b=="},
		{"port replaces a port", "Endpoint=http://localhost:1;AccessKey=k;Port=8080;", "http://localhost:8080", "k"},
		{"IPv6", "Endpoint=http://[::1];AccessKey=k;Port=8080", "http://[::1]:8080", "k"},
		{"no scheme", "Endpoint=h;AccessKey=k", "https://h", "k"},
		{"slashes at the end", "Endpoint=http://h//;AccessKey=k", "http://h", "k"},
		{"path", "Endpoint=http://h/sub/;AccessKey=k", "http://h/sub", "k"},
		{"colon without a port", "Endpoint=http://h:;AccessKey=k", "http://h", "k"},
		{"IPv6 with a colon", "Endpoint=http://[::1]:/;AccessKey=k", "http://[::1]", "k"},
		{"leading zeros", "Endpoint=http://h:0080;AccessKey=k", "http://h:80", "k"},
		{"unknown names", "Endpoint=http://h;AccessKey=k;Hub=x;ClientEndpoint=y", "http://h", "k"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			c, err := connstr.Parse(tt.in)
			if err != nil || c.Endpoint != tt.endpoint || c.AccessKey != tt.key {
				t.Fatalf("got %+v %v", c, err)
			}
			again, err := connstr.Parse(c.String())
			if err != nil || again != c {
				t.Errorf("%s reads as %+v, %v", c, again, err)
			}
		})
	}
}

func TestParseErrors(t *testing.T) {
	for in, want := range map[string]string{
		"":                             "Endpoint is missing",
		"AccessKey=verysecret":         "Endpoint is missing",
		"Endpoint=http://h":            "AccessKey is missing",
		"Endpoint=http://h;verysecret": "no '='",
		"Endpoint=http://h;AccessKey=verysecret;accesskey=verysecret": "occurs twice",
		"Endpoint=ftp://h;AccessKey=verysecret":                       "not an http or https URL",
		"Endpoint=http://;AccessKey=verysecret":                       "not an http or https URL",
		"Endpoint=http://u:verysecret@h;AccessKey=k":                  "only scheme, host, port and path",
		"Endpoint=ftp://u:verysecret@h;AccessKey=k":                   "not an http or https URL",
		"Endpoint=http://u:verysecret@h:bad;AccessKey=k":              "not an http or https URL",
		"Endpoint=http://h;AccessKey=k;Port=verysecret":               "1 to 65535",
		"Endpoint=http://h?a=b;AccessKey=verysecret":                  "only scheme, host, port and path",
		"Endpoint=http://h;AccessKey=verysecret;Port=99999":           "1 to 65535",
		"Endpoint=http://h;AccessKey=verysecret;Port=0":               "1 to 65535",
		"Endpoint=http://h;AccessKey=verysecret;Port=+80":             "1 to 65535",
		"Endpoint=http://h:99999;AccessKey=verysecret":                "1 to 65535",
		"Endpoint=http://h:0;AccessKey=verysecret":                    "1 to 65535",
		"Endpoint=http://h?;AccessKey=verysecret":                     "only scheme, host, port and path",
		"Endpoint=http://h;AccessKey=verysecret;Port=x":               "1 to 65535",
	} {
		_, err := connstr.Parse(in)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want an error with %q", in, err, want)
		}
		if err != nil && strings.Contains(err.Error(), "verysecret") {
			t.Errorf("the error shows the key: %v", err)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"Endpoint=https://a;AccessKey=k;Version=1.0;", "Endpoint=http://[::1]:1;AccessKey==;Port=2", ";;=", "Endpoint=%;AccessKey=k"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		c, err := connstr.Parse(s)
		if err != nil {
			return
		}
		if again, err := connstr.Parse(c.String()); err != nil || again != c {
			t.Errorf("%q reads as %+v, which reads as %+v, %v", s, c, again, err)
		}
	})
}

// Requests and audiences are made by appending a path to the endpoint. An endpoint
// that ended in "?" passed, and every path became its query.
func FuzzEndpoint(f *testing.F) {
	for _, s := range []string{"https://h", "http://h?", "http://h/?", "h#", "http://[::1]:", "http://h:+1", "http://h//", "http://h/%2F/", "http://h/..", "http://h/a b", "http://a@h", "HTTP://H"} {
		f.Add(s, "")
		f.Add(s, "80")
	}
	f.Fuzz(func(t *testing.T, endpoint, port string) {
		base, err := connstr.Endpoint(endpoint, port)
		if err != nil {
			return
		}
		u, err := url.Parse(base + "/api/x?a=b")
		if err != nil || u.RawQuery != "a=b" || !strings.HasSuffix(u.Path, "/api/x") || u.Host == "" || u.User != nil {
			t.Fatalf("%q, %q give %q, with a path %v, %v", endpoint, port, base, u, err)
		}
		if again, err := connstr.Endpoint(base, ""); err != nil || again != base {
			t.Errorf("%q gives %q, which gives %q, %v", endpoint, base, again, err)
		}
	})
}
