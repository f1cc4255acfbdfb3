package order

import (
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestValidID(t *testing.T) {
	for id, want := range map[string]bool{
		"a": true, "0": true, "-": true, "Z9-z": true, NewID(): true,
		strings.Repeat("x", MaxID): true, strings.Repeat("x", MaxID+1): false,
		"": false, " ": false, "a b": false, "a_b": false, "__offset": false, "a/b": false, "a.b": false,
		"é": false, "a\x00": false, "a\n": false, "\xff": false,
	} {
		if got := ValidID(id); got != want {
			t.Errorf("ValidID(%q) = %t", id, got)
		}
	}
}

func FuzzValidID(f *testing.F) {
	right := regexp.MustCompile(`^[0-9A-Za-z-]{1,64}\z`)
	for _, id := range []string{"", "a", "__offset", "ü", NewID(), strings.Repeat("9", 65), "a\n"} {
		f.Add(id)
	}
	f.Fuzz(func(t *testing.T, id string) {
		if got, want := ValidID(id), right.MatchString(id); got != want {
			t.Errorf("ValidID(%q) = %t", id, got)
		}
		if derived := DeriveID(id); !ValidID(derived) || derived != DeriveID(id) {
			t.Errorf("DeriveID(%q) = %q, then %q", id, derived, DeriveID(id))
		}
	})
}

// The derived ID must never change: a client may retry its command after an upgrade.
func TestDeriveID(t *testing.T) {
	for key, want := range map[string]string{
		"":              "e3b0c442-98fc-8c14-9afb-f4c8996fb924", // The SHA-256 of nothing begins with e3b0c44298fc1c14.
		"checkout-4711": "b73dad15-6fbc-87da-af06-2aa57236e40d",
	} {
		if got := DeriveID(key); got != want {
			t.Errorf("DeriveID(%q) = %s, want %s", key, got, want)
		}
	}
}

func TestNewIDsSortByCreation(t *testing.T) {
	ids := make([]string, 1000)
	for i := range ids {
		ids[i] = NewID()
	}
	if !slices.IsSorted(ids) || len(slices.Compact(ids)) != 1000 {
		t.Error("IDs created in sequence do not ascend")
	}
}

func TestMenuCheckNamesInvalidFields(t *testing.T) {
	menu := Menu{Flavours: []string{"Chocolate", "Vanilla"}, Sizes: []string{"S", "XL"}, MaxQuantity: 100}
	for _, c := range []struct {
		in   Order
		want Order // As the menu spells it.
		bad  []string
	}{
		{in: Order{Flavour: "Vanilla", Size: "S", Quantity: 1}, want: Order{Flavour: "Vanilla", Size: "S", Quantity: 1}},
		{in: Order{Flavour: "vANILLA", Size: "xl", Quantity: 100}, want: Order{Flavour: "Vanilla", Size: "XL", Quantity: 100}},
		{in: Order{Flavour: "Mud", Size: "s", Quantity: 2}, want: Order{Flavour: "Mud", Size: "S", Quantity: 2}, bad: []string{"Flavour"}},
		{in: Order{Flavour: " Vanilla", Size: "S", Quantity: 101}, want: Order{Flavour: " Vanilla", Size: "S", Quantity: 101}, bad: []string{"Flavour", "Quantity"}},
		{in: Order{Quantity: -1}, want: Order{Quantity: -1}, bad: []string{"Flavour", "Size", "Quantity"}},
	} {
		got := c.in
		errs := menu.Check(&got)
		var bad []string
		for _, e := range errs {
			bad = append(bad, e.Field)
			if want := map[string]any{"Flavour": c.in.Flavour, "Size": c.in.Size, "Quantity": c.in.Quantity}[e.Field]; e.Value != want {
				t.Errorf("the error about the %s of %+v has the value %v", e.Field, c.in, e.Value)
			}
			if e.Message == "" {
				t.Errorf("the error about the %s of %+v has no message", e.Field, c.in)
			}
		}
		if !slices.Equal(bad, c.bad) || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%+v: errors for %v, want %v; became %+v, want %+v", c.in, bad, c.bad, got, c.want)
		}
	}
}

