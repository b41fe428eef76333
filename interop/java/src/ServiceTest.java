import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.azure.core.credential.AccessToken;
import com.azure.core.credential.AzureKeyCredential;
import com.azure.core.credential.TokenCredential;
import com.azure.core.exception.ClientAuthenticationException;
import com.azure.core.exception.HttpResponseException;
import com.azure.core.exception.ResourceNotFoundException;
import com.azure.core.http.rest.RequestOptions;
import com.azure.core.http.rest.Response;
import com.azure.core.util.BinaryData;
import com.azure.messaging.webpubsub.WebPubSubServiceClient;
import com.azure.messaging.webpubsub.WebPubSubServiceClientBuilder;
import com.azure.messaging.webpubsub.models.GetClientAccessTokenOptions;
import com.azure.messaging.webpubsub.models.WebPubSubClientProtocol;
import com.azure.messaging.webpubsub.models.WebPubSubContentType;
import com.azure.messaging.webpubsub.models.WebPubSubPermission;
import java.nio.charset.StandardCharsets;
import java.time.OffsetDateTime;
import java.util.Base64;
import java.util.List;
import java.util.Map;
import java.util.concurrent.atomic.AtomicInteger;
import java.util.function.Function;
import java.util.function.Supplier;
import org.junit.jupiter.api.DisplayName;
import org.junit.jupiter.api.Test;
import reactor.core.publisher.Mono;

/** azure-messaging-webpubsub: every call. A name begins with the features that the test proves. */
class ServiceTest {
    private static final String CONNECTION_STRING = System.getenv("WebPubSubConnectionString");
    private static final AtomicInteger HUBS = new AtomicInteger();
    private static final byte[] BYTES = {5, 1, 1};

    private final String hub = "java" + HUBS.incrementAndGet();
    private final WebPubSubServiceClient service = builder(CONNECTION_STRING).buildClient();

    private WebPubSubServiceClientBuilder builder(String connectionString) {
        return new WebPubSubServiceClientBuilder().connectionString(connectionString).hub(hub);
    }

    private Receiver connect(String user, String... groups) throws Exception {
        return new Receiver(service.getClientAccessToken(
            new GetClientAccessTokenOptions().setUserId(user).setGroups(List.of(groups))).getUrl());
    }

    private static RequestOptions query(String... pairs) {
        RequestOptions options = new RequestOptions();
        for (int i = 0; i < pairs.length; i += 2) {
            options.addQueryParam(pairs[i], pairs[i + 1]);
        }
        return options;
    }

    /** A send with its receiver bound. */
    private interface Send {
        Response<Void> send(BinaryData message, WebPubSubContentType type, long length, RequestOptions options);

        default int status(BinaryData message, WebPubSubContentType type, RequestOptions options) {
            return send(message, type, message.getLength(), options).getStatusCode();
        }

        default int text(String text, RequestOptions options) {
            return status(BinaryData.fromString(text), WebPubSubContentType.TEXT_PLAIN, options);
        }
    }

    /** Sends text, JSON and bytes, which all arrive. */
    private void sendsEveryType(Send send) throws Exception {
        try (Receiver alice = connect("alice", "g")) {
            everyType(id -> send, alice);
        }
    }

    private interface SendTo {
        Send connection(String id);
    }

    private void everyType(SendTo to, Receiver receiver) throws Exception {
        Send send = to.connection(receiver.connectionId);
        assertEquals(202, send.text("Hi there!", null));
        assertEquals(202, send.status(BinaryData.fromString("{\"n\":[1,null]}"), WebPubSubContentType.APPLICATION_JSON, null));
        assertEquals(202, send.status(BinaryData.fromBytes(BYTES), WebPubSubContentType.APPLICATION_OCTET_STREAM, null));
        assertEquals(List.of("\"Hi there!\"", "{\"n\":[1,null]}", "\"BQEB\""), receiver.data(3));
    }

    @Test
    @DisplayName("send-all: text, JSON and bytes")
    void sendToAll() throws Exception {
        sendsEveryType(service::sendToAllWithResponse);
        service.sendToAll("plain", WebPubSubContentType.TEXT_PLAIN);
    }

    @Test
    @DisplayName("send-group: text, JSON and bytes")
    void sendToGroup() throws Exception {
        sendsEveryType((m, t, n, o) -> service.sendToGroupWithResponse("g", m, t, n, o));
        service.sendToGroup("empty", "plain", WebPubSubContentType.TEXT_PLAIN);
    }

