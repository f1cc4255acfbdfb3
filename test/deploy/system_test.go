package deploy

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/deploy"
	"github.com/ecupcakes/ecupcakes/internal/testkit/java"
	"github.com/ecupcakes/ecupcakes/internal/testkit/mongo"
	"github.com/ecupcakes/ecupcakes/internal/testkit/realconnect"
	"github.com/ecupcakes/ecupcakes/internal/testkit/realkafka"

	"github.com/compose-spec/compose-go/v2/types"
	"go.mongodb.org/mongo-driver/v2/bson"
)

const deadline = 2 * time.Minute

// system is docker-compose.yml with a process for each container, all on the
// loopback: a container's address, such as kafka:9092, becomes one of this
// machine. Commands, settings, configuration files and the sequence of the start
// are those of the file; Grafana, which no package registry has, is left out, and
// so are places in a container's file system.
type system struct {
	t       *testing.T
	dir     string
	project *types.Project
	mongo   *mongo.Server
	at      map[string]string // "kafka:9092" to host:port here
}

// TestComposedSystem starts everything and uses it.
func TestComposedSystem(t *testing.T) {
	for _, needed := range []string{"java", "mvn", "prometheus", "prometheus-alertmanager"} {
		if _, err := exec.LookPath(needed); err != nil {
			t.Fatalf("run make setup first: %v", err)
		}
	}
	s := &system{t: t, dir: t.TempDir(), project: compose(t), at: map[string]string{}}
	started := map[string]bool{"grafana": true}
	for len(started) <= len(s.project.Services) {
		before := len(started)
		for _, name := range s.project.ServiceNames() {
			service := s.project.Services[name]
			ready := !slices.ContainsFunc(service.GetDependencies(), func(other string) bool { _, there := s.project.Services[other]; return there && !started[other] })
			if !started[name] && ready {
				s.start(service)
				started[name] = true
			}
		}
		if len(started) == before {
			break
		}
	}
	if len(started) != len(s.project.Services) {
		t.Fatalf("only these could be started: %v", started)
	}

	api := "http://" + s.address("api", "8080")
	placed := s.post(api+"/api/v1/order", `{"Order":{"Flavour":"Strawberry","Quantity":2,"Size":"L"}}`, http.StatusCreated)
	id := placed["correlationId"].(string)
	s.eventually("the line has the order", func() bool { return bytes.Contains(s.get(api+"/api/v1/order/"+id), []byte(`"state":"waiting"`)) })
	for _, step := range [][2]string{{"mix", "MixedBy"}, {"bake", "BakedBy"}, {"decorate", "DecoratedBy"}, {"box", "PackagedBy"}, {"ship", "ShippedBy"}} {
		s.post(api+"/api/v1/order/"+step[0], fmt.Sprintf(`{"Order":{"Id":%q,%q:"Ana"}}`, id, step[1]), http.StatusOK)
	}
	for _, collection := range []string{"orderrequests", "readytobake", "readytodecorate", "readytopackage", "readytoship"} {
		s.eventually("the order is in MongoDB's "+collection, func() bool {
			n, err := s.mongo.Database("ecupcakes").Collection(collection).CountDocuments(t.Context(), bson.M{"_id": id})
			return err == nil && n == 1
		})
	}
	if _, err := s.mongo.Database("inventory").Collection("ingredients").UpdateOne(t.Context(), bson.M{"_id": "strawberries"}, bson.M{"$set": bson.M{"stock": 0}}); err != nil {
		t.Fatal(err)
	}
	s.eventually("strawberries are sold out", func() bool {
		return regexp.MustCompile(`"name":"Strawberry"[^}]*"soldOut":true`).Match(s.get(api + "/api/v1/menu"))
	})

	prometheus := "http://" + s.address("prometheus", "9090")
	s.eventually("Prometheus scrapes everything", func() bool { return s.query(prometheus, `sum(up) == count(up)`) == "3" })
	s.eventually("a count of what was shipped", func() bool {
		return s.query(prometheus, `sum(max by (stage, outcome) (ecupcakes_stage_events_total{stage="shipping"})) > 0`) != ""
	})
	s.eventually("Prometheus has the rules, and somebody to tell", func() bool {
		return bytes.Contains(s.get(prometheus+"/api/v1/rules"), []byte("LineStalled")) &&
			bytes.Contains(s.get(prometheus+"/api/v1/alertmanagers"), []byte(`"activeAlertmanagers":[{"url":"http://`+s.address("alertmanager", "9093")))
	})
}

