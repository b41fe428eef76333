package app

import (
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/internal/test/childprocess"
	"example.com/webpubsub/internal/test/testtool"
	"example.com/webpubsub/webapp"
)

// The well-known account of Azurite.
const (
	azuriteAccount = "devstoreaccount1"
	azuriteKey     = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="
)

// azurite runs Microsoft's emulator of Azure Storage, and returns the connection
// string of its table service.
func azurite(t *testing.T) string {
	t.Helper()
	node := testtool.Need(t, "node")
	dir := filepath.Join("testdata", "azurite")
	testtool.NPM(t, dir)
	// It does not report the port that it has chosen.
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, port, _ := net.SplitHostPort(addr)
	p, err := childprocess.RunCommand([]string{
		node, filepath.Join("node_modules", "azurite", "dist", "src", "table", "main.js"),
		"--inMemoryPersistence", "--tableHost", "127.0.0.1", "--tablePort", port, "--silent", "--disableTelemetry",
	}, dir)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	for {
		if c, err := net.Dial("tcp", addr); err == nil {
			c.Close()
			break
		}
		select {
		case <-p.Done():
			t.Fatalf("Azurite has ended: %s%s", p.Stdout(), p.Stderr())
		case <-time.After(20 * time.Millisecond):
		}
	}
	return "DefaultEndpointsProtocol=http;AccountName=" + azuriteAccount + ";AccountKey=" + azuriteKey +
		";TableEndpoint=http://" + addr + "/" + azuriteAccount + ";"
}

func TestTableStore(t *testing.T) {
	connection := azurite(t)
	with := func(setting string) (Store, error) {
		return newStore(webapp.Config{Getenv: func(name string) string {
			if name != settingTable {
				return ""
			}
			return setting
		}})
	}
	s, err := with(connection)
	if err != nil {
		t.Fatal(err)
	}
	testStore(t, s)

	// Another instance of the application finds what the first has stored.
	other, err := with(connection)
	if err != nil {
		t.Fatal(err)
	}
	if messages, err := other.Recent(t.Context(), "grüße-1", 100); err != nil || len(messages) != 25 {
		t.Errorf("%d messages, %v", len(messages), err)
	}

	wrong, err := with(strings.Replace(connection, azuriteKey, "bm90IHRoZSBrZXk=", 1))
	if err != nil {
		t.Fatal(err)
	}
	if err := wrong.Append(t.Context(), "general", "key", Message{}); err == nil || strings.Contains(err.Error(), "bm90IHRoZSBrZXk") {
		t.Errorf("with another key: %v", err)
	}
}

// A setting that cannot work is an error at the start, and shows no key.
func TestTableSetting(t *testing.T) {
	for _, setting := range []string{
		"chat", "http://account.table.core.windows.net", "https://", "https://account.table.core.windows.net?sv=verysecret",
		"AccountName=;AccountKey=verysecret", "AccountName=a;AccountKey=verysecret!", "AccountName=a",
	} {
		_, err := newStore(webapp.Config{Getenv: func(string) string { return setting }})
		if err == nil || !strings.HasPrefix(err.Error(), "ChatTable: ") || strings.Contains(err.Error(), "verysecret") {
			t.Errorf("%s: %v", setting, err)
		}
	}
	if _, err := newStore(webapp.Config{Getenv: func(string) string { return "https://account.table.core.windows.net" }}); err != nil {
		t.Errorf("a URL: %v", err)
	}
}
