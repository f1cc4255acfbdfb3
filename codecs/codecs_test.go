package codecs

import (
	"bytes"
	stdjson "encoding/json"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/order"
)

// codec is the interface of Order, Report and Row.
type codec interface {
	Encode(any) ([]byte, error)
	Decode([]byte) (any, error)
}

var (
	placed = time.Date(2026, 9, 20, 8, 0, 0, 120_000_000, time.UTC)
	update = flag.Bool("update", false, "write the golden files that do not exist; those that do are the contract and stay")
)

// newOrder returns an order as the API writes it.
func newOrder() *order.Order {
	return &order.Order{
		ID: "01996c5f-7a3c-7b1e-9d52-0f4a6c8e2b10", Flavour: "Chocolate", Size: "XL", Quantity: 12,
		PlacedOn: placed, Status: order.StatusPlaced,
	}
}

// halfway returns an order that three stages have completed.
func halfway() *order.Order {
	o := newOrder()
	o.Status = "decorated"
	o.History = []order.Step{
		{Stage: "mixing", By: "María", On: placed.Add(61 * time.Second)},
		{Stage: "baking", By: "Björn", On: placed.Add(19*time.Minute + 7*time.Millisecond)},
		{Stage: "decorating", By: "O'Neil & <Sons>", On: placed.Add(31 * time.Minute)},
	}
	return o
}

func changed[T any](v *T, change func(*T)) *T { change(v); return v }

func report(kind order.Kind, change func(*order.Report)) *order.Report {
	return changed(&order.Report{
		ID: "01996c61-0b7d-7cc2-8a41-3d5e7f901b22", OrderID: "01996c5f-7a3c-7b1e-9d52-0f4a6c8e2b10",
		Kind: kind, By: "Noor", On: placed.Add(40 * time.Minute),
	}, change)
}

func waiting() *order.Row {
	return &order.Row{State: order.StateWaiting, Order: *halfway(), Arrived: placed.Add(31 * time.Minute), NextOffset: [2]int64{4712, 0}}
}

// golden holds the values of the files in testdata/v1.
var golden = []struct {
	name  string
	codec codec
	value any
}{
	{"order-fresh", Order{}, newOrder()},
	{"order-undated", Order{}, changed(newOrder(), func(o *order.Order) { o.PlacedOn = time.Time{} })},
	{"order-history", Order{}, halfway()},
	{"order-rejected", Order{}, changed(halfway(), func(o *order.Order) {
		o.Status, o.Reason = order.StatusRejected, "dropped \"it\"\nall 😢"
		o.History = append(o.History, order.Step{Stage: "packaging", By: "Noor", On: placed.Add(40 * time.Minute)})
	})},
	{"order-unknown", Order{}, changed(halfway(), func(o *order.Order) {
		o.Unknown = []byte(`{"allergies":["nuts",{"milk":null}],"gift":{"z":1.50,"a":"für Dich"},"price":12345678901234567890.10}`)
	})},
	{"order-remake", Order{}, changed(halfway(), func(o *order.Order) {
		o.RemakeOf, o.RemadeBy, o.Unknown = "01996c5f-0000-7b1e-9d52-0f4a6c8e2b10", "Zoë", []byte(`{"gift":true}`)
	})},
	{"report-done", Report{}, report(order.KindComplete, func(r *order.Report) { r.Digest = "9f86d081884c7d65" })},
	{"report-rejected", Report{}, report(order.KindReject, func(r *order.Report) { r.Reason = "burnt" })},
	{"report-claimed", Report{}, report(order.KindClaim, func(r *order.Report) { r.On = time.Time{} })},
	{"report-claimed-until", Report{}, report(order.KindClaim, func(r *order.Report) { r.Until = placed.Add(2 * time.Minute) })},
	{"report-released", Report{}, report(order.KindRelease, func(*order.Report) {})},
	{"row-early", Row{}, &order.Row{State: order.StateEarly, NextOffset: [2]int64{0, 816}, Pending: []order.Report{
		*report(order.KindClaim, func(r *order.Report) { r.ID = "r1" }),
		*report(order.KindReject, func(r *order.Report) { r.ID, r.Reason, r.Digest = "r2", "burnt", "9f86d081884c7d65" }),
	}}},
	{"row-waiting", Row{}, waiting()},
	{"row-claimed", Row{}, changed(waiting(), func(r *order.Row) {
		r.Claim, r.NextOffset[order.Reports] = "Noor", 9_007_199_254_740_993 // A float64 cannot represent this number.
		r.Outcomes = []order.Outcome{{ReportID: "r1", Result: order.ResultAccepted, Digest: "9f86d081884c7d65"}, {ReportID: "r2", Result: order.ResultTaken}}
	})},
	{"row-claimed-until", Row{}, changed(waiting(), func(r *order.Row) { r.Claim, r.Until = "Noor", placed.Add(time.Hour) })},
	{"row-finished", Row{}, changed(waiting(), func(r *order.Row) {
		r.State, r.Order.Status, r.NextOffset[order.Reports] = order.StateCompleted, "packaged", 817
		r.Order.History = append(r.Order.History, order.Step{Stage: "packaging", By: "Noor", On: placed.Add(40 * time.Minute)})
		r.Order.Unknown = []byte(`{"gift":true}`)
		r.Outcomes = []order.Outcome{{ReportID: "r1", Result: order.ResultAccepted}, {ReportID: "r2", Result: order.ResultTooLate}}
	})},
	{"row-refused", Row{}, changed(waiting(), func(r *order.Row) {
		r.State, r.Order.Status, r.Order.Reason, r.NextOffset[order.Reports] = order.StateRejected, order.StatusRejected, "burnt", 817
		r.Outcomes = []order.Outcome{{ReportID: "r1", Result: order.ResultAccepted}}
	})},
}

