package service_test

import (
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/internal/token"
)

func bearer(r seen) string { return strings.TrimPrefix(r.header.Get("Authorization"), "Bearer ") }

func verify(t testing.TB, jwt, key string) token.Claims {
	t.Helper()
	claims, err := token.Verify(jwt, []string{key}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return claims
}

func audience(t testing.TB, r seen) string {
	t.Helper()
	return verify(t, bearer(r), testKey).Audience
}
