// Command join adds the customer's name, from the table customers-table, to each order. The order's key is the customer's
// id, so both are in partitions with the same number. Topics: orders, customers-table, named. Run it with -brokers.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"strings"

	"github.com/lovoo/goka"
	"github.com/lovoo/goka/codec"

	"github.com/ecupcakes/ecupcakes/gokaplus"
)

func main() {
	brokers := flag.String("brokers", "localhost:9092", "addresses of brokers, separated by commas")
	flag.Parse()
	if err := run(strings.Split(*brokers, ",")); err != nil {
		log.Fatal(err)
	}
}

func run(brokers []string) error {
	var o gokaplus.Options
	if err := emit(brokers, "customers-table", "c1", "Ana"); err != nil { // written by another group, as a rule
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	processor, err := gokaplus.NewProcessor(brokers, goka.DefineGroup("naming",
		goka.Input("orders", new(codec.String), func(ctx goka.Context, order any) {
			name, _ := ctx.Join("customers-table").(string)
			ctx.Emit("named", ctx.Key(), fmt.Sprintf("%s for %s", order, name))
			fmt.Printf("%s for %s\n", order, name)
			stop()
		}),
		goka.Join("customers-table", new(codec.String)),
		goka.Output("named", new(codec.String)),
	), o)
	if err != nil {
		return err
	}
	if err := emit(brokers, "orders", "c1", "one cupcake"); err != nil {
		return err
	}
	return processor.Run(ctx) // it reads the table first
}

func emit(brokers []string, topic goka.Stream, key, value string) error {
	e, err := gokaplus.NewEmitter(brokers, topic, new(codec.String), gokaplus.Options{})
	if err != nil {
		return err
	}
	if err := e.EmitSync(key, value); err != nil {
		return err
	}
	return e.Finish()
}