func TestEncodingMatchesGoldenFiles(t *testing.T) {
	names := map[string]bool{}
	for _, g := range golden {
		names[g.name+".json"] = true
		path := filepath.Join("testdata/v1", g.name+".json")
		encoded, err := g.codec.Encode(g.value)
		if err != nil {
			t.Fatal(err)
		}
		file, err := os.ReadFile(path)
		if *update && errors.Is(err, fs.ErrNotExist) {
			file = append(slices.Clone(encoded), '\n')
			err = os.WriteFile(path, file, 0o644)
		}
		if err != nil {
			t.Fatal(err)
		}
		if want := strings.TrimSuffix(string(file), "\n"); string(encoded) != want {
			t.Errorf("%s is encoded as\n%s\nwant\n%s", g.name, encoded, want)
		}
		if got, err := g.codec.Decode(file); err != nil || !reflect.DeepEqual(got, g.value) {
			t.Errorf("%s is decoded as\n%+v, %v\nwant\n%+v", g.name, got, err, g.value)
		}
	}
	files, err := os.ReadDir("testdata/v1")
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range files {
		if !names[f.Name()] {
			t.Errorf("no value belongs to testdata/v1/%s", f.Name())
		}
	}
}

// TestOrderDecodesForeignForms decodes orders in forms that this program does not write.
func TestOrderDecodesForeignForms(t *testing.T) {
	least := order.Order{ID: "o1", Flavour: "Vanilla", Size: "M", Quantity: 2, Status: order.StatusPlaced}
	with := func(change func(*order.Order)) order.Order { o := least; change(&o); return o }
	unknown := func(fields string) order.Order { return with(func(o *order.Order) { o.Unknown = []byte(fields) }) }
	for _, c := range []struct {
		name, data string
		want       order.Order
	}{
		{"by hand", `{"id":"o1","flavour":"Vanilla","size":"M","quantity":2}`, least},
		{"with space", " {\n \"id\" : \"o1\",\t\"flavour\":\"Vanilla\",\"size\":\"M\", \"quantity\":2 }\r\n", least},
		{"other case", `{"Id":"o1","FLAVOUR":"Vanilla","Size":"M","quantitY":2,"placedon":null}`, least},
		{"escapes", `{"\u0069d":"o\u0031","flavour":"\u0056anilla","size":"M","quantity":2}`, least},
		{"nulls", `{"v":null,"id":"o1","flavour":"Vanilla","size":"M","quantity":2,"status":null,"placedOn":null,"reason":null,"history":null}`, least},
		{"no history", `{"id":"o1","flavour":"Vanilla","size":"M","quantity":2,"history":[]}`, least},
		{"the last of two counts", `{"id":"o9","id":"o1","flavour":"Vanilla","size":"M","quantity":1,"Quantity":2}`, least},
		{
			"time with zone and nanoseconds", `{"id":"o1","flavour":"Vanilla","size":"M","quantity":2,"placedOn":"2026-09-20T10:00:00.120999999+02:00"}`,
			with(func(o *order.Order) { o.PlacedOn = placed }),
		},
		{
			"step without a time", `{"id":"o1","flavour":"Vanilla","size":"M","quantity":2,"history":[{"stage":"mixing","by":"Ann"}]}`,
			with(func(o *order.Order) { o.History = []order.Step{{Stage: "mixing", By: "Ann"}} }),
		},
		{"unknown fields", `{"b":[1 , {"y":2,"x":1}],"id":"o1","flavour":"Vanilla","a":null,"size":"M","quantity":2}`, unknown(`{"a":null,"b":[1,{"y":2,"x":1}]}`)},
		{"exact numbers", `{"id":"o1","n":-0.10E+400,"flavour":"Vanilla","size":"M","quantity":2}`, unknown(`{"n":-0.10E+400}`)},
		{"a key with a long s is the known one", `{"id":"o1","flavour":"Vanilla","ſize":"M","quantity":2,"é":"ü"}`, unknown(`{"é":"ü"}`)},
		{"unknown deep nesting", `{"id":"o1","flavour":"Vanilla","size":"M","quantity":2,"x":` + nested(8000) + `}`, unknown(`{"x":` + nested(8000) + `}`)},
	} {
		got, err := Order{}.Decode([]byte(c.data))
		if err != nil || !reflect.DeepEqual(got, &c.want) {
			t.Errorf("%s: got %+v, %v, want %+v", c.name, got, err, c.want)
		}
		checkDecoded(t, Order{}, []byte(c.data))
	}
}