func TestDefaultMenuOffersValidOrders(t *testing.T) {
	for _, flavour := range DefaultMenu.Flavours {
		for _, size := range DefaultMenu.Sizes {
			o := Order{ID: NewID(), Flavour: flavour, Size: size, Quantity: DefaultMenu.MaxQuantity}
			if errs := DefaultMenu.Check(&o); errs != nil || o.Validate() != nil {
				t.Errorf("%+v: %v, %v", o, errs, o.Validate())
			}
		}
	}
	if len(DefaultMenu.Flavours) == 0 || len(DefaultMenu.Sizes) == 0 {
		t.Errorf("the menu %+v offers nothing", DefaultMenu)
	}
}

// wide returns n characters of three bytes each: limits count characters.
func wide(n int) string { return strings.Repeat("€", n) }

func TestReportValidateLimits(t *testing.T) {
	good := Report{ID: "r1", OrderID: "o1", Kind: KindComplete, By: "Ann"}
	reject := Report{ID: "r1", OrderID: "o1", Kind: KindReject, By: "Ann", Reason: "burnt"}
	for _, c := range []struct {
		name   string
		from   Report
		change func(*Report)
		want   string // Part of the error; empty if no error is expected.
	}{
		{"completed", good, func(*Report) {}, ""},
		{"claimed", good, func(r *Report) { r.Kind = KindClaim }, ""},
		{"claimed with an expiry", good, func(r *Report) { r.Kind, r.Until = KindClaim, noon }, ""},
		{"released", good, func(r *Report) { r.Kind = KindRelease }, ""},
		{"released with an expiry", good, func(r *Report) { r.Kind, r.Until = KindRelease, noon }, "has no expiry"},
		{"expired", good, func(r *Report) { r.Kind = KindExpire }, ""},
		{"rejected", reject, func(*Report) {}, ""},
		{"longest", reject, func(r *Report) { r.By, r.Reason, r.Digest = wide(MaxName), wide(MaxReason), strings.Repeat("f", MaxID) }, ""},
		{"no id", good, func(r *Report) { r.ID = "" }, "report id"},
		{"reserved id", good, func(r *Report) { r.ID = "__offset" }, "report id"},
		{"no order id", good, func(r *Report) { r.OrderID = "" }, "order id"},
		{"reserved order id", good, func(r *Report) { r.OrderID = "__offset" }, "order id"},
		{"no kind", good, func(r *Report) { r.Kind = "" }, "kind"},
		{"other kind", good, func(r *Report) { r.Kind = "DONE" }, "kind"},
		{"no name", good, func(r *Report) { r.By = "" }, "name"},
		{"long name", good, func(r *Report) { r.By = wide(MaxName + 1) }, "name"},
		{"no reason", reject, func(r *Report) { r.Reason = "" }, "reason"},
		{"long reason", reject, func(r *Report) { r.Reason = wide(MaxReason + 1) }, "reason"},
		{"completed with a reason", good, func(r *Report) { r.Reason = "fun" }, "reason"},
		{"long digest", good, func(r *Report) { r.Digest = strings.Repeat("f", MaxID+1) }, "digest"},
	} {
		r := c.from
		c.change(&r)
		checkError(t, c.name, r.Validate(), c.want)
	}
}

