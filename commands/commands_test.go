package commands

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/ecupcakes/ecupcakes/codecs"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/views"
)

var quiet = slog.New(slog.DiscardHandler)

// sent is a message that a command has sent.
type sent struct {
	topic, key string
	value      any // *order.Order or *order.Report
}

// record returns a Send that keeps what is sent.
func record(all *[]sent) Send {
	return func(_ context.Context, topic, key string, value []byte) error {
		var v any
		if strings.HasSuffix(topic, "-reports") {
			v, _ = codecs.Report{}.Decode(value)
		} else {
			v, _ = codecs.Order{}.Decode(value)
		}
		*all = append(*all, sent{topic, key, v})
		return nil
	}
}

func wantCode(t *testing.T, err error, want Code) *Error {
	t.Helper()
	var e *Error
	if !errors.As(err, &e) || e.Code != want {
		t.Fatalf("the error is %v, want the code %s", err, want)
	}
	return e
}

func TestPlaceSendsOneOrder(t *testing.T) {
	var all []sent
	c := New(Config{Line: line, Menu: order.DefaultMenu, Views: views.New(line, quiet), Send: record(&all), Log: quiet})
	out, err := c.Place(t.Context(), Place{Flavour: "strawberry", Size: "m", Quantity: 2})
	if err != nil || out.Pending {
		t.Fatal(out, err)
	}
	if len(all) != 1 || all[0].topic != line.Stages[0].Input || all[0].key != out.Order.ID {
		t.Fatalf("sent %+v", all)
	}
	o, ok := all[0].value.(*order.Order)
	if !ok || o.Flavour != "Strawberry" || o.Size != "M" || o.Quantity != 2 || o.Status != order.StatusPlaced {
		t.Errorf("sent %+v", all[0].value)
	}
}

type shortage map[string][]string

func (s shortage) Missing(flavour string) []string { return s[flavour] }

func TestPlaceRefuses(t *testing.T) {
	var all []sent
	c := New(Config{
		Line: line, Menu: order.DefaultMenu, Views: views.New(line, quiet), Send: record(&all), Log: quiet,
		Stock: shortage{"Coffee": {"milk", "eggs"}},
	})
	_, err := c.Place(t.Context(), Place{Flavour: "Soap", Size: "XXL", Quantity: 0})
	if e := wantCode(t, err, Invalid); len(e.Fields) != 3 || e.Fields[0].Field != "Order.Flavour" {
		t.Errorf("the fields are %+v", e.Fields)
	}
	_, err = c.Place(t.Context(), Place{Flavour: "Coffee", Size: "M", Quantity: 1})
	if e := wantCode(t, err, SoldOut); !strings.Contains(e.Message, "there is no milk, no eggs") {
		t.Error(e.Message)
	}
	// With a key the views have to say whether the order is there already.
	_, err = c.Place(t.Context(), Place{Key: "k", Flavour: "Strawberry", Size: "M", Quantity: 1})
	if e := wantCode(t, err, NotReady); e.RetryAfter == 0 {
		t.Error("no time to try again")
	}
	if len(all) > 0 {
		t.Errorf("refused commands sent %+v", all)
	}
}

func TestReportsNeedNames(t *testing.T) {
	c := New(Config{Line: line, Views: views.New(line, quiet), Log: quiet})
	for name, err := range map[string]error{
		"Reason": second(c.Reject(t.Context(), Reject{OrderID: "o1"})),
		"By":     second(c.Claim(t.Context(), Hold{OrderID: "o1"})),
	} {
		if e := wantCode(t, err, Invalid); len(e.Fields) != 1 || e.Fields[0].Field != name {
			t.Errorf("%s: %+v", name, e.Fields)
		}
	}
	wantCode(t, second(c.Release(t.Context(), Hold{OrderID: "o1", By: "Ana"})), NotReady)
	wantCode(t, second(c.Finish(t.Context(), Finish{OrderID: "o1"})), NotReady)
	wantCode(t, second(c.Remake(t.Context(), Remake{OrderID: "o1", By: "Ana"})), NotReady)
}

func second(_ Outcome, err error) error { return err }

// A broker that does not answer is waited for as long as Patience, and the error
// says that the event may still arrive.
func TestUnacknowledgedCommand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := New(Config{
			Line: line, Menu: order.DefaultMenu, Views: views.New(line, quiet), Log: quiet, Patience: 3 * time.Second,
			Send: func(ctx context.Context, _, _ string, _ []byte) error { <-ctx.Done(); return ctx.Err() },
		})
		began := time.Now()
		_, err := c.Place(t.Context(), Place{Flavour: "Coffee", Size: "M", Quantity: 1})
		e := wantCode(t, err, BrokerUnavailable)
		if waited := time.Since(began); waited != 3*time.Second || e.RetryAfter == 0 || !strings.Contains(e.Message, "may still be carried out") {
			t.Errorf("after %s: %+v", waited, e)
		}
	})
}

func TestTooManyCommandsAtOnce(t *testing.T) {
	release, busy := make(chan struct{}), make(chan struct{})
	c := New(Config{
		Line: line, Menu: order.DefaultMenu, Views: views.New(line, quiet), Log: quiet, Patience: time.Minute,
		Send: func(context.Context, string, string, []byte) error { busy <- struct{}{}; <-release; return nil },
	})
	place := func() error { return second(c.Place(t.Context(), Place{Flavour: "Coffee", Size: "M", Quantity: 1})) }
	errs := make(chan error)
	for range maxRunning {
		go func() { errs <- place() }()
	}
	for range maxRunning {
		<-busy
	}
	wantCode(t, place(), TooManyAtOnce)
	wantCode(t, second(c.Finish(t.Context(), Finish{OrderID: "o1"})), TooManyAtOnce)
	close(release)
	for range maxRunning {
		if err := <-errs; err != nil {
			t.Fatal(err)
		}
	}
}
