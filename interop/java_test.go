package interop_test

import (
	"testing"

	"example.com/webpubsub/internal/testtool"
)

// runJava runs the official Java package. Its client for WebSockets is not
// among them: the repository that the build machine reaches does not serve it.
func runJava(t *testing.T, p *proof) {
	java := testtool.Java(t, "java")
	b := start(t, nil)
	trust := testtool.JavaTrust(t, b.ca)
	p.suite(t, b, javaService, "java", java, "-Djavax.net.ssl.trustStore="+trust, "-Djavax.net.ssl.trustStorePassword=changeit", "-cp", testtool.JavaPath("src"),
		"org.junit.platform.console.ConsoleLauncher", "execute", "--scan-classpath=target/classes",
		"--disable-banner", "--disable-ansi-colors", "--details=tree")
}