// start starts what a container would run, and returns when it is as healthy as
// those that depend on it require.
func (s *system) start(service types.ServiceConfig) {
	t := s.t
	t.Helper()
	dir := filepath.Join(s.dir, service.Name)
	if err := os.Mkdir(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), deadline)
	defer cancel()
	image, _, _ := strings.Cut(service.Image, ":")
	switch image {
	case "apache/kafka":
		cluster, err := realkafka.Start(ctx, dir, 1, serverProperties(service.Environment)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(cluster.Kill)
		s.at[service.Name+":9092"] = cluster.Brokers()
	case "mongo":
		if service.Restart == types.RestartPolicyOnFailure { // mongosh, which is in no package.
			var ingredients []any
			if err := bson.UnmarshalExtJSON(append([]byte(`{"all":`), append(deploy.Ingredients, '}')...), false, &struct{ All *[]any }{&ingredients}); err != nil {
				t.Fatal(err)
			}
			if _, err := s.mongo.Database("inventory").Collection("ingredients").InsertMany(ctx, ingredients); err != nil {
				t.Fatal(err)
			}
			return
		}
		server, err := mongo.Start(ctx, dir, "inventory")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(server.Kill)
		uri, err := url.Parse(server.URI)
		if err != nil {
			t.Fatal(err)
		}
		s.mongo, s.at["mongo:27017"] = server, uri.Host
	case "ecupcakes-connect":
		properties := read(t, "deploy/connect/worker.properties")
		worker, err := realconnect.Start(ctx, dir, properties, s.environment(service)...)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(worker.Kill)
		s.at["connect:8083"] = strings.TrimPrefix(worker.URL, "http://")
	case "ecupcakes":
		cmd := exec.Command(program(t), s.local(service.Name, service.Command)...)
		cmd.Env = append(os.Environ(), s.environment(service)...)
		s.run(service, cmd, "/readyz")
	case "prom/prometheus":
		s.run(service, exec.Command("prometheus", append(s.configured(service, "deploy/prometheus/", dir), "--web.listen-address="+s.address(service.Name, "9090"))...), "/-/ready")
	case "prom/alertmanager":
		s.run(service, exec.Command("prometheus-alertmanager", append(s.configured(service, "deploy/alertmanager/", dir), "--web.listen-address="+s.address(service.Name, "9093"), "--cluster.listen-address=")...), "/-/ready")
	default:
		t.Fatalf("%s: nobody here knows how to run %s", service.Name, service.Image)
	}
}

// run runs a process: to its good end, or until the end of the test, and then it
// returns when it is ready.
func (s *system) run(service types.ServiceConfig, cmd *exec.Cmd, ready string) {
	t := s.t
	t.Helper()
	var said output
	cmd.Stdout, cmd.Stderr = &said, &said
	if service.Restart == types.RestartPolicyOnFailure {
		if err := cmd.Run(); err != nil {
			t.Fatalf("%s: %v\n%s", service.Name, err, &said)
		}
		return
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	gone := make(chan struct{})
	go func() { defer close(gone); _ = cmd.Wait() }()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-gone
		if t.Failed() {
			t.Logf("%s said\n%s", service.Name, &said)
		}
	})
	if service.HealthCheck != nil && service.HealthCheck.Disable {
		return
	}
	for _, port := range []string{"8080", "9090", "9093"} {
		if at, there := s.at[service.Name+":"+port]; there {
			s.eventually(service.Name+" is ready", func() bool {
				answer, err := http.Get("http://" + at + ready)
				if err != nil {
					return false
				}
				_ = answer.Body.Close()
				return answer.StatusCode == http.StatusOK
			})
		}
	}
}

type output struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (o *output) Write(b []byte) (int, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.Write(b)
}

func (o *output) String() string {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.b.String()
}

