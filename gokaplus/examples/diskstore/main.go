// Command diskstore keeps a view on disk. The second run of the view does not read the table from Kafka again. Topic:
// prices-table. Run it with -brokers, and with -dir for a directory that lasts.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"os"
	"strings"
	"time"

	"github.com/lovoo/goka/codec"

	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/gokaplus/diskstore"
)

func main() {
	brokers := flag.String("brokers", "localhost:9092", "addresses of brokers, separated by commas")
	dir := flag.String("dir", "", "directory of the rows; empty for a temporary one")
	flag.Parse()
	if err := run(strings.Split(*brokers, ","), *dir); err != nil {
		log.Fatal(err)
	}
}

func run(brokers []string, dir string) (err error) {
	if dir == "" {
		if dir, err = os.MkdirTemp("", "diskstore"); err != nil {
			return err
		}
		defer os.RemoveAll(dir)
	}
	o := gokaplus.Options{}
	o.Storage = diskstore.Builder(dir, brokers, o)
	e, err := gokaplus.NewEmitter(brokers, "prices-table", new(codec.Int64), o)
	if err != nil {
		return err
	}
	if err := e.EmitSync("cupcake", int64(3)); err != nil {
		return err
	}
	if err := e.Finish(); err != nil {
		return err
	}
	for i := range 2 {
		if err := show(brokers, o, i+1); err != nil {
			return err
		}
	}
	return nil
}

func show(brokers []string, o gokaplus.Options, run int) error {
	v, err := gokaplus.NewView(brokers, "prices-table", new(codec.Int64), o)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	ended := make(chan error, 1)
	go func() { ended <- v.Run(ctx) }()
	for poll := time.Tick(10 * time.Millisecond); !v.Recovered(); <-poll {
	}
	price, err := v.Get("cupcake")
	if err != nil {
		return err
	}
	fmt.Printf("run %d: a cupcake costs %v\n", run, price)
	stop()
	return <-ended
}