func nested(levels int) string { return strings.Repeat("[", levels) + strings.Repeat("]", levels) }

func TestUndecodableSaysWhy(t *testing.T) {
	for _, c := range []struct {
		name, data, why string
	}{
		{"empty", "", "empty"},
		{"space", " \n", ""},
		{"null", "null", "id"},
		{"array", "[]", ""},
		{"string", `"o1"`, ""},
		{"number", "1", ""},
		{"no JSON", "cupcake", ""},
		{"binary", "\x00\x00\x00\x00\x01\x02", ""},
		{"cut off", "{GOOD", ""},
		{"trailing comma", "{GOOD,}", ""},
		{"two values", "{GOOD}{}", "more bytes after"},
		{"trailing garbage", "{GOOD} x", "more bytes after"},
		{"zero byte behind", "{GOOD}\x00", ""},
		{"newer version", `{GOOD,"v":2}`, "upgrade"},
		{"negative version", `{GOOD,"v":-1}`, "version"},
		{"version of wrong type", `{GOOD,"v":"1"}`, ""},
		{"version too large", `{GOOD,"v":99999999999999999999999}`, ""},
		{"byte order mark", "\ufeff{GOOD}", ""},
		{"not UTF-8", "{GOOD,\"x\":\"\xff\"}", "UTF-8"},
		{"not UTF-8 key", "{GOOD,\"\xff\":1}", "UTF-8"},
		{"UTF-16", "{\x00\"\x00v\x00\"\x00", ""},
		{"control character", "{GOOD,\"x\":\"\x01\"}", ""},
		{"bad escape", `{GOOD,"x":"\q"}`, ""},
		{"long and wrong", `{GOOD,"` + strings.Repeat("x", 100_000) + `":tru}`, ""},
		{"unknown field is no JSON", `{GOOD,"x":tru}`, ""},
		{"deep nesting", `{GOOD,"x":` + nested(100_000) + `}`, "brackets"},
		{"deep nesting of objects", `{GOOD,"x":` + strings.Repeat(`{"x":`, 100_000) + "1" + strings.Repeat("}", 100_000) + `}`, "brackets"},
		{"deep nesting without end", strings.Repeat("[", 100_000), "brackets"},
		{"reserved id", `{GOOD,"id":"__offset"}`, ""},
		{"empty id", `{GOOD,"id":""}`, ""},
		{"id of wrong type", `{GOOD,"id":7}`, ""},
		{"long id", `{GOOD,"id":"` + strings.Repeat("x", order.MaxID+1) + `"}`, ""},
	} {
		for _, k := range []struct {
			codec codec
			good  string
		}{
			{Order{}, `"id":"o1","flavour":"Vanilla","size":"M","quantity":2`},
			{Report{}, `"id":"r1","orderId":"o1","kind":"done","by":"Ann"`},
		} {
			data := strings.ReplaceAll(c.data, "GOOD", k.good)
			checkUndecodable(t, k.codec, c.name, data, c.why)
		}
		// The same object as the order of a row; a row itself has no id.
		if !strings.Contains(c.data, `"id"`) {
			checkUndecodable(t, Row{}, c.name, strings.ReplaceAll(c.data, "GOOD", `"state":"early","reports":1`), "")
		}
	}

	const good = `"id":"o1","flavour":"Vanilla","size":"M","quantity":2`
	for name, data := range map[string]string{
		"no quantity": `{"id":"o1","flavour":"Vanilla","size":"M"}`, "no flavour": `{"id":"o1","size":"M","quantity":2}`,
		"text quantity": `{GOOD,"quantity":"2"}`, "fractional quantity": `{GOOD,"quantity":2.5}`, "exponent": `{GOOD,"quantity":1e2}`,
		"quantity too large":      `{GOOD,"quantity":99999999999999999999}`,
		"quantity that overflows": `{GOOD,"quantity":21000000000000000000}`,
		"leading zero":            `{GOOD,"quantity":02}`,
		"numeric time":            `{GOOD,"placedOn":1789891200}`, "no time": `{GOOD,"placedOn":"yesterday"}`, "empty time": `{GOOD,"placedOn":""}`,
		"time too early": `{GOOD,"placedOn":"1969-12-31T23:59:59.999Z"}`, "time too late": `{GOOD,"placedOn":"9999-01-01T00:00:00Z"}`,
		"too early in UTC": `{GOOD,"placedOn":"1970-01-01T00:00:00+14:00"}`, "too late in UTC": `{GOOD,"placedOn":"9998-12-31T23:59:59-12:00"}`,
		"step too early":        `{GOOD,"history":[{"stage":"mixing","by":"Ann","on":"0000-01-01T00:00:00Z"}]}`,
		"history of wrong type": `{GOOD,"history":{"stage":"mixing"}}`, "step of wrong type": `{GOOD,"history":["mixing"]}`,
		"long number": `{GOOD,"quantity":1.` + strings.Repeat("1", 100_000) + `}`, "long key": `{GOOD,"placedOn":{"` + strings.Repeat("x", 100_000) + `":1}}`,
		"many unknown fields": `{GOOD,"x":"` + strings.Repeat("x", 16<<10) + `"}`,
	} {
		data = strings.ReplaceAll(data, "GOOD", good)
		checkUndecodable(t, Order{}, name, data, "not an order")
		checkUndecodable(t, Row{}, "row: "+name, `{"state":"waiting","order":`+data+`}`, "not a row")
	}
	for name, data := range map[string]string{
		"no order": `{"id":"r1","kind":"done","by":"Ann"}`, "no kind": `{"id":"r1","orderId":"o1","by":"Ann"}`, "nobody": `{"id":"r1","orderId":"o1","kind":"done"}`,
		"other kind": `{"id":"r1","orderId":"o1","kind":"eaten","by":"Ann"}`, "reject without reason": `{"id":"r1","orderId":"o1","kind":"rejected","by":"Ann"}`,
		"time too early": `{"id":"r1","orderId":"o1","kind":"done","by":"Ann","on":"1969-01-01T00:00:00Z"}`,
		"time too late":  `{"id":"r1","orderId":"o1","kind":"done","by":"Ann","on":"9999-12-31T23:59:59Z"}`,
	} {
		checkUndecodable(t, Report{}, name, data, "not a report")
		checkUndecodable(t, Row{}, "row: "+name, `{"state":"early","pending":[`+data+`]}`, "not a row: pending report")
	}
	for name, data := range map[string]string{
		"no state": `{}`, "other state": `{"state":"eaten"}`, "no order": `{"state":"waiting"}`, "null order": `{"state":"done","order":null}`,
		"order of newer version": `{"state":"waiting","order":{"v":2,` + good + `}}`,
		"text offset":            `{"state":"early","reports":"1"}`, "arrived too late": `{"state":"early","arrivedOn":"9999-01-01T00:00:00Z"}`,
	} {
		checkUndecodable(t, Row{}, name, data, "not a row")
	}
}