    @Test
    @DisplayName("send-user: text, JSON and bytes")
    void sendToUser() throws Exception {
        sendsEveryType((m, t, n, o) -> service.sendToUserWithResponse("alice", m, t, n, o));
        service.sendToUser("nobody", "plain", WebPubSubContentType.TEXT_PLAIN);
    }

    @Test
    @DisplayName("send-connection: text, JSON and bytes")
    void sendToConnection() throws Exception {
        try (Receiver alice = connect("alice")) {
            everyType(id -> (m, t, n, o) -> service.sendToConnectionWithResponse(id, m, t, n, o), alice);
        }
        service.sendToConnection("none", "plain", WebPubSubContentType.TEXT_PLAIN);
    }

    @Test
    @DisplayName("send-all, exists, errors: the asynchronous client")
    void async() {
        var async = builder(CONNECTION_STRING).buildAsyncClient();
        BinaryData text = BinaryData.fromString("hi");
        assertEquals(202, async.sendToAllWithResponse(text, WebPubSubContentType.TEXT_PLAIN, 2, null).block().getStatusCode());
        assertFalse(async.userExistsWithResponse("nobody", null).block().getValue());
        assertThrows(ResourceNotFoundException.class, () -> async.addUserToGroupWithResponse("g", "nobody", null).block());
    }

    @Test
    @DisplayName("filter: chooses the receivers; a bad one is refused with 400")
    void filter() throws Exception {
        List<Send> sends = List.of(
            service::sendToAllWithResponse,
            (m, t, n, o) -> service.sendToGroupWithResponse("g", m, t, n, o),
            (m, t, n, o) -> service.sendToUserWithResponse("alice", m, t, n, o));
        try (Receiver alice = connect("alice", "g")) {
            for (Send send : sends) {
                assertEquals(202, send.text("not hers", query("filter", "userId ne 'alice'")));
                assertEquals(202, send.text("hers", query("filter", "'g' in groups")));
                assertEquals(List.of("\"hers\""), alice.data(1));
                var e = assertThrows(HttpResponseException.class, () -> send.text("x", query("filter", "invalid filter")));
                assertEquals(400, e.getResponse().getStatusCode());
                assertTrue(e.getMessage().contains("Syntax error at position 14 in 'invalid filter'"), e.getMessage());
            }
        }
    }

    @Test
    @DisplayName("excluded, expiry: who is excluded gets nothing; a time to live is taken")
    void excluded() throws Exception {
        try (Receiver alice = connect("alice", "g"); Receiver bob = connect("bob", "g")) {
            Send all = service::sendToAllWithResponse;
            Send group = (m, t, n, o) -> service.sendToGroupWithResponse("g", m, t, n, o);
            for (Send send : List.of(all, group)) {
                assertEquals(202, send.text("to bob", query("excluded", alice.connectionId, "messageTtlSeconds", "60")));
            }
            all.text("to both", null);
            assertEquals(List.of("\"to both\""), alice.data(1));
            assertEquals(List.of("\"to bob\"", "\"to bob\"", "\"to both\""), bob.data(3));
        }
        assertThrows(HttpResponseException.class, () -> ((Send) service::sendToAllWithResponse).text("x", query("messageTtlSeconds", "301")));
    }

    @Test
    @DisplayName("exists: connections, users and groups")
    void exists() throws Exception {
        assertFalse(service.connectionExistsWithResponse("none", null).getValue());
        assertFalse(service.userExistsWithResponse("no body", null).getValue());
        assertFalse(service.groupExistsWithResponse("g", null).getValue());
        try (Receiver alice = connect("al ice", "g")) {
            assertTrue(service.connectionExistsWithResponse(alice.connectionId, null).getValue());
            assertTrue(service.userExistsWithResponse("al ice", null).getValue());
            assertTrue(service.groupExistsWithResponse("g", null).getValue());
        }
    }

