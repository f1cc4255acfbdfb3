package test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestClaims has Ana claim orders: one that she keeps as long as she has a
// screen, and one whose screen dies with its instance.
func TestClaims(t *testing.T) {
	t.Parallel()
	brokers := realKafka(t, 1).Brokers()
	const lapse = 2 * time.Second
	serve := func(roles, instance string) *factory {
		return opened(t, &factory{t: t, kafka: brokers, serve: []string{"--roles", roles, "--instance", instance, "--claim-lapse", lapse.String()}})
	}
	one, two := serve("processors,api", "one"), serve("api", "two")
	claim := func(f *factory, status int, id, by string) answer {
		f.must(http.StatusOK, "GET", "/api/v1/order/"+id, "", "Prefer", "wait=30")
		return f.must(status, "POST", "/api/v1/order/claim", fmt.Sprintf(`{"Order":{"Id":%q},"By":%q}`, id, by))
	}
	claimedBy := func(id string) string {
		var o struct{ ClaimedBy string }
		one.must(http.StatusOK, "GET", "/api/v1/order/"+id, "", "Prefer", "wait=30").decode(t, &o)
		return o.ClaimedBy
	}

	kept := one.place()
	screen := one.screen("", "Ana")
	claim(two, http.StatusOK, kept, "Ana") // Where her screen is does not matter.
	one.eventually("everybody knows of the claim", func() bool { return claimedBy(kept) == "Ana" })
	until := time.Now().Add(2 * lapse)
	one.eventually("the claim was renewed twice", func() bool {
		if by := claimedBy(kept); by != "Ana" {
			t.Fatalf("%q is on the order", by)
		}
		return time.Now().After(until)
	})
	if a := claim(two, http.StatusConflict, kept, "Ben"); !strings.Contains(string(a.body), "Ana is on this order") {
		t.Errorf("Ben is told %s", a.body)
	}
	screen.close()
	one.eventually("nobody is on the order of a screen that has gone", func() bool { return claimedBy(kept) == "" })

	orphaned := one.place()
	two.screen("", "Ana")
	claim(one, http.StatusOK, orphaned, "Ana")
	two.kill()
	one.eventually("nobody is on the order of a screen whose instance has died", func() bool { return claimedBy(orphaned) == "" })
	for _, id := range []string{kept, orphaned} {
		claim(one, http.StatusOK, id, "Ben")
		one.must(http.StatusConflict, "POST", "/api/v1/order/mix", fmt.Sprintf(`{"Order":{"Id":%q,"MixedBy":"Ana"}}`, id))
		one.finish("mix", "MixedBy", "Ben", id)
	}
	one.stop()
	if a := auditOf(t, "--brokers", brokers); !a.clean() || a.InFlight != 0 {
		t.Errorf("verify says %s", a.said)
	}
}