// serverProperties does what Kafka's image does with its environment. What names
// a place is left to who runs it here.
func serverProperties(env types.MappingWithEquals) (lines []string) {
	for name, value := range env {
		property, is := strings.CutPrefix(name, "KAFKA_")
		switch property {
		case "LISTENERS", "ADVERTISED_LISTENERS", "CONTROLLER_QUORUM_VOTERS", "LOG_DIRS", "HEAP_OPTS":
			continue
		}
		if is {
			lines = append(lines, strings.ToLower(strings.ReplaceAll(property, "_", "."))+"="+*value)
		}
	}
	return lines
}

// address is where a container's port is on this machine.
func (s *system) address(service, port string) string {
	s.t.Helper()
	name := service + ":" + port
	if s.at[name] == "" {
		ports, err := java.Ports(1)
		if err != nil {
			s.t.Fatal(err)
		}
		s.at[name] = fmt.Sprintf("127.0.0.1:%d", ports[0])
	}
	return s.at[name]
}

var anywhere = regexp.MustCompile(`\b0\.0\.0\.0:(\d+)\b`)

// here rewrites what a container would be told.
func (s *system) here(service, text string) string {
	text = anywhere.ReplaceAllStringFunc(text, func(all string) string { return s.address(service, anywhere.FindStringSubmatch(all)[1]) })
	return address.ReplaceAllStringFunc(text, func(all string) string {
		m := address.FindStringSubmatch(all)
		if _, there := s.project.Services[m[1]]; !there {
			return all
		}
		return s.address(m[1], m[2])
	})
}

func (s *system) local(service string, texts []string) (local []string) {
	for _, text := range texts {
		local = append(local, s.here(service, text))
	}
	return local
}

func (s *system) environment(service types.ServiceConfig) (env []string) {
	for name, value := range service.Environment {
		env = append(env, name+"="+s.here(service.Name, *value))
	}
	return env
}

// configured is a command with its configuration and its data in dir.
func (s *system) configured(service types.ServiceConfig, files, dir string) (args []string) {
	s.t.Helper()
	entries, err := os.ReadDir(filepath.Join(root, files))
	if err != nil {
		s.t.Fatal(err)
	}
	for _, e := range entries {
		text := read(s.t, filepath.Join(files, e.Name()))
		text = strings.ReplaceAll(s.here(service.Name, text), "interval: 15s", "interval: 1s")
		if err := os.WriteFile(filepath.Join(dir, e.Name()), []byte(text), 0o600); err != nil {
			s.t.Fatal(err)
		}
	}
	for _, arg := range service.Command {
		flag, value, _ := strings.Cut(arg, "=")
		if strings.HasPrefix(value, "/") {
			value = filepath.Join(dir, filepath.Base(value))
		}
		args = append(args, flag+"="+value)
	}
	return args
}

func (s *system) eventually(what string, condition func() bool) {
	s.t.Helper()
	for end := time.Now().Add(deadline); !condition(); time.Sleep(50 * time.Millisecond) {
		if time.Now().After(end) {
			s.t.Fatalf("after %s it is still not so: %s", deadline, what)
		}
	}
}

func (s *system) get(url string) []byte {
	answer, err := http.Get(url)
	if err != nil {
		return nil
	}
	defer answer.Body.Close()
	body, _ := io.ReadAll(answer.Body)
	return body
}

func (s *system) post(url, body string, want int) (decoded map[string]any) {
	s.t.Helper()
	answer, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		s.t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != want {
		s.t.Fatalf("POST %s %s: %s %s %v", url, body, answer.Status, text, err)
	}
	if err := json.Unmarshal(text, &decoded); err != nil {
		s.t.Fatal(err)
	}
	return decoded
}

// query asks Prometheus for one value; empty means no value.
func (s *system) query(prometheus, query string) string {
	var answer struct {
		Data struct{ Result []struct{ Value [2]any } }
	}
	if err := json.Unmarshal(s.get(prometheus+"/api/v1/query?query="+url.QueryEscape(query)), &answer); err != nil || len(answer.Data.Result) != 1 {
		return ""
	}
	return fmt.Sprint(answer.Data.Result[0].Value[1])
}
