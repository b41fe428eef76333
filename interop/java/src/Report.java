import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.nio.file.Path;
import java.nio.file.StandardOpenOption;
import org.junit.platform.engine.TestExecutionResult;
import org.junit.platform.launcher.TestExecutionListener;
import org.junit.platform.launcher.TestIdentifier;

/** Writes one line for each test to the file that the harness names. */
public final class Report implements TestExecutionListener {
    private static final Path FILE = Path.of(System.getenv("WEBPUBSUB_RESULTS"));

    @Override
    public void executionFinished(TestIdentifier test, TestExecutionResult result) {
        if (!test.isTest()) {
            // A class that cannot be set up must not pass for one without tests.
            result.getThrowable().ifPresent(e -> write(test.getDisplayName(), false));
            return;
        }
        write(test.getDisplayName(), result.getStatus() == TestExecutionResult.Status.SUCCESSFUL);
    }

    private static void write(String name, boolean ok) {
        String quoted = name.replace("\\", "\\\\").replace("\"", "\\\"");
        String line = "{\"name\":\"" + quoted + "\",\"ok\":" + ok + "}\n";
        try {
            Files.write(FILE, line.getBytes(StandardCharsets.UTF_8), StandardOpenOption.CREATE, StandardOpenOption.APPEND);
        } catch (IOException e) {
            throw new IllegalStateException(e);
        }
    }
}
