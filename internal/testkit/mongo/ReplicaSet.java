import de.bwaldvogel.mongo.MongoCollection;
import de.bwaldvogel.mongo.MongoServer;
import de.bwaldvogel.mongo.MongoVersion;
import de.bwaldvogel.mongo.backend.AbstractCursor;
import de.bwaldvogel.mongo.backend.Cursor;
import de.bwaldvogel.mongo.backend.Utils;
import de.bwaldvogel.mongo.backend.aggregation.Aggregation;
import de.bwaldvogel.mongo.backend.h2.H2Backend;
import de.bwaldvogel.mongo.bson.BsonTimestamp;
import de.bwaldvogel.mongo.bson.Document;
import de.bwaldvogel.mongo.bson.ObjectId;
import de.bwaldvogel.mongo.exception.MongoServerError;
import de.bwaldvogel.mongo.oplog.Oplog;
import io.netty.channel.Channel;
import java.nio.ByteBuffer;
import java.time.Instant;
import java.util.ArrayList;
import java.util.Comparator;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.stream.Stream;

/**
 * Stands in for a MongoDB replica set of one member, for tests: no registry of packages has a mongod.
 * mongo-java-server does reading and writing, with its data in a file; this adds what drivers and change data capture
 * need besides: the hello of a replica set, sessions, and change streams with the events, resume tokens and cursor
 * fields of MongoDB 6, as its manual describes them.
 *
 * What it has acknowledged survives its stop, but not kill -9, after which the file may be of no use. What else it is not,
 * so that no test can say anything about it: elections and more than one member, write concerns,
 * transactions, retried writes that are recognised, authentication and TLS, sharding, events that are split, a change
 * log that ends (everything is kept, and an old resume token is always good), and MongoDB's speed. Change streams tell of
 * the databases that are named at the start and of no others, because their log is kept in memory.
 *
 * java -cp JARS ReplicaSet.java PORT FILE DATABASE...
 */
public class ReplicaSet {
    public static void main(String[] args) throws Exception {
        int port = Integer.parseInt(args[0]);
        Backend backend = new Backend(args[1], "127.0.0.1:" + port, List.of(args).subList(2, args.length));
        backend.version(new MongoVersion() {
            public List<Integer> getVersionArray() { return List.of(6, 0, 0); }
            public int getWireVersion() { return 17; }
        });
        MongoServer server = new MongoServer(backend);
        server.enableOplog();
        server.bind("127.0.0.1", port);
        Runtime.getRuntime().addShutdownHook(new Thread(server::shutdownNow));
        Thread.currentThread().join();
    }

    static Document ok(Document answer) {
        Utils.markOkay(answer);
        return answer;
    }

    /** Answers those commands that mongo-java-server does not know, or not as a replica set does. */
    static class Backend extends H2Backend {
        final String address;
        final List<String> logged; // The databases whose changes are.
        // Grows from start to start: drivers take a primary with a smaller one than before for a stale one.
        final ObjectId election = new ObjectId(ByteBuffer.allocate(12).putInt(0).putLong(System.currentTimeMillis()).array());
        Changes changes;

        Backend(String file, String address, List<String> logged) {
            super(file);
            this.address = address;
            this.logged = logged;
        }

        @Override
        protected Oplog createOplog() {
            return changes = new Changes(this);
        }

        @Override
        public Document handleCommand(Channel channel, String db, String command, Document query) {
            Document answer = command(channel, db, command, query);
            answer.put("operationTime", changes.now());
            return answer;
        }

        Document command(Channel channel, String db, String command, Document query) {
            switch (command.toLowerCase()) {
                case "hello":
                case "ismaster":
                    return super.handleCommand(channel, db, "ismaster", query)
                        .append("helloOk", true).append("isWritablePrimary", true).append("secondary", false)
                        .append("setName", "rs0").append("setVersion", 1).append("electionId", election)
                        .append("hosts", List.of(address)).append("primary", address).append("me", address)
                        .append("logicalSessionTimeoutMinutes", 30)
                        .append("lastWrite", new Document("opTime", new Document("ts", changes.now()).append("t", 1L)).append("lastWriteDate", Instant.now()));
                case "replsetgetstatus":
                    return ok(new Document("set", "rs0").append("myState", 1).append("members", List.of(
                        new Document("_id", 0).append("name", address).append("state", 1).append("stateStr", "PRIMARY").append("self", true))));
                case "endsessions":
                case "killsessions":
                case "refreshsessions":
                    return ok(new Document());
                case "aggregate":
                    List<Document> pipeline = Aggregation.parse(query.get("pipeline"));
                    if (!pipeline.isEmpty() && pipeline.get(0).containsKey("$changeStream")) {
                        return open(db, query, pipeline);
                    }
                    break;
                case "getmore":
                    if (getCursorRegistry().getCursor(((Number) query.get("getMore")).longValue()) instanceof ChangeCursor cursor) {
                        return cursor.reply("nextBatch", number(query, "batchSize", 0), Math.min(number(query, "maxTimeMS", 200), 200));
                    }
                    break;
                default:
            }
            return super.handleCommand(channel, db, command, query);
        }

