package order

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Menu is what customers can order. It is data: menu.json beside this file.
type Menu struct {
	Flavours    []string `json:"flavours"`
	Sizes       []string `json:"sizes"` // Smallest first.
	MaxQuantity int      `json:"maxQuantity"`

	// Ingredients are those of each flavour, by the ids that they have in the
	// inventory. A flavour without any is never sold out.
	Ingredients map[string][]string `json:"ingredients"`
}

//go:embed menu.json
var menuJSON []byte

// DefaultMenu is the factory's menu.
var DefaultMenu = mustMenu(menuJSON)

func mustMenu(b []byte) Menu {
	var m Menu
	if err := json.Unmarshal(b, &m); err != nil {
		panic(fmt.Sprintf("reading the built-in menu.json: %v", err))
	}
	return m
}

// FieldError says what is wrong with one field of an order.
type FieldError struct {
	Field   string // "Flavour", "Size" or "Quantity".
	Value   any
	Message string // For a person, with what to do next.
}

// Check returns one error for each field of o that the menu does not offer, in
// the order Flavour, Size, Quantity. Flavour and size are matched without
// regard to case; o gets the menu's own spelling.
func (m Menu) Check(o *Order) (errs []FieldError) {
	if !choose(m.Flavours, &o.Flavour) {
		errs = append(errs, FieldError{"Flavour", o.Flavour, "not on the menu; choose one of " + strings.Join(m.Flavours, ", ")})
	}
	if !choose(m.Sizes, &o.Size) {
		errs = append(errs, FieldError{"Size", o.Size, "not on the menu; choose one of " + strings.Join(m.Sizes, ", ") + fmt.Sprintf(", or 0 to %d", len(m.Sizes)-1)})
	}
	if o.Quantity < 1 || o.Quantity > m.MaxQuantity {
		errs = append(errs, FieldError{"Quantity", o.Quantity, fmt.Sprintf("must be 1 to %d", m.MaxQuantity)})
	}
	return errs
}

func choose(from []string, value *string) bool {
	i := slices.IndexFunc(from, func(s string) bool { return strings.EqualFold(s, *value) })
	if i >= 0 {
		*value = from[i]
	}
	return i >= 0
}
