package codecs

import (
	"bytes"
	stdjson "encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/order"

	"pgregory.net/rapid"
)

func FuzzOrder(f *testing.F)  { fuzz(f, Order{}) }
func FuzzReport(f *testing.F) { fuzz(f, Report{}) }
func FuzzRow(f *testing.F)    { fuzz(f, Row{}) }

func fuzz(f *testing.F, c codec) {
	for _, g := range golden {
		data, err := g.codec.Encode(g.value)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(data)
	}
	f.Add([]byte(`{"Id":"o1","flavour":"Vanilla","ſize":"M","quantity":2,"placedOn":"9998-12-31T23:59:59-12:00","\u0000":[{}]}`))
	f.Fuzz(func(t *testing.T, data []byte) { checkDecoded(t, c, data) })
}

func TestDecodeInvertsEncode(t *testing.T) {
	t.Run("order", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { o := anOrder().Draw(t, "order"); checkRoundTrip(t, Order{}, &o) })
	})
	t.Run("report", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { r := aReport("").Draw(t, "report"); checkRoundTrip(t, Report{}, &r) })
	})
	t.Run("row", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { r := aRow().Draw(t, "row"); checkRoundTrip(t, Row{}, &r) })
	})
}

func checkRoundTrip(t *rapid.T, c codec, v any) {
	data, err := c.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	got, err := c.Decode(data)
	if err != nil || !reflect.DeepEqual(got, v) {
		t.Fatalf("%+v\nis encoded as\n%s\nand decoded as\n%+v, %v", v, data, got, err)
	}
	checkDecoded(t, c, data)
}

// encoding/json, which stands for all other readers, decodes the same order.
func TestStandardLibraryDecodesTheSameOrder(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		o := anOrder().Draw(t, "order")
		data, err := EncodeOrder(&o)
		if err != nil {
			t.Fatal(err)
		}
		var w wireOrder
		var all map[string]stdjson.RawMessage
		if err := stdjson.Unmarshal(data, &w); err != nil {
			t.Fatal(err)
		}
		if err := stdjson.Unmarshal(data, &all); err != nil {
			t.Fatal(err)
		}
		got := order.Order{ID: w.ID, Flavour: w.Flavour, Size: w.Size, Quantity: w.Quantity, Status: w.Status, Reason: w.Reason, RemakeOf: w.RemakeOf, RemadeBy: w.RemadeBy, Unknown: o.Unknown}
		if w.PlacedOn != nil {
			got.PlacedOn = *w.PlacedOn
		}
		for _, s := range w.History {
			got.History = append(got.History, order.Step(s))
		}
		if w.V != Version || !reflect.DeepEqual(got, o) {
			t.Fatalf("%s is decoded as\n%+v, by encoding/json as\n%+v", data, o, got)
		}
		if len(o.Unknown) > 0 {
			var unknown map[string]stdjson.RawMessage
			if err := stdjson.Unmarshal(o.Unknown, &unknown); err != nil {
				t.Fatal(err)
			}
			for k, v := range unknown {
				if !bytes.Equal(all[k], v) {
					t.Fatalf("the unknown field %q is %s, want %s", k, all[k], v)
				}
			}
		}
	})
}

