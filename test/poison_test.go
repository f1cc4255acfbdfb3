package test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"
)

// TestDeadLetterRatioFailsReadiness sends a stage nothing but bad messages: the
// program is not ready, and the stage continues to process orders.
func TestDeadLetterRatioFailsReadiness(t *testing.T) {
	t.Parallel()
	f := open(t)
	var rubbish []*kgo.Record
	for i := range 100 {
		key := []byte(fmt.Sprint("rubbish", i))
		rubbish = append(rubbish, &kgo.Record{Topic: "baking-reports", Partition: partitionOf(key), Key: key, Value: []byte("{")})
	}
	produce(t, f.kafka, rubbish)
	f.eventually("/readyz names the stage whose messages are dead letters", func() bool {
		a := f.call("GET", "/readyz", "")
		return a.StatusCode == 503 && strings.Contains(string(a.body), "baking: 100 of the last minute's 100 events are dead letters")
	})
	id := f.place()
	f.finish("mix", "MixedBy", "Ana", id)
	f.finish("bake", "BakedBy", "Ben", id)
	f.stop()
}