        static int number(Document query, String field, int otherwise) {
            return ((Number) query.getOrDefault(field, otherwise)).intValue();
        }

        Document open(String db, Document query, List<Document> pipeline) {
            Document options = (Document) pipeline.get(0).get("$changeStream");
            boolean one = query.get("aggregate") instanceof String;
            String scope = Boolean.TRUE.equals(options.get("allChangesForCluster")) ? "" : one ? db + "." + query.get("aggregate") : db + ".";
            Aggregation rest = Aggregation.fromPipeline(pipeline.subList(1, pipeline.size()), this::resolveDatabase, resolveDatabase(db), null, oplog);
            ChangeCursor cursor = new ChangeCursor(getCursorRegistry().generateCursorId(), changes, rest, options, scope,
                db + "." + (one ? query.get("aggregate") : "$cmd.aggregate"), changes.start(options));
            getCursorRegistry().add(cursor);
            return cursor.reply("firstBatch", number((Document) query.getOrDefault("cursor", new Document()), "batchSize", 0), 0);
        }
    }

    /** Every change of the logged databases, in its order, kept in the collection local.changes. */
    static class Changes implements Oplog {
        final Backend backend;
        final MongoCollection<Object> store;
        final List<Document> events = new ArrayList<>(); // By time.
        final Map<String, Document> last = new HashMap<>(); // What is known of each document, by its namespace and id.
        long clock; // The time of the last event.

        @SuppressWarnings("unchecked")
        Changes(Backend backend) {
            this.backend = backend;
            var local = backend.resolveDatabase("local");
            var before = local.resolveCollection("changes", false);
            store = (MongoCollection<Object>) (before != null ? before : local.createCollectionOrThrowIfExists("changes"));
            store.queryAllAsStream().sorted(Comparator.comparingLong(Changes::time)).forEach(event -> {
                events.add(event);
                clock = time(event);
                remember(event);
            });
        }

        void remember(Document event) {
            if (event.get("documentKey") instanceof Document key) {
                last.put(event.get("scope") + "/" + key.get("_id"), (Document) event.get("post"));
            }
        }

        static long time(Document event) {
            return ((BsonTimestamp) event.get("clusterTime")).getValue();
        }

        synchronized BsonTimestamp now() {
            return new BsonTimestamp(Math.max(clock, Instant.now().getEpochSecond() << 32));
        }

        /** A token in MongoDB's form: its clients may look into it for the time. */
        static Document token(long time) {
            return new Document("_data", String.format("82%016X2B0229296E04", time));
        }

        /** The time after which a stream with these options begins. */
        synchronized long start(Document options) {
            Object token = options.containsKey("resumeAfter") ? options.get("resumeAfter") : options.get("startAfter");
            if (token != null) {
                long time = Long.parseUnsignedLong(((String) ((Document) token).get("_data")).substring(2, 18), 16);
                if (time > now().getValue()) {
                    throw new MongoServerError(286, "ChangeStreamHistoryLost", "resume token is not in the change log");
                }
                return time;
            }
            BsonTimestamp at = (BsonTimestamp) options.get("startAtOperationTime");
            return at != null ? at.getValue() - 1 : now().getValue();
        }

        synchronized void add(String type, String ns, Object id, Document pre, Document post, Document description) {
            clock = Math.max(clock, Instant.now().getEpochSecond() << 32) + 1;
            int dot = ns.indexOf('.');
            Document event = new Document("_id", token(clock)).append("operationType", type).append("clusterTime", new BsonTimestamp(clock)).append("wallTime", Instant.now());
            if (!type.equals("invalidate")) {
                event.append("ns", new Document("db", ns.substring(0, dot)).append("coll", ns.substring(dot + 1)));
            }
            if (id != null) {
                event.append("documentKey", new Document("_id", id));
            }
            if (description != null) {
                event.append("updateDescription", description);
            }
            event.append("scope", ns).append("pre", pre).append("post", post);
            events.add(event);
            remember(event);
            store.addDocument(event.cloneDeeply());
            notifyAll();
        }

        boolean hidden(String ns) {
            return !backend.logged.contains(ns.substring(0, ns.indexOf('.')));
        }

        @Override
        public void handleInsert(String ns, List<Document> documents) {
            if (!hidden(ns)) {
                documents.forEach(d -> add("insert", ns, d.get("_id"), null, d.cloneDeeply(), null));
            }
        }

        @Override
        public void handleUpdate(String ns, Document selector, Document update, List<Object> ids) {
            if (hidden(ns)) {
                return;
            }
            boolean replace = update.isEmpty() || !update.keySet().iterator().next().startsWith("$");
            for (Object id : ids) {
                Document post = find(ns, id);
                if (post != null) {
                    Document pre = known(ns, id);
                    add(replace ? "replace" : "update", ns, id, pre, post.cloneDeeply(), replace ? null : describe(pre == null ? new Document() : pre, post));
                }
            }
        }

