import java.net.URI;
import java.net.http.HttpClient;
import java.net.http.WebSocket;
import java.nio.ByteBuffer;
import java.util.ArrayList;
import java.util.List;
import java.util.concurrent.BlockingQueue;
import java.util.concurrent.CompletionStage;
import java.util.concurrent.LinkedBlockingQueue;
import java.util.concurrent.TimeUnit;

/** A WebSocket of the JDK that keeps what arrives: text as it is, bytes as a list. */
final class Receiver implements WebSocket.Listener, AutoCloseable {
    private final BlockingQueue<Object> frames = new LinkedBlockingQueue<>();
    private final StringBuilder text = new StringBuilder();
    private final WebSocket socket;
    final String connectionId;

    /** Connects as a JSON client. Its first frame, which tells the connection id, is read. */
    Receiver(String url) throws Exception {
        socket = HttpClient.newHttpClient().newWebSocketBuilder()
            .subprotocols("json.webpubsub.azure.v1")
            .buildAsync(URI.create(url), this)
            .get(20, TimeUnit.SECONDS);
        connectionId = ((String) next()).replaceFirst(".*\"connectionId\":\"([^\"]*)\".*", "$1");
    }

    /** The next frame, or an exception where none comes. */
    Object next() throws InterruptedException {
        Object frame = frames.poll(20, TimeUnit.SECONDS);
        if (frame == null) {
            throw new AssertionError("no frame arrived");
        }
        return frame;
    }

    /** The data members of the next n frames, as JSON text. */
    List<String> data(int n) throws InterruptedException {
        List<String> data = new ArrayList<>();
        while (data.size() < n) {
            data.add(((String) next()).replaceFirst(".*\"data\":(.*)}$", "$1"));
        }
        return data;
    }

    @Override
    public CompletionStage<?> onText(WebSocket s, CharSequence part, boolean last) {
        text.append(part);
        if (last) {
            frames.add(text.toString());
            text.setLength(0);
        }
        s.request(1);
        return null;
    }

    @Override
    public CompletionStage<?> onBinary(WebSocket s, ByteBuffer part, boolean last) {
        throw new AssertionError("a JSON client gets no binary frames");
    }

    @Override
    public CompletionStage<?> onClose(WebSocket s, int code, String reason) {
        frames.add(code);
        return null;
    }

    @Override
    public void close() {
        socket.abort();
    }
}
