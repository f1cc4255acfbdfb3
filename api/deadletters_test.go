package api_test

import (
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/api"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/ops/deadletters"
	"github.com/ecupcakes/ecupcakes/order"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

type (
	letters struct {
		DeadLetters []api.DeadLetter `json:"deadLetters"`
		Count       int              `json:"count"`
		Next        string           `json:"next"`
	}
	resolved struct {
		DeadLetter api.DeadLetter `json:"deadLetter"`
		Before     bool           `json:"before"`
	}
)

const trace = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"

// desk is an API with an embedded broker and nobody else.
type desk struct {
	url    string // Of the dead letters.
	kafka  kafka.Config
	client *kgo.Client
}

func openDesk(t *testing.T) *desk {
	t.Helper()
	config, _ := startKafka(t)
	client, err := config.NewClient(kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &desk{serveLetters(t, config, deadline), config, client}
}

// serveLetters serves the dead letters of a Kafka and returns their address.
func serveLetters(t *testing.T, kafka kafka.Config, patience time.Duration) string {
	t.Helper()
	l, err := deadletters.Open(kafka, line)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(l.Close)
	server := httptest.NewServer(api.New(api.Config{
		Line: line, Menu: order.DefaultMenu, Letters: l, Patience: patience, Registry: prometheus.NewRegistry(), Log: quiet,
	}))
	t.Cleanup(server.Close)
	return server.URL + "/api/v1/deadletters"
}

// putAway writes a dead letter as a stage does and returns its id; headers are
// pairs of name and value.
func (d *desk) putAway(t *testing.T, value string, headers ...string) string {
	t.Helper()
	r := &kgo.Record{Topic: line.DeadLetters, Partition: 1, Key: []byte("o1"), Value: []byte(value)}
	for i := 0; i < len(headers); i += 2 {
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: headers[i], Value: []byte(headers[i+1])})
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := d.client.ProduceSync(ctx, r).FirstErr(); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("1-%d", r.Offset)
}

func (d *desk) list(t *testing.T, query string) letters {
	t.Helper()
	return decode[letters](t, call(t, 200, "GET", d.url+query, ""))
}

func ids(page letters) (ids []string) {
	for _, l := range page.DeadLetters {
		ids = append(ids, l.ID)
	}
	return ids
}

func TestDeadLetters(t *testing.T) {
	d := openDesk(t)
	for name, test := range map[string]func(*testing.T, *desk){
		"what they tell": testLetterFields, "pages": testLetterPages, "requeueing": testRequeueing, "dropping": testDropping,
		"what cannot be requeued": testStuck, "bad requests": testBadLetterRequests,
	} {
		t.Run(name, func(t *testing.T) { test(t, d) })
	}
}

func testLetterFields(t *testing.T, d *desk) {
	for value, want := range map[string][2]string{
		"rubbish <ü>": {"rubbish <ü>", "text"}, "": {"", "text"}, "\xff{": {base64.StdEncoding.EncodeToString([]byte("\xff{")), "base64"},
	} {
		id := d.putAway(t, value, "reason", "it is bad", "stage", "mixing", "topic", "orderrequests", "partition", "1", "offset", "17", "traceparent", trace)
		l := decode[api.DeadLetter](t, call(t, 200, "GET", d.url+"/"+id, ""))
		if l.Value == nil || [2]string{*l.Value, l.Encoding} != want {
			t.Errorf("%q is shown as %+v", value, l)
		}
		page := d.list(t, "?limit=1")
		listed := page.DeadLetters[0]
		if listed.Value != nil || listed.Encoding != "" {
			t.Errorf("a list has the value: %+v", listed)
		}
		l.Value, l.Encoding = nil, ""
		want := api.DeadLetter{
			ID: id, Time: l.Time, Stage: "mixing", Reason: "it is bad", Topic: "orderrequests", Partition: 1, Offset: 17, Key: "o1", Size: len(value), Trace: trace,
		}
		if l != want || listed != want || time.Since(l.Time).Abs() > deadline {
			t.Errorf("%+v, listed as %+v, want %+v", l, listed, want)
		}
	}
	id := d.putAway(t, "{", "stage", "baking", "truncated", "300000")
	if l := d.list(t, "?stage=baking&limit=1").DeadLetters[0]; l.ID != id || !l.Truncated || l.Size != 300_000 {
		t.Errorf("a truncated one is listed as %+v", l)
	}
}

func testLetterPages(t *testing.T, d *desk) {
	var all []string
	for range 5 {
		all = append(all, d.putAway(t, "bad", "stage", "shipping"))
	}
	call(t, 200, "POST", d.url+"/"+all[2]+"/drop", "")
	left := slices.Delete(slices.Clone(all), 2, 3)
	query, count := "?stage=shipping&limit=3", 0
	var got []string
	for page := d.list(t, query); ; page = d.list(t, query+"&cursor="+page.Next) {
		if page.Count != 4 || len(page.DeadLetters) > 3 {
			t.Fatalf("a page is %+v", page)
		}
		got = append(ids(page), got...)
		if count++; page.Next == "" {
			break
		}
	}
	if count != 2 || !slices.Equal(got, left) {
		t.Errorf("%d pages have %q, want %q", count, got, left)
	}
	if page := d.list(t, "?stage=shipping&all=true"); page.Count != 5 || !slices.Equal(ids(page), all) || page.DeadLetters[2].Resolved != "dropped" || page.DeadLetters[2].By != "manager" || page.Next != "" {
		t.Errorf("all are %+v", page)
	}
	if none := string(call(t, 200, "GET", d.url+"?stage=packaging", "").body); strings.TrimSpace(none) != `{"deadLetters":[],"count":0}` {
		t.Errorf("none are %s", none)
	}

	for range 600 {
		d.client.Produce(t.Context(), &kgo.Record{Topic: line.DeadLetters, Headers: []kgo.RecordHeader{{Key: "stage", Value: []byte("decorating")}}}, nil)
	}
	if err := d.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	for query, want := range map[string]int{"": 100, "&limit=500": 500} {
		if page := d.list(t, "?stage=decorating"+query); len(page.DeadLetters) != want || page.Count != 600 || page.Next == "" {
			t.Errorf("%s: %d of %d, next %q", query, len(page.DeadLetters), page.Count, page.Next)
		}
	}
}

func testRequeueing(t *testing.T, d *desk) {
	id := d.putAway(t, "bad", "stage", "mixing", "topic", "orderrequests", "traceparent", trace)
	for i, body := range []string{`{"by":" Eva "}`, `{"By":"Max","more":1}`, "", "{}"} {
		r := decode[resolved](t, call(t, 200, "POST", d.url+"/"+id+"/requeue", body))
		if r.Before != (i > 0) || r.DeadLetter.ID != id || r.DeadLetter.Resolved != "requeued" || r.DeadLetter.By != "Eva" {
			t.Errorf("call %d: %+v", i, r)
		}
	}
	if p := wantProblem(t, 409, "already-done", "POST", d.url+"/"+id+"/drop", ""); !strings.Contains(p.Detail, "Eva") {
		t.Errorf("dropped after it was requeued: %+v", p)
	}
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	d.client.AddConsumeTopics("orderrequests")
	fetches := d.client.PollFetches(ctx)
	if sent := fetches.Records(); len(sent) != 1 || string(sent[0].Key) != "o1" || string(sent[0].Value) != "bad" || string(sent[0].Headers[0].Value) != trace {
		t.Errorf("sent: %+v, %v", sent, fetches.Err())
	}
}

func testDropping(t *testing.T, d *desk) {
	id := d.putAway(t, "bad", "stage", "mixing", "topic", "orderrequests")
	for i := range 2 {
		if r := decode[resolved](t, call(t, 200, "POST", d.url+"/"+id+"/drop", `{"by":"Eva"}`)); r.Before != (i > 0) || r.DeadLetter.Resolved != "dropped" || r.DeadLetter.By != "Eva" {
			t.Errorf("call %d: %+v", i, r)
		}
	}
	if p := wantProblem(t, 409, "already-done", "POST", d.url+"/"+id+"/requeue", ""); !strings.Contains(p.Detail, "Eva") {
		t.Errorf("requeued after it was dropped: %+v", p)
	}
}

func testStuck(t *testing.T, d *desk) {
	for name, headers := range map[string][]string{
		"from elsewhere":      {"topic", "somewhere-else"},
		"from nowhere":        {},
		"its message is gone": {"topic", "readytobake", "partition", "0", "offset", "99", "truncated", "300000"},
	} {
		id := d.putAway(t, "bad", headers...)
		if p := wantProblem(t, 409, "cannot-requeue", "POST", d.url+"/"+id+"/requeue", ""); !strings.Contains(p.Detail, "drop it") {
			t.Errorf("%s: %+v", name, p)
		}
		call(t, 200, "POST", d.url+"/"+id+"/drop", "")
	}
}

func testBadLetterRequests(t *testing.T, d *desk) {
	id := d.putAway(t, "bad", "stage", "mixing", "topic", "orderrequests")
	cursor := base64.RawURLEncoding.EncodeToString([]byte("1 an-order"))
	for _, c := range []struct {
		status                   int
		kind, method, path, body string
	}{
		{404, "unknown-dead-letter", "GET", "/1-99999", ""},
		{404, "unknown-dead-letter", "GET", "/9-0", ""},
		{404, "unknown-dead-letter", "GET", "/rubbish", ""},
		{404, "unknown-dead-letter", "GET", "/-1-0", ""},
		{404, "unknown-dead-letter", "POST", "/1-99999/requeue", ""},
		{404, "unknown-dead-letter", "POST", "/rubbish/requeue", "{}"},
		{404, "unknown-dead-letter", "POST", "/1-99999/drop", ""},
		{404, "not-found", "POST", "/" + id + "/burn", ""},
		{405, "method-not-allowed", "DELETE", "/" + id, ""},
		{405, "method-not-allowed", "GET", "/" + id + "/drop", ""},
		{400, "malformed", "POST", "/" + id + "/requeue", "{"},
		{413, "too-large", "POST", "/" + id + "/drop", `{"by":"` + strings.Repeat("x", 70_000) + `"}`},
		{422, "invalid", "POST", "/" + id + "/requeue", `{"by":"` + strings.Repeat("x", 65) + `"}`},
		{422, "invalid", "POST", "/" + id + "/requeue", `[]`},
		{422, "invalid", "GET", "/" + strings.Repeat("1", 65), ""},
		{422, "invalid", "GET", "?limit=0", ""},
		{422, "invalid", "GET", "?limit=501", ""},
		{422, "invalid", "GET", "?cursor=x", ""},
		{422, "invalid", "GET", "?cursor=" + cursor, ""},
		{422, "unknown-stage", "GET", "?stage=none", ""},
	} {
		t.Run(fmt.Sprintf("%d %s %.30s %.20s", c.status, c.method, c.path, c.body), func(t *testing.T) {
			wantProblem(t, c.status, c.kind, c.method, d.url+c.path, c.body)
		})
	}
	wantProblem(t, 403, "cross-origin", "POST", d.url+"/"+id+"/drop", "", "Origin", "https://elsewhere.example")
	if l := decode[api.DeadLetter](t, call(t, 200, "GET", d.url+"/"+id, "")); l.Resolved != "" {
		t.Errorf("a bad request has done something: %+v", l)
	}
}

// Who has little patience gets there with several tries: each continues where the last one ended.
func TestDeadLettersAreReadOn(t *testing.T) {
	const (
		many     = 80_000
		patience = time.Second // For a few tries on a machine that is free, and something read in each on one that is not.
	)
	d := openDesk(t)
	for range many {
		d.client.Produce(t.Context(), &kgo.Record{Topic: line.DeadLetters, Value: make([]byte, 1<<10)}, nil)
	}
	if err := d.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	impatient, tries := serveLetters(t, d.kafka, patience), 0
	eventually(t, "all are read", func() bool {
		tries++
		r, err := http.Get(impatient)
		if err != nil {
			t.Fatal(err)
		}
		defer r.Body.Close()
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Fatal(err)
		}
		if r.StatusCode == 503 && (r.Header.Get("Retry-After") == "" || !strings.Contains(string(body), "not-ready") && !strings.Contains(string(body), "broker-unavailable")) {
			t.Errorf("%v %s", r.Header, body)
		}
		return r.StatusCode == 200 && strings.Contains(string(body), `"leftOut":true`)
	})
	t.Logf("%d tries", tries)
}