        static Document describe(Document pre, Document post) {
            Document set = new Document();
            post.forEach((field, value) -> {
                if (!field.equals("_id") && !Objects.equals(pre.get(field), value)) {
                    set.put(field, value);
                }
            });
            List<String> removed = pre.keySet().stream().filter(field -> !post.containsKey(field)).toList();
            return new Document("updatedFields", set).append("removedFields", removed).append("truncatedArrays", List.of());
        }

        @Override
        public void handleDelete(String ns, Document query, List<Object> ids) {
            if (!hidden(ns)) {
                ids.forEach(id -> add("delete", ns, id, known(ns, id), null, null));
            }
        }

        @Override
        public void handleDropCollection(String ns) {
            if (!hidden(ns)) {
                add("drop", ns, null, null, null, null);
                add("invalidate", ns, null, null, null, null);
            }
        }

        @Override
        public Cursor createCursor(Document options, String ns, Aggregation rest) {
            throw new IllegalStateException("change streams are opened elsewhere");
        }

        synchronized Document known(String ns, Object id) {
            return last.get(ns + "/" + id);
        }

        Document find(String ns, Object id) {
            int dot = ns.indexOf('.');
            var c = backend.resolveDatabase(ns.substring(0, dot)).resolveCollection(ns.substring(dot + 1), false);
            return c == null ? null : c.handleQueryAsStream(new Document("_id", id)).findFirst().orElse(null);
        }

        /** The events after a time that a stream of this scope has, oldest first; waits so many milliseconds for the first one. */
        synchronized List<Document> after(long time, String scope, long wait) throws InterruptedException {
            long end = System.currentTimeMillis() + wait;
            for (;;) {
                int from = events.size();
                while (from > 0 && time(events.get(from - 1)) > time) {
                    from--;
                }
                List<Document> found = events.subList(from, events.size()).stream().filter(e -> shows(scope, e)).toList();
                long left = end - System.currentTimeMillis();
                if (!found.isEmpty() || left <= 0) {
                    return found;
                }
                wait(left);
            }
        }

        /** A scope is a collection, "db." for a database, or empty for all. */
        static boolean shows(String scope, Document event) {
            String ns = (String) event.get("scope");
            boolean collection = !scope.isEmpty() && !scope.endsWith(".");
            return collection ? ns.equals(scope) : ns.startsWith(scope) && !event.get("operationType").equals("invalidate");
        }
    }

    /** One change stream. */
    static class ChangeCursor extends AbstractCursor {
        final Changes changes;
        final Aggregation rest;
        final Document options;
        final String scope, ns;
        long position;

        ChangeCursor(long id, Changes changes, Aggregation rest, Document options, String scope, String ns, long position) {
            super(id);
            this.changes = changes;
            this.rest = rest;
            this.options = options;
            this.scope = scope;
            this.ns = ns;
            this.position = position;
        }

        @Override
        public boolean isEmpty() {
            return false;
        }

        @Override
        public List<Document> takeDocuments(int limit) {
            return take(limit, 0);
        }

        List<Document> take(int limit, long wait) {
            List<Document> batch = new ArrayList<>();
            long now = changes.now().getValue();
            try {
                List<Document> events = changes.after(position, scope, wait);
                for (Document e : events) {
                    if (limit > 0 && batch.size() >= limit) {
                        break;
                    }
                    position = Changes.time(e);
                    batch.addAll(rest.runStagesAsStream(Stream.of(shown(e))).toList());
                }
                if (events.isEmpty()) {
                    position = Math.max(position, now);
                }
            } catch (InterruptedException e) {
                Thread.currentThread().interrupt();
            }
            return batch;
        }

        Document reply(String key, int limit, long wait) {
            List<Document> batch = key.equals("firstBatch") && limit == 0 ? List.of() : take(limit, wait);
            Object token = batch.isEmpty() ? Changes.token(position) : batch.get(batch.size() - 1).getOrDefault("_id", Changes.token(position));
            return ok(new Document("cursor", new Document(key, batch).append("id", id).append("ns", ns).append("postBatchResumeToken", token)));
        }

        /** An event as the stream's options want it. */
        Document shown(Document event) {
            Document d = event.cloneDeeply();
            String of = (String) d.remove("scope");
            Object pre = d.remove("pre"), post = d.remove("post"), full = options.getOrDefault("fullDocument", "default"), before = options.getOrDefault("fullDocumentBeforeChange", "off");
            String type = (String) d.get("operationType");
            if (type.equals("insert") || type.equals("replace")) {
                d.append("fullDocument", post);
            } else if (type.equals("update") && !full.equals("default")) {
                d.append("fullDocument", full.equals("updateLookup") ? changes.find(of, ((Document) d.get("documentKey")).get("_id")) : post);
            }
            if (!before.equals("off") && pre != null) {
                d.append("fullDocumentBeforeChange", pre);
            }
            return d;
        }
    }
}
