// Package realconnect runs a worker of Apache Kafka Connect for tests, with
// MongoDB's connector and Debezium's, as a Java process from Maven's jars.
//
// It imports nothing of eCupcakes, and no product code may import it.
package realconnect

import (
	"archive/zip"
	"context"
	_ "embed"
	"errors"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"

	"github.com/ecupcakes/ecupcakes/deploy"
	"github.com/ecupcakes/ecupcakes/internal/testkit/java"
)

//go:embed worker.xml
var workerPom []byte

// Worker is a running worker.
type Worker struct {
	java.Program
	URL string
}

// Start runs a distributed worker with its files below dir, and returns when it
// serves. Properties are those of the worker, as a file has them; only where it
// listens and its plugins are added. The environment has further variables,
// "NAME=value", that they may refer to.
func Start(ctx context.Context, dir, properties string, env ...string) (*Worker, error) {
	jars, err := java.Jars(ctx, "connect", workerPom)
	if err != nil {
		return nil, err
	}
	mongodb, err := java.Jars(ctx, "connect-mongodb", deploy.MongoDBPlugin)
	if err != nil {
		return nil, err
	}
	debezium, err := java.Jars(ctx, "connect-debezium", deploy.DebeziumPlugin)
	if err != nil {
		return nil, err
	}
	plugins := filepath.Join(dir, "plugins")
	if err := link(plugins, mongodb, debezium); err != nil {
		return nil, fmt.Errorf("laying out the plugins of Kafka Connect: %w", err)
	}
	ports, err := java.Ports(1)
	if err != nil {
		return nil, err
	}
	address := fmt.Sprintf("127.0.0.1:%d", ports[0])
	files := map[string]string{
		"worker.properties": properties + fmt.Sprintf("\nlisteners=http://%s\nplugin.path=%s\nplugin.discovery=service_load\n", address, plugins),
		"log4j2.properties": strings.Join([]string{
			"status = error",
			"appender.c.type = Console",
			"appender.c.name = C",
			"appender.c.layout.type = PatternLayout",
			"appender.c.layout.pattern = [%d] %p %m (%c)%n",
			"rootLogger.level = INFO",
			"logger.rest.name = org.apache.kafka.connect.runtime.rest.RestServer", // It would write down each request.
			"logger.rest.level = WARN",
			"logger.config.name = org.apache.kafka.common.config", // And each of its hundreds of settings, many times.
			"logger.config.level = WARN",
			"rootLogger.appenderRef.c.ref = C",
		}, "\n"),
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			return nil, err
		}
	}
	w := &Worker{URL: "http://" + address}
	w.Program = java.Program{
		Name: "Kafka Connect", Log: filepath.Join(dir, "worker.log"), Env: env,
		Args: []string{
			"-Xmx384m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dlog4j2.configurationFile=" + filepath.Join(dir, "log4j2.properties"),
			"-cp", filepath.Join(jars, "*"), "org.apache.kafka.connect.cli.ConnectDistributed", filepath.Join(dir, "worker.properties"),
		},
		Up: w.up,
	}
	return w, w.Start(ctx)
}

func (w *Worker) up(ctx context.Context) error {
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, w.URL+"/connectors", nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return err
	}
	_ = answer.Body.Close()
	if answer.StatusCode != http.StatusOK {
		return errors.New(answer.Status)
	}
	return nil
}

// link makes a plugin directory with each of these under its name. MongoDB's
// connector has no manifest for Java's ServiceLoader, without which the worker
// would scan all classes, for up to half a minute on a busy machine.
func link(plugins string, of ...string) error {
	if err := os.MkdirAll(plugins, 0o700); err != nil {
		return err
	}
	for _, dir := range of {
		if err := os.Symlink(dir, filepath.Join(plugins, filepath.Base(dir))); err != nil {
			return err
		}
	}
	manifests := filepath.Join(of[0], "manifests.jar")
	if _, err := os.Stat(manifests); err == nil {
		return nil
	}
	file, err := os.CreateTemp(of[0], "manifests")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	z := zip.NewWriter(file)
	var errs []error
	for service, class := range map[string]string{
		"org.apache.kafka.connect.sink.SinkConnector":     "com.mongodb.kafka.connect.MongoSinkConnector",
		"org.apache.kafka.connect.source.SourceConnector": "com.mongodb.kafka.connect.MongoSourceConnector",
	} {
		w, err := z.Create("META-INF/services/" + service)
		if err == nil {
			_, err = fmt.Fprintln(w, class)
		}
		errs = append(errs, err)
	}
	if err := errors.Join(append(errs, z.Close(), file.Close())...); err != nil {
		return err
	}
	return os.Rename(file.Name(), manifests)
}
