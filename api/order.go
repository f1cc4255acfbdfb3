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

// remadeAs is the id of the order that is made in the place of a rejected one,
// empty if there is none.
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

// etag changes whenever what is shown of an order does, and so too when a claim
// lapses or when another order is made in its place.
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

// Size is "S", "M", …, or its place on the menu, counted from 0, as the first
// clients of this API sent it.
type Size string

// UnmarshalJSON takes a string or a number. A number that is no place on the
// menu stays as it is, for the menu to refuse.
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

// Schema describes a Size to huma and to the readers of the document.
func (Size) Schema(huma.Registry) *huma.Schema {
	return &huma.Schema{
		Description: "One of the menu's sizes, or its place there: 0 to 3.", Examples: []any{"M"},
		OneOf: []*huma.Schema{{Type: huma.TypeString}, {Type: huma.TypeInteger}},
	}
}