func TestOrderValidateLimits(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*Order)
		want   string
	}{
		{"valid", func(*Order) {}, ""},
		{"just placed", func(o *Order) { o.Status, o.History = StatusPlaced, nil }, ""},
		{"largest", func(o *Order) {
			o.ID, o.Flavour, o.Size, o.Quantity, o.Reason = strings.Repeat("x", MaxID), wide(MaxName), wide(MaxName), maxQuantity, wide(MaxReason)
			o.History, o.Unknown = slices.Repeat([]Step{{"s", wide(MaxName), noon}}, maxSteps), make([]byte, maxUnknown)
		}, ""},
		{"no id", func(o *Order) { o.ID = "" }, "order id"},
		{"reserved id", func(o *Order) { o.ID = "__offset" }, "order id"},
		{"no quantity", func(o *Order) { o.Quantity = 0 }, "quantity"},
		{"negative quantity", func(o *Order) { o.Quantity = -1 }, "quantity"},
		{"huge quantity", func(o *Order) { o.Quantity = maxQuantity + 1 }, "quantity"},
		{"no flavour", func(o *Order) { o.Flavour = "" }, "flavour"},
		{"long flavour", func(o *Order) { o.Flavour = wide(MaxName + 1) }, "flavour"},
		{"no size", func(o *Order) { o.Size = "" }, "size"},
		{"long size", func(o *Order) { o.Size = wide(MaxName + 1) }, "size"},
		{"long status", func(o *Order) { o.Status = Status(strings.Repeat("x", MaxID+1)) }, "status"},
		{"long reason", func(o *Order) { o.Reason = wide(MaxReason + 1) }, "reason"},
		{"long history", func(o *Order) { o.History = make([]Step, maxSteps+1) }, "history"},
		{"long stage", func(o *Order) { o.History = []Step{{Stage: strings.Repeat("x", MaxID+1)}} }, "history"},
		{"invalid remake of", func(o *Order) { o.RemakeOf = "__offset" }, "remakeOf"},
		{"long remade by", func(o *Order) { o.RemakeOf, o.RemadeBy = "o1", wide(MaxName+1) }, "remadeBy"},
		{"a remake", func(o *Order) { o.RemakeOf, o.RemadeBy = "o1", wide(MaxName) }, ""},
		{"long name", func(o *Order) { o.History = []Step{{By: wide(MaxName + 1)}} }, "history"},
		{"large unknown fields", func(o *Order) { o.Unknown = make([]byte, maxUnknown+1) }, "unknown"},
	} {
		o := mixed()
		c.change(&o)
		checkError(t, c.name, o.Validate(), c.want)
	}
}

func checkError(t *testing.T, name string, err error, want string) {
	t.Helper()
	if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
		t.Errorf("%s: error %v, want one about %q", name, err, want)
	}
	if len(fmt.Sprint(err)) > 500 {
		t.Errorf("%s: the error has %d bytes", name, len(err.Error()))
	}
}

func TestArrivedOnIsTheEndOfTheStepBefore(t *testing.T) {
	o := mixed()
	o.History = append(o.History, Step{"baking", "Ann", noon})
	for i, want := range []time.Time{o.PlacedOn, o.History[0].On, noon} {
		if got := o.ArrivedOn(i); !got.Equal(want) {
			t.Errorf("ready for step %d on %v, want %v", i, got, want)
		}
	}
}

// Remaking is idempotent, and its ID collides with that of no idempotency key.
func TestRemakeIsIdempotent(t *testing.T) {
	old := Order{
		ID: "o1", Flavour: "Vanilla", Size: "M", Quantity: 2, PlacedOn: noon, Status: StatusRejected, Reason: "burnt",
		History: []Step{{"mixing", "Ann", noon}}, Unknown: []byte(`{"gift":true}`),
	}
	again := old.Remake("Zoe", noon.Add(time.Hour))
	want := Order{
		ID: RemakeID("o1"), Flavour: "Vanilla", Size: "M", Quantity: 2, PlacedOn: noon.Add(time.Hour), Status: StatusPlaced,
		RemakeOf: "o1", RemadeBy: "Zoe", Unknown: []byte(`{"gift":true}`),
	}
	if !reflect.DeepEqual(again, want) || again.Validate() != nil {
		t.Errorf("the remake is %+v, %v, want %+v", again, again.Validate(), want)
	}
	if id := old.Remake("Bob", noon).ID; id != again.ID || id == old.ID || id == DeriveID("o1") || id == DeriveID("remake o1") || again.Remake("Zoe", noon).ID == id {
		t.Errorf("the second remake has the ID %s, the first one %s", id, again.ID)
	}
	if id := RemakeID("o1"); id != "bd101558-3b25-829f-98d1-c98bebda9509" { // It must never change, like those of DeriveID.
		t.Errorf("the ID is %s", id)
	}
}