func checkUndecodable(t *testing.T, c codec, name, data, why string) {
	t.Helper()
	v, err := c.Decode([]byte(data))
	bad, ok := v.(*Undecodable)
	if err != nil || !ok {
		t.Errorf("%T: %s became %+v, %v", c, name, v, err)
		return
	}
	if string(bad.Raw) != data || bad.Why == "" || len(bad.Why) > 1000 || !strings.Contains(bad.Why, why) {
		t.Errorf("%T: %s: %d bytes of %d, reason %q, want one with %q", c, name, len(bad.Raw), len(data), bad.Why, why)
	}
}

func TestTombstoneIsUndecodable(t *testing.T) {
	for _, c := range []codec{Order{}, Report{}, Row{}} {
		v, err := c.Decode(nil)
		if bad, ok := v.(*Undecodable); err != nil || !ok || bad.Raw != nil {
			t.Errorf("%T: a tombstone became %+v, %v", c, v, err)
		}
	}
}

func TestEncodeRejectsOtherTypes(t *testing.T) {
	own := map[codec]any{Order{}: newOrder(), Report{}: report(order.KindComplete, func(*order.Report) {}), Row{}: waiting(), Raw{}: []byte("raw")}
	for c := range own {
		if got, err := c.Encode(Encoded("done before")); err != nil || string(got) != "done before" {
			t.Errorf("%T encodes an Encoded to %q, %v", c, got, err)
		}
		for owner, v := range own {
			if got, err := c.Encode(v); (err == nil) != (c == owner) {
				t.Errorf("%T encodes a %T to %q, %v", c, v, got, err)
			}
		}
		if got, err := c.Encode(nil); err == nil {
			t.Errorf("%T encodes nil to %q", c, got)
		}
	}
	if v, err := (Raw{}).Decode([]byte("raw")); err != nil || !reflect.DeepEqual(v, []byte("raw")) {
		t.Errorf("raw bytes became %v, %v", v, err)
	}
}

