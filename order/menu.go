package order

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
)

// Menu lists what customers can order. The factory's menu is data: see menu.json.
type Menu struct {
	Flavours    []string `json:"flavours"`
	Sizes       []string `json:"sizes"`       // Sizes, smallest first.
	MaxQuantity int      `json:"maxQuantity"` // Largest quantity of one order.

	// Ingredients maps a flavour to the inventory IDs of its ingredients. A flavour without
	// ingredients never sells out.
	Ingredients map[string][]string `json:"ingredients"`
}

//go:embed menu.json
var menuJSON []byte

// DefaultMenu is the factory's menu, read from menu.json.
var DefaultMenu = mustMenu(menuJSON)

func mustMenu(b []byte) Menu {
	var m Menu
	if err := json.Unmarshal(b, &m); err != nil {
		panic(fmt.Sprintf("reading the built-in menu.json: %v", err))
	}
	return m
}

// FieldError describes the problem with one field of an order.
type FieldError struct {
	Field   string // Name of the field: "Flavour", "Size" or "Quantity".
	Value   any    // Rejected value.
	Message string // Problem and remedy, for the customer.
}

// Check returns one error for each field of o that the menu does not offer, in the order Flavour,
// Size, Quantity. It compares flavour and size case-insensitively and sets them to the menu's
// spelling.
func (m Menu) Check(o *Order) (errs []FieldError) {
	if !canonicalize(&o.Flavour, m.Flavours) {
		message := "not on the menu; choose one of " + strings.Join(m.Flavours, ", ")
		errs = append(errs, FieldError{Field: "Flavour", Value: o.Flavour, Message: message})
	}
	if !canonicalize(&o.Size, m.Sizes) {
		message := fmt.Sprintf("not on the menu; choose one of %s, or 0 to %d", strings.Join(m.Sizes, ", "), len(m.Sizes)-1)
		errs = append(errs, FieldError{Field: "Size", Value: o.Size, Message: message})
	}
	if o.Quantity < 1 || o.Quantity > m.MaxQuantity {
		message := fmt.Sprintf("must be 1 to %d", m.MaxQuantity)
		errs = append(errs, FieldError{Field: "Quantity", Value: o.Quantity, Message: message})
	}
	return errs
}

// canonicalize sets value to the choice that it equals case-insensitively, and reports whether
// there is one.
func canonicalize(value *string, choices []string) bool {
	i := slices.IndexFunc(choices, func(s string) bool { return strings.EqualFold(s, *value) })
	if i >= 0 {
		*value = choices[i]
	}
	return i >= 0
}
