package franz_test

import (
	"fmt"

	"github.com/lovoo/goka"
	"github.com/twmb/franz-go/pkg/kgo"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/gokaplus/franz"
)

// A franz-go client that writes to an input of goka needs goka's assignment of keys.
func ExamplePartitioner() {
	p := franz.Partitioner(goka.DefaultHasher()).ForTopic("orders") // usually an argument of kgo.RecordPartitioner
	fmt.Println(p.Partition(&kgo.Record{Key: []byte("order-1")}, 8) == int(gokaplus.Partition([]byte("order-1"), 8)))
	// Output: true
}
