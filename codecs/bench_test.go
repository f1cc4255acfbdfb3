package codecs

import (
	stdjson "encoding/json"
	"testing"
	"time"

	"github.com/ecupcakes/ecupcakes/order"

	"github.com/go-faster/jx"
	jsonv2 "github.com/go-json-experiment/json"
	"github.com/segmentio/encoding/json"
)

// realistic returns an order that three stages have completed.
func realistic() *order.Order {
	on := time.Date(2026, 9, 20, 8, 0, 0, 0, time.UTC)
	return &order.Order{
		ID: "01996c5f-7a3c-7b1e-9d52-0f4a6c8e2b10", Flavour: "Chocolate", Size: "XL", Quantity: 12,
		PlacedOn: on.Add(120 * time.Millisecond), Status: "decorated",
		History: []order.Step{
			{Stage: "mixing", By: "Maria", On: on.Add(61 * time.Second)},
			{Stage: "baking", By: "Björn", On: on.Add(19*time.Minute + 7*time.Millisecond)},
			{Stage: "decorating", By: "Aylin", On: on.Add(31 * time.Minute)},
		},
	}
}

// BenchmarkLibraries compares JSON libraries on the same work: the wire format of a realistic
// order, including its six times. jx has no reflection; its sub-benchmarks run code written by hand
// for it.
func BenchmarkLibraries(b *testing.B) {
	data, err := EncodeOrder(realistic())
	if err != nil {
		b.Fatal(err)
	}
	var w wireOrder
	if err := stdjson.Unmarshal(data, &w); err != nil {
		b.Fatal(err)
	}
	for _, lib := range []struct {
		name   string
		decode func([]byte, *wireOrder) error
		encode func(*wireOrder) ([]byte, error)
	}{
		{
			"encoding-json",
			func(b []byte, w *wireOrder) error { return stdjson.Unmarshal(b, w) },
			func(w *wireOrder) ([]byte, error) { return stdjson.Marshal(w) },
		},
		{
			"go-json-experiment",
			func(b []byte, w *wireOrder) error { return jsonv2.Unmarshal(b, w) },
			func(w *wireOrder) ([]byte, error) { return jsonv2.Marshal(w) },
		},
		{
			"segmentio",
			func(b []byte, w *wireOrder) error { return json.Unmarshal(b, w) },
			func(w *wireOrder) ([]byte, error) { return json.Marshal(w) },
		},
		{
			"segmentio-nocopy",
			func(b []byte, w *wireOrder) error { _, err := json.Parse(b, w, json.DontCopyString); return err },
			func(w *wireOrder) ([]byte, error) { return json.Append(nil, w, 0) },
		},
		{"jx", jxDecode, jxEncode},
	} {
		var back wireOrder
		if err := lib.decode(data, &back); err != nil || back.ID != w.ID || len(back.History) != 3 || !back.History[2].On.Equal(w.History[2].On) {
			b.Fatalf("%s decodes %s to %+v, %v", lib.name, data, back, err)
		}
		if again, err := lib.encode(&back); err != nil || string(again) != string(data) {
			b.Fatalf("%s encodes to %s, %v, want %s", lib.name, again, err, data)
		}
		b.Run("decode/"+lib.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				var w wireOrder
				if err := lib.decode(data, &w); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run("encode/"+lib.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := lib.encode(&w); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func jxTime(d *jx.Decoder) (t time.Time, err error) {
	s, err := d.StrBytes()
	if err != nil {
		return t, err
	}
	err = t.UnmarshalText(s)
	return t, err
}

func jxDecode(data []byte, w *wireOrder) error {
	var d jx.Decoder
	d.ResetBytes(data)
	return d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
		var s string
		switch string(key) {
		case "v":
			w.V, err = d.Int()
		case "id":
			w.ID, err = d.Str()
		case "flavour":
			w.Flavour, err = d.Str()
		case "size":
			w.Size, err = d.Str()
		case "quantity":
			w.Quantity, err = d.Int()
		case "status":
			s, err = d.Str()
			w.Status = order.Status(s)
		case "placedOn":
			var t time.Time
			t, err = jxTime(d)
			w.PlacedOn = &t
		case "reason":
			w.Reason, err = d.Str()
		case "history":
			return d.Arr(func(d *jx.Decoder) error {
				var s wireStep
				err := d.ObjBytes(func(d *jx.Decoder, key []byte) (err error) {
					switch string(key) {
					case "stage":
						s.Stage, err = d.Str()
					case "by":
						s.By, err = d.Str()
					case "on":
						s.On, err = jxTime(d)
					default:
						err = d.Skip()
					}
					return err
				})
				w.History = append(w.History, s)
				return err
			})
		default:
			return d.Skip()
		}
		return err
	})
}

func jxEncode(w *wireOrder) ([]byte, error) {
	var e jx.Encoder
	text := func(key, s string) {
		e.FieldStart(key)
		e.Str(s)
	}
	when := func(key string, t time.Time) {
		e.FieldStart(key)
		var buf [len(time.RFC3339Nano) + 2]byte
		b := append(buf[:0], '"')
		b = t.AppendFormat(b, time.RFC3339Nano)
		e.Raw(append(b, '"'))
	}
	e.ObjStart()
	e.FieldStart("v")
	e.Int(w.V)
	text("id", w.ID)
	text("flavour", w.Flavour)
	text("size", w.Size)
	e.FieldStart("quantity")
	e.Int(w.Quantity)
	text("status", string(w.Status))
	if w.PlacedOn != nil {
		when("placedOn", *w.PlacedOn)
	}
	if w.Reason != "" {
		text("reason", w.Reason)
	}
	if len(w.History) > 0 {
		e.FieldStart("history")
		e.ArrStart()
		for _, s := range w.History {
			e.ObjStart()
			text("stage", s.Stage)
			text("by", s.By)
			when("on", s.On)
			e.ObjEnd()
		}
		e.ArrEnd()
	}
	e.ObjEnd()
	return e.Bytes(), nil
}

// BenchmarkCodecs measures the cost of a message at a stage.
func BenchmarkCodecs(b *testing.B) {
	o := realistic()
	on := o.PlacedOn.Add(time.Hour)
	r := &order.Report{ID: "01996c61-0b7d-7cc2-8a41-3d5e7f901b22", OrderID: o.ID, Kind: order.KindComplete, By: "Noor", On: on, Digest: "9f86d081884c7d65"}
	row := &order.Row{
		State: order.StateWaiting, Order: *o, Arrived: on, Claim: "Noor", NextOffset: [2]int64{4711, 815},
		Outcomes: []order.Outcome{{ReportID: "01996c61-0b7d-7cc2-8a41-3d5e7f901b22", Result: order.ResultAccepted}},
	}
	for _, c := range []struct {
		name  string
		codec interface {
			Encode(any) ([]byte, error)
			Decode([]byte) (any, error)
		}
		value any
	}{{"order", Order{}, o}, {"report", Report{}, r}, {"row", Row{}, row}} {
		data, err := c.codec.Encode(c.value)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(c.name+"/encode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := c.codec.Encode(c.value); err != nil {
					b.Fatal(err)
				}
			}
		})
		b.Run(c.name+"/decode", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				v, err := c.codec.Decode(data)
				if bad, isBad := v.(*Undecodable); isBad || err != nil {
					b.Fatal(bad, err)
				}
			}
		})
	}
}