// Without an answer of the broker each request ends in time.
func TestDeadLettersWithoutBroker(t *testing.T) {
	url := serveLetters(t, silent(t), impatience)
	for _, request := range [][2]string{{"GET", ""}, {"GET", "/1-0"}, {"POST", "/1-0/requeue"}, {"POST", "/1-0/drop"}} {
		start := time.Now()
		wantProblem(t, 503, "broker-unavailable", request[0], url+request[1], "")
		if took := time.Since(start); took > 10*impatience {
			t.Errorf("%q took %s", request, took)
		}
	}
}

// Many requests cost no more than few: one is served, some wait until their time
// is over, the rest are refused at once.
func TestTooManyDeadLetters(t *testing.T) {
	const most = 16
	url := serveLetters(t, silent(t), 2*time.Second)
	refused := make(chan bool, 2*most)
	start := time.Now()
	for range cap(refused) {
		go func() {
			r, err := http.Get(url)
			if err != nil {
				t.Error(err)
				refused <- false
				return
			}
			body, err := io.ReadAll(r.Body)
			r.Body.Close()
			if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" || err != nil {
				t.Errorf("%s %v, %v", r.Status, r.Header, err)
			}
			refused <- strings.Contains(string(body), "too-many-at-once") && time.Since(start) < time.Second
		}()
	}
	count := 0
	for range cap(refused) {
		if <-refused {
			count++
		}
	}
	if count != most {
		t.Errorf("%d of %d are refused at once, want %d", count, cap(refused), most)
	}
}

// silent is a broker that takes connections and never answers.
func silent(t *testing.T) kafka.Config {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = l.Close() })
	go func() {
		var held []net.Conn // A connection that nobody holds is closed at some time.
		defer func() {
			for _, c := range held {
				_ = c.Close()
			}
		}()
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			held = append(held, c)
		}
	}()
	return kafka.Config{Brokers: []string{l.Addr().String()}}
}
