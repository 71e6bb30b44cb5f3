import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.Map;

import org.neo4j.configuration.GraphDatabaseSettings;
import org.neo4j.configuration.connectors.BoltConnector;
import org.neo4j.configuration.helpers.SocketAddress;
import org.neo4j.dbms.api.DatabaseManagementService;
import org.neo4j.dbms.api.DatabaseManagementServiceBuilder;

/**
 * Starts Neo4j from its published artifacts, for scripts/stack: Launcher HOME PORT PASSWORD_FILE.
 *
 * Until the password of the user neo4j is ours the server speaks to nobody: the first start sets it with Bolt switched off. Prints
 * "ready VERSION" once Bolt answers.
 */
public class Launcher {
    public static void main(String[] arguments) throws Exception {
        Path home = Path.of(arguments[0]);
        int port = Integer.parseInt(arguments[1]);
        Path done = home.resolve("password-set");
        if (!Files.exists(done)) {
            String password = Files.readString(Path.of(arguments[2])).strip();
            DatabaseManagementService silent = builder(home).build();
            silent.database("system").executeTransactionally(
                "ALTER USER neo4j SET PASSWORD $password CHANGE NOT REQUIRED", Map.of("password", password));
            silent.shutdown();
            Files.createFile(done);
        }
        DatabaseManagementService server = builder(home)
            .setConfig(BoltConnector.enabled, true)
            .setConfig(BoltConnector.listen_address, new SocketAddress("127.0.0.1", port))
            .setConfig(BoltConnector.advertised_address, new SocketAddress("127.0.0.1", port))
            .build();
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdown));
        System.out.println("ready " + server.database("neo4j").executeTransactionally(
            "CALL dbms.components() YIELD versions RETURN versions[0] AS version", Map.of(), rows -> rows.next().get("version")));
        Thread.currentThread().join();
    }

    private static DatabaseManagementServiceBuilder builder(Path home) {
        return new DatabaseManagementServiceBuilder(home)
            .setConfig(GraphDatabaseSettings.auth_enabled, true)
            .setConfig(GraphDatabaseSettings.pagecache_memory, 64L << 20)
            .setConfig(GraphDatabaseSettings.transaction_timeout, Duration.ofMinutes(2))
            .setConfig(BoltConnector.enabled, false);
    }
}