    @Test
    @DisplayName("group-members: connections and users are added and removed")
    void members() throws Exception {
        assertEquals(204, service.removeUserFromAllGroupsWithResponse("nobody", null).getStatusCode());
        assertEquals(204, service.removeUserFromGroupWithResponse("g", "nobody", null).getStatusCode());
        assertEquals(204, service.removeConnectionFromAllGroupsWithResponse("none", null).getStatusCode());
        assertEquals(204, service.removeConnectionFromGroupWithResponse("g", "none", null).getStatusCode());
        try (Receiver alice = connect("alice")) {
            String id = alice.connectionId;
            Supplier<Integer> addConnection = () -> service.addConnectionToGroupWithResponse("g", id, null).getStatusCode();
            Supplier<Integer> addUser = () -> service.addUserToGroupWithResponse("g", "alice", null).getStatusCode();
            List<Supplier<Response<Void>>> removes = List.of(
                () -> service.removeConnectionFromGroupWithResponse("g", id, null),
                () -> service.removeUserFromGroupWithResponse("g", "alice", null),
                () -> service.removeConnectionFromAllGroupsWithResponse(id, null),
                () -> service.removeUserFromAllGroupsWithResponse("alice", null));
            for (Supplier<Integer> add : List.of(addConnection, addUser)) {
                for (Supplier<Response<Void>> remove : removes) {
                    assertEquals(200, add.get());
                    assertTrue(service.groupExistsWithResponse("g", null).getValue());
                    assertEquals(204, remove.get().getStatusCode());
                    assertFalse(service.groupExistsWithResponse("g", null).getValue());
                }
            }
        }
    }

    @Test
    @DisplayName("group-bulk: a filter chooses who joins several groups")
    void bulk() throws Exception {
        try (Receiver alice = connect("alice"); Receiver bob = connect("bob")) {
            service.addConnectionsToGroups(List.of("g1", "g2"), "userId eq 'alice'");
            for (String group : List.of("g1", "g2")) {
                service.sendToGroup(group, group, WebPubSubContentType.TEXT_PLAIN);
            }
            service.sendToAll("all", WebPubSubContentType.TEXT_PLAIN);
            assertEquals(List.of("\"g1\"", "\"g2\"", "\"all\""), alice.data(3));
            assertEquals(List.of("\"all\""), bob.data(1));
        }
        // The SDK sends null groups as they are and lets the service refuse.
        var e = assertThrows(HttpResponseException.class, () -> service.addConnectionsToGroups(null, "userId eq null"));
        assertEquals(400, e.getResponse().getStatusCode());
    }

    @Test
    @DisplayName("permissions: granted, checked and revoked; a group must be named")
    void permissions() throws Exception {
        try (Receiver alice = connect("alice")) {
            String id = alice.connectionId;
            for (WebPubSubPermission p : List.of(WebPubSubPermission.SEND_TO_GROUP, WebPubSubPermission.JOIN_LEAVE_GROUP)) {
                RequestOptions g = query("targetName", "g");
                assertFalse(service.checkPermissionWithResponse(p, id, g).getValue());
                assertEquals(200, service.grantPermissionWithResponse(p, id, g).getStatusCode());
                assertTrue(service.checkPermissionWithResponse(p, id, g).getValue());
                assertEquals(204, service.revokePermissionWithResponse(p, id, g).getStatusCode());
                assertFalse(service.checkPermissionWithResponse(p, id, g).getValue());
                var e = assertThrows(HttpResponseException.class, () -> service.grantPermissionWithResponse(p, id, null));
                assertEquals(400, e.getResponse().getStatusCode());
            }
        }
        assertThrows(ResourceNotFoundException.class,
            () -> service.grantPermissionWithResponse(WebPubSubPermission.SEND_TO_GROUP, "none", query("targetName", "g")));
    }

    @Test
    @DisplayName("close: a connection, a user's, a group's and the hub's, with a reason")
    void close() throws Exception {
        List<Function<String, Response<Void>>> closes = List.of(
            id -> service.closeConnectionWithResponse(id, query("reason", "enough")),
            id -> service.closeUserConnectionsWithResponse("alice", query("reason", "enough")),
            id -> service.closeGroupConnectionsWithResponse("g", query("reason", "enough")),
            id -> service.closeAllConnectionsWithResponse(query("reason", "enough", "excluded", "other")));
        for (var close : closes) {
            try (Receiver alice = connect("alice", "g")) {
                assertEquals(204, close.apply(alice.connectionId).getStatusCode());
                String told = (String) alice.next();
                assertTrue(told.contains("\"event\":\"disconnected\"") && told.contains("enough"), told);
                assertEquals(1000, alice.next());
            }
        }
    }

