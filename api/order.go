package api

import (
	"encoding/json"
	"strings"

	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/present"
	"github.com/ecupcakes/ecupcakes/views"

	"github.com/danielgtaylor/huma/v2"
)

func (a *api) order(o views.Order) present.Order {
	p := present.New(a.Line, o)
	p.RemadeAs = a.remadeAs(o)
	return p
}

// remadeAs returns the id of the order that replaces a rejected one; empty if nothing replaces it.
func (a *api) remadeAs(o views.Order) string {
	if o.State != order.StateRejected {
		return ""
	}
	again := order.RemakeID(o.ID)
	if !a.Views.Has(again) {
		return ""
	}
	return again
}

// etag returns a tag that changes with everything that is shown of an order,
// including the expiry of its claim and its replacement by another order.
func (a *api) etag(o views.Order) string {
	suffix := ""
	if o.Claim != "" {
		suffix += "c"
	}
	if a.remadeAs(o) != "" {
		suffix += "r"
	}
	if o.ETag == "" || suffix == "" {
		return o.ETag
	}
	return strings.TrimSuffix(o.ETag, `"`) + "-" + suffix + `"`
}

// Size is "S", "M", …, or its index on the menu, which the first clients of this
// API sent.
type Size string

// UnmarshalJSON accepts a string or a number. A number that is not an index of the
// menu stays unchanged, and the menu refuses it.
func (s *Size) UnmarshalJSON(b []byte) error {
	var place int
	if json.Unmarshal(b, &place) == nil {
		*s = Size(string(b))
		if place >= 0 && place < len(order.DefaultMenu.Sizes) {
			*s = Size(order.DefaultMenu.Sizes[place])
		}
		return nil
	}
	return json.Unmarshal(b, (*string)(s))
}

// Schema returns the schema of a Size for the OpenAPI document.
func (Size) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "One of the menu's sizes, or its place there: 0 to 3.", Examples: []any{"M"},
		OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeInteger}},
	}
}
