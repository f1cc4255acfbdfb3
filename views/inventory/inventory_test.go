package inventory

import (
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"slices"
	"testing"

	"github.com/ecupcakes/ecupcakes/deploy"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/internal/testkit"
	"github.com/ecupcakes/ecupcakes/internal/testkit/testbroker"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/topology"

	"github.com/twmb/franz-go/pkg/kgo"
)

var menu = order.Menu{
	Flavours:    []string{"Chocolate", "Vanilla", "Air"},
	Ingredients: map[string][]string{"Chocolate": {"flour", "cocoa"}, "Vanilla": {"flour", "vanilla"}},
}

func key(id string) string { return fmt.Sprintf(`{"id":%q}`, fmt.Sprintf("%q", id)) }

func change(op, after string) []byte {
	b, _ := json.Marshal(map[string]any{"op": op, "after": after, "before": nil, "ts_ms": 1})
	return b
}

func TestRanOutDecodesChangesOfDebezium(t *testing.T) {
	for value, want := range map[string]struct{ out, ok, fails bool }{
		string(change("c", `{"_id":"flour","stock":5}`)):                     {false, true, false},
		string(change("u", `{"_id":"flour","stock":0}`)):                     {true, true, false},
		string(change("r", `{"_id":"flour","stock":-1.5}`)):                  {true, true, false},
		string(change("u", `{"stock":{"$numberLong":"0"}}`)):                 {true, true, false},
		string(change("u", `{"stock":{"$numberInt":"7"}}`)):                  {false, true, false},
		string(change("u", `{"stock":{"$numberDecimal":"0.0"}}`)):            {true, true, false},
		string(change("u", `{"stock":{"$numberDouble":"0.1"}}`)):             {false, true, false},
		string(change("u", `{"_id":"flour"}`)):                               {false, true, false},
		string(change("u", `{"_id":"flour","stock":null}`)):                  {false, true, false},
		`{"op":"u","after":null,"updateDescription":{"updatedFields":"{}"}}`: {false, false, false}, // Deleted before Debezium looked it up.
		`{"op":"d","after":null,"before":null}`:                              {false, true, false},
		string(change("u", `{"stock":"many"}`)):                              {false, false, true},
		string(change("u", `{"stock":{"$numberLong":"x"}}`)):                 {false, false, true},
		string(change("u", `{`)):                                             {false, false, true},
		`nope`:                                                               {false, false, true},
		`{"op":"u","after":{"stock":0}}`:                                     {false, false, true},
	} {
		out, ok, err := ranOut([]byte(value))
		if out != want.out || ok != want.ok || (err != nil) != want.fails {
			t.Errorf("%s: %t, %t, %v; want %+v", value, out, ok, err, want)
		}
	}
	if out, ok, err := ranOut(nil); out || !ok || err != nil {
		t.Errorf("a tombstone: %t, %t, %v", out, ok, err)
	}
}

func TestIngredientDecodesKeysOfDebezium(t *testing.T) {
	for text, want := range map[string]string{key("flour"): "flour", `{"id":"{\"$oid\":\"5f\"}"}`: "", `{"id":5}`: "", `flour`: "", ``: "", `{}`: "", `null`: ""} {
		if got := ingredient(text); got != want {
			t.Errorf("%s is the key of %q, want %q", text, got, want)
		}
	}
}

// No change panics or adds an ingredient.
func FuzzApply(f *testing.F) {
	f.Add(key("flour"), change("u", `{"stock":0}`))
	f.Fuzz(func(t *testing.T, key string, value []byte) {
		s := New(menu, slog.New(slog.DiscardHandler))
		s.apply(1, key, value)
		s.recovered()
		if got := len(s.known); got != 3 {
			t.Errorf("%d ingredients are known", got)
		}
		_ = s.Missing("Chocolate")
	})
}

func TestMissingFollowsTheChanges(t *testing.T) {
	s := New(menu, slog.New(slog.DiscardHandler))
	missing := func(flavour string, want ...string) {
		t.Helper()
		if got := s.Missing(flavour); !slices.Equal(got, want) {
			t.Errorf("for %s there is no %v, want %v", flavour, got, want)
		}
	}
	s.apply(0, key("cocoa"), change("r", `{"stock":0}`))
	missing("Chocolate") // The topic has not been read to its end.
	before := s.Changed()
	s.recovered()
	<-before
	missing("Chocolate", "cocoa")
	missing("Vanilla")
	missing("Air")
	missing("Mud")
	s.apply(1, key("flour"), change("u", `{"stock":0}`))
	missing("Chocolate", "flour", "cocoa")
	missing("Vanilla", "flour")
	s.apply(3, key("cocoa"), change("u", `{"stock":9}`))
	s.apply(2, key("cocoa"), change("u", `{"stock":0}`)) // An old change, read again after a restart of the view.
	missing("Chocolate", "flour")
	s.apply(4, key("flour"), []byte(`nope`))
	s.apply(5, key("flour"), []byte(`{"op":"u","after":null}`))
	s.apply(6, key("salt"), change("u", `{"stock":0}`))
	missing("Vanilla", "flour")
	quiet := s.Changed()
	s.apply(7, key("vanilla"), change("u", `{"stock":1}`))
	select {
	case <-quiet:
		t.Error("Changed is closed although nothing has changed")
	default:
	}
	s.apply(8, key("flour"), []byte(`{"op":"d","after":null}`))
	missing("Vanilla")
	<-quiet
}

// The view follows the topic on an embedded broker.
func TestViewFollowsTheTopic(t *testing.T) {
	ctx := testkit.Context(t)
	config, _ := testbroker.StartLine(t, topology.Cupcakes, 1)
	client, err := config.NewClient()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	topic := topology.Cupcakes.Ingredients
	send := func(value []byte) {
		t.Helper()
		if err := client.ProduceSync(ctx, &kgo.Record{Topic: topic, Key: []byte(key("cocoa")), Value: value}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	send(change("r", `{"stock":0}`))
	s := New(menu, slog.New(slog.DiscardHandler))
	view, err := s.View(topic, config.Brokers, gokaplus.Options{})
	if err != nil {
		t.Fatal(err)
	}
	running, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- view.Run(running) }()
	defer func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	await := func(want ...string) {
		t.Helper()
		for {
			changed := s.Changed()
			if slices.Equal(s.Missing("Chocolate"), want) {
				return
			}
			select {
			case <-changed:
			case <-ctx.Done():
				t.Fatalf("there is no %v, want %v", s.Missing("Chocolate"), want)
			}
		}
	}
	await("cocoa")
	send(change("u", `{"stock":3}`))
	await()
	send(change("u", `{"stock":0}`))
	await("cocoa")
	send(nil)
	await()
}

// The seed data of the database has the ingredients of the menu, all in stock.
func TestSeedHasTheIngredientsOfTheMenu(t *testing.T) {
	var seed []struct {
		ID    string `json:"_id"`
		Stock float64
	}
	if err := json.Unmarshal(deploy.Ingredients, &seed); err != nil {
		t.Fatal(err)
	}
	s := New(order.DefaultMenu, slog.New(slog.DiscardHandler))
	if len(seed) != len(s.known) {
		t.Errorf("there are %d ingredients for a menu with %d", len(seed), len(s.known))
	}
	for _, i := range seed {
		if s.known[i.ID] == nil || i.Stock <= 0 {
			t.Errorf("%+v is not on the menu, or not in stock", i)
		}
	}
	for _, f := range order.DefaultMenu.Flavours {
		if len(order.DefaultMenu.Ingredients[f]) == 0 {
			t.Errorf("nothing is in %s", f)
		}
	}
}
