package hub

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"
)

// Methods get the person in front of the screen. They run concurrently up to a bound, and their
// context ends with the connection.
func TestMethodsRunConcurrentlyUpToABound(t *testing.T) {
	hold, ended := make(chan struct{}), make(chan struct{}, 10)
	_, server := open(t, newKitchen(), Options{Methods: map[string]Method{
		"Claim": func(_ context.Context, by Caller, arguments []json.RawMessage) (json.RawMessage, error) {
			return json.Marshal([]any{by.Topic, by.Person, arguments})
		},
		"Fail": func(context.Context, Caller, []json.RawMessage) (json.RawMessage, error) {
			return nil, errors.New("Ana is on it.")
		},
		"Wait": func(ctx context.Context, _ Caller, _ []json.RawMessage) (json.RawMessage, error) {
			defer func() { ended <- struct{}{} }()
			select {
			case <-hold:
				return json.RawMessage("true"), nil
			case <-ctx.Done():
				return nil, ctx.Err()
			}
		},
	}})
	p := dial(t, server, "?topic=mix&person=Ben")
	call := func(invocation, target string) {
		p.send(`{"type":1,"invocationId":"` + invocation + `","target":"` + target + "\",\"arguments\":[1]}\x1e")
	}
	want := func(want string) {
		t.Helper()
		if r, _ := p.next(); r.raw != want {
			t.Errorf("got %s, want %s", r.raw, want)
		}
	}
	p.send(greeting)
	want(`{}`)
	p.synced()
	call("1", "claim")
	want(`{"type":3,"invocationId":"1","result":["mix","Ben",[1]]}`)
	call("2", "FAIL")
	want(`{"type":3,"invocationId":"2","error":"Ana is on it."}`)
	call("3", "Cook")
	want(`{"type":3,"invocationId":"3","error":"Unknown hub method \"Cook\"."}`)
	p.send("{\"type\":1,\"target\":\"Fail\",\"arguments\":[]}\x1e") // It wants no answer.
	call("4", "claim")
	want(`{"type":3,"invocationId":"4","result":["mix","Ben",[1]]}`)
	for range maxCalls {
		call("5", "Wait")
	}
	call("6", "claim")
	if r, _ := p.next(); r.InvocationID != "6" || !strings.Contains(r.Error, "at a time") {
		t.Errorf("got %s", r.raw)
	}
	hold <- struct{}{}
	want(`{"type":3,"invocationId":"5","result":true}`)
	<-ended
	_ = p.conn.Close()
	for range maxCalls - 1 {
		<-ended
	}
}

// Screens are told when they begin to be behind, at intervals while they are, and when they no
// longer are. A screen that connects meanwhile is told before it gets anything else.
func TestFreshnessIsReportedOnChange(t *testing.T) {
	var now atomic.Pointer[Freshness]
	now.Store(&Freshness{})
	h, err := New(newKitchen(), line, nil, Options{Freshness: func(topic string) Freshness {
		if topic != "mix" {
			return Freshness{}
		}
		return *now.Load()
	}})
	if err != nil {
		t.Fatal(err)
	}
	told := func(c *client) string { return string(c.writer.appendFreshness(nil)) }
	record := func(argument string) string {
		return `{"type":1,"target":"InformFreshness","arguments":[` + argument + "]}\x1e"
	}
	come := func(topic string) *client {
		c := newClient(h, topic)
		h.add(c)
		return c
	}
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() { defer close(done); h.freshen(ctx) }()
		steps := []struct {
			is         Freshness
			early, new string // What a screen hears that was there from the start, and one that has just come.
		}{
			{Freshness{}, "", ""},
			{Freshness{7 * time.Second, "broker", ""}, record(`{"behind":7,"because":"broker","stage":""}`), record(`{"behind":7,"because":"broker","stage":""}`)},
			{Freshness{8 * time.Second, "broker", ""}, "", record(`{"behind":7,"because":"broker","stage":""}`)},
			{Freshness{9 * time.Second, "processors", "mixing"}, record(`{"behind":9,"because":"processors","stage":"mixing"}`), record(`{"behind":9,"because":"processors","stage":"mixing"}`)},
			{Freshness{}, record(`{"behind":0,"because":"","stage":""}`), ""},
			{Freshness{}, "", ""},
		}
		early, other := come("mix"), come("bake")
		for i, s := range steps {
			now.Store(&s.is)
			time.Sleep(freshnessEvery + time.Millisecond)
			synctest.Wait()
			if got := told(early); got != s.early {
				t.Errorf("step %d: told %q, want %q", i, got, s.early)
			}
			if got := told(come("mix")); got != s.new {
				t.Errorf("step %d: a new one is told %q, want %q", i, got, s.new)
			}
		}
		now.Store(&Freshness{time.Minute, "view", "mixing"})
		told(early)
		heard := 0
		for range 20 {
			time.Sleep(freshnessEvery)
			synctest.Wait()
			if told(early) != "" {
				heard++
			}
		}
		if heard != int(20*freshnessEvery/repeatEvery) {
			t.Errorf("heard %d times in 20 s that it is behind", heard)
		}
		if got := told(other); got != "" {
			t.Errorf("the other station is told %q", got)
		}
		cancel()
		<-done
	})
}