// TestRowsOfNextSurviveEncoding runs a stage like its processor, with rows and orders as bytes.
// Whatever valid messages arrive, in any order and at any time, the row stays decodable, and all copies of an
// emission are equal byte for byte.
func TestRowsOfNextSurviveEncoding(t *testing.T) {
	baking := order.Stage{Name: "baking", Expects: "mixed", Done: "baked"}
	rapid.Check(t, func(t *rapid.T) {
		var row, emitted []byte
		for offset := range rapid.Int64Range(1, 20).Draw(t, "events") {
			e := order.Event{Offset: offset, Time: time.UnixMilli(rapid.Int64().Draw(t, "time"))}
			if rapid.IntRange(0, 3).Draw(t, "arrival") == 0 {
				o := anOrder().Draw(t, "order")
				o.ID, o.Status = "o1", rapid.SampledFrom([]order.Status{"mixed", "mixed", "baked"}).Draw(t, "status")
				e.Order = reencoded(t, Order{}, &o)
			} else {
				r := aReport("o1").Draw(t, "report")
				e.Report = reencoded(t, Report{}, &r)
			}
			for _, redelivered := range []bool{false, true} {
				var before order.Row
				if row != nil {
					v, _ := Row{}.Decode(row)
					r, ok := v.(*order.Row)
					if !ok {
						t.Fatalf("the row\n%s\nis undecodable: %s", row, v.(*Undecodable).Why)
					}
					before = *r
				}
				d := order.Next(baking, before, e)
				if redelivered && d.Verdict == order.VerdictApplied {
					t.Fatalf("%+v is applied twice", e)
				}
				if d.Verdict != order.VerdictApplied && d.Verdict != order.VerdictRedelivered {
					continue
				}
				written, err := Row{}.Encode(&d.Row)
				if err != nil {
					t.Fatal(err)
				}
				if redelivered && !bytes.Equal(written, row) {
					t.Fatalf("a redelivery changed the row from\n%s to\n%s", row, written)
				}
				row = written
				for _, emission := range d.Emissions {
					b, err := EncodeOrder(emission.Order)
					if err != nil {
						t.Fatal(err)
					}
					if emitted != nil && !bytes.Equal(emitted, b) {
						t.Fatalf("emitted\n%s, then\n%s", emitted, b)
					}
					emitted = b
				}
			}
		}
	})
}

// reencoded returns v encoded and decoded, as if it had gone through Kafka.
func reencoded[T any](t *rapid.T, c codec, v *T) *T {
	data, err := c.Encode(v)
	if err != nil {
		t.Fatal(err)
	}
	got, _ := c.Decode(data)
	if bad, ok := got.(*Undecodable); ok {
		t.Fatalf("%s is undecodable: %s", data, bad.Why)
	}
	return got.(*T)
}

// The generators draw values that pass Validate, in the form that Decode returns.

func anID() *rapid.Generator[string] { return rapid.StringMatching(`[0-9A-Za-z-]{1,64}`) }

func drawText(least, most int) *rapid.Generator[string] { return rapid.StringN(least, most, -1) }

// aTime draws a time in UTC with whole milliseconds, or the zero time.
func aTime() *rapid.Generator[time.Time] {
	return rapid.Custom(func(t *rapid.T) time.Time {
		if rapid.IntRange(0, 4).Draw(t, "no time") == 0 {
			return time.Time{}
		}
		last := time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() - 1
		return time.UnixMilli(rapid.Int64Range(0, last).Draw(t, "time")).UTC()
	})
}

func anOrder() *rapid.Generator[order.Order] {
	return rapid.Custom(func(t *rapid.T) order.Order {
		return order.Order{
			ID: anID().Draw(t, "id"), Flavour: drawText(1, order.MaxName).Draw(t, "flavour"), Size: drawText(1, order.MaxName).Draw(t, "size"),
			Quantity: rapid.IntRange(1, 1_000_000).Draw(t, "quantity"), PlacedOn: aTime().Draw(t, "placed"),
			Status: order.Status(drawText(1, order.MaxID/4).Draw(t, "status")), Reason: drawText(0, order.MaxReason).Draw(t, "reason"),
			RemakeOf: rapid.SampledFrom([]string{"", "o1"}).Draw(t, "remake of"), RemadeBy: drawText(0, order.MaxName).Draw(t, "remade by"),
			History: drawSlice(t, 5, func(t *rapid.T) order.Step {
				return order.Step{
					Stage: drawText(0, order.MaxID/4).Draw(t, "stage"), By: drawText(0, order.MaxName).Draw(t, "by"), On: aTime().Draw(t, "on"),
				}
			}),
			Unknown: unknown(t),
		}
	})
}