// The timestamp of a message is whatever its producer sets. The row that stores it must be
// decodable nevertheless.
func TestEncodeOmitsTimesOutOfRange(t *testing.T) {
	for _, on := range []time.Time{time.UnixMilli(-1), time.UnixMilli(1 << 62), time.Date(9998, 12, 31, 23, 0, 0, 0, time.FixedZone("", -12*3600))} {
		want, row := waiting(), waiting()
		row.Arrived, row.Order.PlacedOn, row.Order.History[1].On = on, on, on
		want.Arrived, want.Order.PlacedOn, want.Order.History[1].On = time.Time{}, time.Time{}, time.Time{}
		b, err := Row{}.Encode(row)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := (Row{}).Decode(b); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %s became %+v, %v", on, b, got, err)
		}
	}
	r := report(order.KindComplete, func(r *order.Report) { r.On = time.UnixMilli(-1) })
	if b, err := EncodeReport(r); err != nil || bytes.Contains(b, []byte(`"on"`)) {
		t.Errorf("a report of 1969 became %s, %v", b, err)
	}
}

// Equal instants give equal bytes in every time zone.
func TestEncodeWritesTimesInUTC(t *testing.T) {
	here, there := newOrder(), newOrder()
	there.PlacedOn = there.PlacedOn.In(time.FixedZone("", 5*3600)).Add(999 * time.Microsecond)
	a, errA := EncodeOrder(here)
	b, errB := EncodeOrder(there)
	if errA != nil || errB != nil || !bytes.Equal(a, b) {
		t.Errorf("%s, %v and %s, %v", a, errA, b, errB)
	}
}

