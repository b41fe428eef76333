package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
	"time"

	"example.com/webpubsub/handler/handlertest"
	"example.com/webpubsub/internal/test/childprocess"
	"example.com/webpubsub/internal/test/functionshost"
)

// BenchmarkColdStart measures the handler's part of a cold start, with what is
// deployed: from the start of the process to its first response, the memory
// that it then takes after it has handled an event, and the size of the package. It
// is meant to stay below 25 ms, 20 MB and 6 MB on a small machine.
func BenchmarkColdStart(b *testing.B) {
	if runtime.GOOS != "linux" {
		b.Skip("the program of a package is for Linux")
	}
	b.Chdir(filepath.Join("..", ".."))
	file := filepath.Join(b.TempDir(), "app.zip")
	e := testEnv(io.Discard, os.Stderr, nil)
	if err := dispatch(b.Context(), e, []string{"package", "-arch", runtime.GOARCH, "-o", file}); err != nil {
		b.Fatal(err)
	}
	info, err := os.Stat(file)
	if err != nil {
		b.Fatal(err)
	}
	program := filepath.Join(functionshost.Unzip(b, file), "bin", "functions")
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

	var resident int
	for b.Loop() {
		port := functionshost.FreePort(b)
		base := "http://127.0.0.1:" + port
		p, err := childprocess.Run(program, filepath.Dir(program),
			"FUNCTIONS_CUSTOMHANDLER_PORT="+port, "WebPubSubConnectionString="+handlertest.ConnectionString)
		if err != nil {
			b.Fatal(err)
		}
		for {
			resp, err := client.Get(base + "/")
			if err == nil {
				resp.Body.Close()
				break
			}
			time.Sleep(time.Millisecond / 4)
		}
		b.StopTimer()
		r := handlertest.Connect("chat", "conn1", &handlertest.Options{UserID: "alice"})
		out, err := http.NewRequest(r.Method, base+"/api/events", r.Body)
		if err != nil {
			b.Fatal(err)
		}
		out.Header = r.Header
		resp, err := client.Do(out)
		if err != nil || resp.StatusCode != http.StatusOK {
			b.Fatal(err, p.Stdout())
		}
		resp.Body.Close()
		resident += residentKB(b, p.PID())
		p.Kill()
		b.StartTimer()
	}
	b.ReportMetric(float64(b.Elapsed().Microseconds())/1000/float64(b.N), "ms/start")
	b.ReportMetric(float64(resident)/1000/float64(b.N), "MB-resident")
	b.ReportMetric(float64(info.Size())/1e6, "MB-zip")
	b.ReportMetric(0, "ns/op")
}

func residentKB(b *testing.B, pid int) int {
	b.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		b.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmRSS:")
	var kb int
	if _, err := fmt.Sscan(after, &kb); err != nil {
		b.Fatal(err)
	}
	return kb
}