func aReport(orderID string) *rapid.Generator[order.Report] {
	return rapid.Custom(func(t *rapid.T) order.Report {
		r := order.Report{
			ID: anID().Draw(t, "id"), OrderID: orderID, By: drawText(1, order.MaxName).Draw(t, "by"), On: aTime().Draw(t, "on"),
			Kind:   rapid.SampledFrom([]order.Kind{order.KindComplete, order.KindReject, order.KindClaim, order.KindRelease}).Draw(t, "kind"),
			Digest: drawText(0, order.MaxID/4).Draw(t, "digest"),
		}
		if orderID == "" {
			r.OrderID = anID().Draw(t, "order id")
		}
		if r.Kind == order.KindReject {
			r.Reason = drawText(1, order.MaxReason).Draw(t, "reason")
		}
		if r.Kind == order.KindClaim {
			r.Until = aTime().Draw(t, "until")
		}
		return r
	})
}

func aRow() *rapid.Generator[order.Row] {
	return rapid.Custom(func(t *rapid.T) order.Row {
		r := order.Row{
			State:   rapid.SampledFrom([]order.State{order.StateEarly, order.StateWaiting, order.StateCompleted, order.StateRejected}).Draw(t, "state"),
			Arrived: aTime().Draw(t, "arrived"), Claim: drawText(0, order.MaxName).Draw(t, "claim"), Until: aTime().Draw(t, "until"),
			NextOffset: [2]int64{rapid.Int64().Draw(t, "arrivals"), rapid.Int64().Draw(t, "reports")},
			Outcomes: drawSlice(t, 8, func(t *rapid.T) order.Outcome {
				result := rapid.SampledFrom([]order.Result{order.ResultAccepted, order.ResultTooLate, order.ResultTaken}).Draw(t, "result")
				return order.Outcome{ReportID: anID().Draw(t, "id"), Result: result, Digest: drawText(0, order.MaxID/4).Draw(t, "digest")}
			}),
			Pending: drawSlice(t, 3, func(t *rapid.T) order.Report { return aReport("").Draw(t, "pending") }),
		}
		if r.State != order.StateEarly {
			r.Order = anOrder().Draw(t, "order")
		}
		return r
	})
}

// drawSlice draws a slice, nil if it is empty.
func drawSlice[T any](t *rapid.T, most int, draw func(*rapid.T) T) (s []T) {
	for range rapid.IntRange(0, most).Draw(t, "length") {
		s = append(s, draw(t))
	}
	return s
}

// unknown draws fields that this version does not know. Their values must keep their nesting, the
// order of their keys and every digit of their numbers.
func unknown(t *rapid.T) []byte {
	fields := map[string]stdjson.RawMessage{}
	for range rapid.IntRange(0, 3).Draw(t, "unknown fields") {
		key := drawText(0, 8).Draw(t, "key")
		if !slices.ContainsFunc(knownFields, func(known string) bool { return strings.EqualFold(known, key) }) {
			fields[key] = stdjson.RawMessage(aValue(t, 3))
		}
	}
	if len(fields) == 0 {
		return nil
	}
	b, err := stdjson.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func aValue(t *rapid.T, levels int) string {
	quoted := func(s string) string {
		b, err := stdjson.Marshal(s)
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	kinds := []string{"string", "number", "literal", "array", "object"}
	if levels == 0 {
		kinds = kinds[:3]
	}
	switch rapid.SampledFrom(kinds).Draw(t, "kind") {
	case "string":
		return quoted(drawText(0, 16).Draw(t, "string"))
	case "number":
		return rapid.StringMatching(`-?(0|[1-9][0-9]{0,30})(\.[0-9]{1,30})?([eE][+-]?[0-9]{1,4})?`).Draw(t, "number")
	case "literal":
		return rapid.SampledFrom([]string{"null", "true", "false"}).Draw(t, "literal")
	case "array":
		return "[" + strings.Join(drawSlice(t, 3, func(t *rapid.T) string { return aValue(t, levels-1) }), ",") + "]"
	default:
		return "{" + strings.Join(drawSlice(t, 3, func(t *rapid.T) string {
			return fmt.Sprintf("%s:%s", quoted(drawText(0, 8).Draw(t, "key")), aValue(t, levels-1))
		}), ",") + "}"
	}
}