// The contents of a pooled value must not leak into the next message.
func TestPoolsLeakNothing(t *testing.T) {
	full, err := Row{}.Encode(changed(waiting(), func(r *order.Row) {
		r.Claim, r.Outcomes = "Noor", []order.Outcome{{ReportID: "r1", Result: order.ResultAccepted, Digest: "d"}}
	}))
	if err != nil {
		t.Fatal(err)
	}
	const sparse = `{"state":"waiting","outcomes":[{}],"order":{"id":"o1","flavour":"Vanilla","size":"M","quantity":2,"history":[{}]}}`
	for range 100 {
		if v, _ := (Row{}).Decode(full); reflect.TypeOf(v) != reflect.TypeFor[*order.Row]() {
			t.Fatalf("the row became %+v", v)
		}
		v, _ := Row{}.Decode([]byte(sparse))
		row, ok := v.(*order.Row)
		if !ok || row.Claim != "" || row.Outcomes[0] != (order.Outcome{Result: order.ResultAccepted}) || row.Order.History[0] != (order.Step{}) {
			t.Fatalf("the sparse row became %+v", v)
		}
	}
}

// The largest row that valid messages can produce is several times smaller than Kafka's default
// message limit of 1 MB.
func TestLargestRowFitsIntoAMessage(t *testing.T) {
	long := func(n int) string { return strings.Repeat("<", n) } // Six bytes each when escaped.
	row := &order.Row{State: order.StateCompleted, Arrived: placed, Claim: long(order.MaxName), Order: order.Order{
		ID: strings.Repeat("x", order.MaxID), Flavour: long(order.MaxName), Size: long(order.MaxName), Quantity: 1_000_000, PlacedOn: placed,
		Status: order.Status(long(order.MaxID)), Reason: long(order.MaxReason),
		History: slices.Repeat([]order.Step{{Stage: long(order.MaxID), By: long(order.MaxName), On: placed}}, 64),
		Unknown: []byte(`{"x":"` + strings.Repeat("x", 16<<10-8) + `"}`),
	}}
	row.Outcomes = slices.Repeat([]order.Outcome{{ReportID: row.Order.ID, Result: order.ResultAccepted, Digest: long(order.MaxID)}}, 8)
	row.Pending = slices.Repeat([]order.Report{{
		ID: row.Order.ID, OrderID: row.Order.ID, Kind: order.KindReject, By: long(order.MaxName), On: placed, Reason: long(order.MaxReason), Digest: long(order.MaxID),
	}}, 32)
	data, err := Row{}.Encode(row)
	if err != nil || len(data) > 256<<10 {
		t.Errorf("it has %d bytes, %v", len(data), err)
	}
	if got, err := (Row{}).Decode(data); err != nil || !reflect.DeepEqual(got, row) {
		t.Errorf("it is decoded as %.300v, %v", got, err)
	}
}

// checkDecoded checks an invariant of any bytes: they are undecodable, or they decode to a value
// whose encoding is unique and decodes to the same value.
func checkDecoded(t interface {
	Helper()
	Fatalf(string, ...any)
}, c codec, data []byte,
) {
	t.Helper()
	v, err := c.Decode(data)
	if err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	if bad, ok := v.(*Undecodable); ok {
		if !bytes.Equal(bad.Raw, data) || bad.Why == "" || len(bad.Why) > 1000 {
			t.Fatalf("%q is undecodable: %+v", data, bad)
		}
		return
	}
	encoded, err := c.Encode(v)
	if err != nil {
		t.Fatalf("%q: %v", data, err)
	}
	if !stdjson.Valid(encoded) {
		t.Fatalf("%q is encoded as\n%q, which is not JSON", data, encoded)
	}
	again, err := c.Decode(encoded)
	if err != nil || !reflect.DeepEqual(v, again) {
		t.Fatalf("%q is decoded as\n%+v, encoded\n%q, decoded\n%+v, %v", data, v, encoded, again, err)
	}
	if twice, err := c.Encode(again); err != nil || !bytes.Equal(encoded, twice) {
		t.Fatalf("%q is encoded as\n%q, then\n%q, %v", data, encoded, twice, err)
	}
}
