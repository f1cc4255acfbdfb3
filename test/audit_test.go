package test

import (
	"context"
	"encoding/json"
	"errors"
	"maps"
	"os/exec"
	"testing"
)

// audit is what `ecupcakes verify` says about a line.
type audit struct {
	Orders, InFlight, DeadLetters int
	Lost, Doubled, Wrong          int
	Places                        map[string]int
	Stages                        []struct{ Bad, Repeated, Expired int }
	Findings                      []string
	said                          []byte
}

// auditOf audits a line with the program's own auditor; args say which.
func auditOf(t *testing.T, args ...string) (a audit) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	out, err := exec.CommandContext(ctx, binary, append([]string{"verify", "--json"}, args...)...).Output()
	if broken := json.Unmarshal(out, &a); broken != nil {
		t.Fatalf("verify: %v\n%s", errors.Join(err, broken), out)
	}
	a.said = out
	if (err == nil) != a.clean() {
		t.Fatalf("verify ends with %v and says %s", err, out)
	}
	return a
}

// clean says that nothing is lost, doubled or wrong.
func (a audit) clean() bool { return a.Lost+a.Doubled+a.Wrong == 0 }

// allShipped reports whether nothing is in flight or wrong, and every order is shipped.
func (a audit) allShipped(orders int) bool {
	return a.Orders == orders && a.InFlight == 0 && a.clean() && maps.Equal(a.Places, map[string]int{"shipped": orders})
}

// verified requires a line at rest whose orders have all been shipped.
func verified(t *testing.T, orders int, args ...string) {
	t.Helper()
	if a := auditOf(t, args...); !a.allShipped(orders) {
		t.Errorf("verify says %s, and %d orders should be shipped", a.said, orders)
	}
}