    @Test
    @DisplayName("token: URL, user, roles and groups")
    void token() {
        var access = service.getClientAccessToken(new GetClientAccessTokenOptions()
            .setUserId("alice").addRole("webpubsub.sendToGroup").addGroup("g"));
        String path = CONNECTION_STRING.replaceFirst("Endpoint=http(.*?);.*", "ws$1") + "/client/hubs/" + hub;
        assertEquals(path + "?access_token=" + access.getToken(), access.getUrl());
        String claims = claims(access.getToken());
        for (String want : List.of("\"sub\":\"alice\"", "webpubsub.sendToGroup", "\"g\"", "/client/hubs/" + hub)) {
            assertTrue(claims.contains(want), claims);
        }
    }

    @Test
    @DisplayName("token-protocols: MQTT and Socket.IO clients have URLs of their own")
    void tokenProtocols() {
        for (var want : Map.of(
            WebPubSubClientProtocol.MQTT, "/clients/mqtt/hubs/",
            WebPubSubClientProtocol.SOCKET_IO, "/clients/socketio/hubs/").entrySet()) {
            var access = service.getClientAccessToken(new GetClientAccessTokenOptions().setWebPubSubClientProtocol(want.getKey()));
            assertTrue(access.getUrl().contains(want.getValue() + hub), access.getUrl());
            assertTrue(claims(access.getToken()).contains(want.getValue() + hub));
        }
    }

    private static String claims(String token) {
        return new String(Base64.getUrlDecoder().decode(token.split("\\.")[1]), StandardCharsets.UTF_8);
    }

    @Test
    @DisplayName("key: a key credential is accepted, a wrong key refused with 401")
    void key() {
        String endpoint = CONNECTION_STRING.replaceFirst("Endpoint=(.*?);.*", "$1");
        String key = CONNECTION_STRING.replaceFirst(".*AccessKey=(.*?);.*", "$1");
        new WebPubSubServiceClientBuilder().endpoint(endpoint).credential(new AzureKeyCredential(key)).hub(hub).buildClient()
            .sendToAll("hi", WebPubSubContentType.TEXT_PLAIN);
        var wrong = builder(CONNECTION_STRING.replace("AccessKey=", "AccessKey=X")).buildClient();
        assertThrows(ClientAuthenticationException.class, () -> wrong.sendToAll("hi", WebPubSubContentType.TEXT_PLAIN));
    }

    @Test
    @DisplayName("errors: what is not there is not found")
    void errors() {
        assertThrows(ResourceNotFoundException.class, () -> service.addConnectionToGroupWithResponse("g", "none", null));
        assertThrows(ResourceNotFoundException.class, () -> service.addUserToGroupWithResponse("g", "nobody", null));
    }

    @Test
    @DisplayName("reverse-proxy: requests go to the proxy, tokens are for the endpoint")
    void reverseProxy() {
        String endpoint = CONNECTION_STRING.replaceFirst("Endpoint=.*?;", "Endpoint=http://webpubsub.invalid;");
        var proxied = builder(endpoint).reverseProxyEndpoint(System.getenv("WEBPUBSUB_REVERSE_PROXY")).buildClient();
        proxied.sendToAll("through " + hub, WebPubSubContentType.TEXT_PLAIN);
        assertFalse(proxied.userExistsWithResponse("nobody", null).getValue());
    }

    @Test
    @DisplayName("entra, send-all, exists: a token credential, over https")
    void entra() {
        String endpoint = System.getenv("WEBPUBSUB_TLS_CONNECTION_STRING").replaceFirst("Endpoint=(.*?);.*", "$1");
        AccessToken token = new AccessToken(System.getenv("WEBPUBSUB_ENTRA_TOKEN"), OffsetDateTime.now().plusHours(1));
        var client = new WebPubSubServiceClientBuilder().endpoint(endpoint).hub(hub)
            .credential((TokenCredential) request -> Mono.just(token)).buildClient();
        client.sendToAll("hi", WebPubSubContentType.TEXT_PLAIN);
        assertFalse(client.userExistsWithResponse("nobody", null).getValue());
        var access = client.getClientAccessToken(new GetClientAccessTokenOptions().setUserId("alice").addGroup("g"));
        assertEquals(endpoint.replace("https", "wss") + "/client/hubs/" + hub + "?access_token=" + access.getToken(), access.getUrl());
        assertTrue(claims(access.getToken()).contains("\"sub\":\"alice\""));
    }
}
