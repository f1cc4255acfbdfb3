package app

import (
	"context"
	"errors"
	"net"
	"net/http"
	"strings"
	"time"

	"github.com/ecupcakes/ecupcakes/api"
	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/gokaplus"
	"github.com/ecupcakes/ecupcakes/hub"
	"github.com/ecupcakes/ecupcakes/hub/screengroups"
	"github.com/ecupcakes/ecupcakes/hub/source"
	"github.com/ecupcakes/ecupcakes/kafka"
	"github.com/ecupcakes/ecupcakes/ops/deadletters"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/upkeep"
	"github.com/ecupcakes/ecupcakes/views"
	"github.com/ecupcakes/ecupcakes/views/forecast"
	"github.com/ecupcakes/ecupcakes/views/freshness"
	"github.com/ecupcakes/ecupcakes/views/inventory"
	"github.com/ecupcakes/ecupcakes/web"
)

// doors is what the role api starts, for the steps that need the ones before.
type doors struct {
	listener net.Listener
	producer *kafka.Producer
	letters  *deadletters.Letters
	views    *views.Views
	stock    *inventory.Stock
	fresh    *freshness.Monitor
	commands *commands.Commands
	hub      *hub.Hub
	api      http.Handler
	endWaits context.CancelFunc // Answers the requests that wait for a change.
}

// startAPI starts the web page, the API, the hub and the upkeep. A step uses
// what the steps before it have started, and stops before them.
func (a *App) startAPI() error {
	d := &doors{}
	for _, step := range []func(*doors) error{
		a.openDoors, a.startViews, a.startFreshness, a.startCommands, a.startHub, a.startUpkeep, a.serveDoors,
	} {
		if err := step(d); err != nil {
			return err
		}
	}
	return nil
}

// openDoors opens the listener and the clients of Kafka. The listener comes
// first: an address that is in use is the most frequent reason not to start.
func (a *App) openDoors(d *doors) (err error) {
	if d.listener, err = a.listen(a.Listen, "--listen"); err != nil {
		return err
	}
	if d.producer, err = kafka.NewProducer(a.Kafka); err != nil {
		return err
	}
	a.stops.push("closing the producer", func() error { d.producer.Close(); return nil })
	if d.letters, err = deadletters.Open(a.Kafka, a.Line); err != nil {
		return err
	}
	a.stops.push("closing the dead letters", func() error { d.letters.Close(); return nil })
	return nil
}

func (a *App) startViews(d *doors) error {
	d.views = views.New(a.Line, a.Log)
	d.stock = inventory.New(order.DefaultMenu, a.Log)
	var stops []func() error
	for i, s := range a.Line.Stages {
		build := func(ctx context.Context) (gokaplus.Runner, error) {
			return d.views.View(ctx, i, a.Kafka.Brokers, a.admin.EndOffsets, a.goka)
		}
		stops = append(stops, a.supervise("view", s.Name, gokaplus.SuperviseOptions{ShutdownTimeout: viewsTimeout}, build))
	}
	if topic := a.Line.Ingredients; topic != "" {
		build := func(context.Context) (gokaplus.Runner, error) { return d.stock.View(topic, a.Kafka.Brokers, a.goka) }
		stops = append(stops, a.keep("view of "+topic, gokaplus.SuperviseOptions{ShutdownTimeout: viewsTimeout}, build))
	}
	a.stops.push("stopping the views", func() error {
		if err := together(stops)(); !errors.Is(err, gokaplus.ErrAbandoned) { // A view that hangs on a broker loses nothing.
			return err
		}
		return nil
	})
	a.Registry.MustRegister(views.Metrics{Views: d.views})
	return nil
}

func (a *App) startFreshness(d *doors) error {
	d.fresh = freshness.New(freshness.Options{
		Line: a.Line, Ranges: a.admin.AllRanges, Ends: a.admin.AllEndOffsets, Groups: a.admin.Groups, Views: d.views, Log: a.Log,
	})
	a.Registry.MustRegister(freshness.Metrics{Monitor: d.fresh})
	a.stops.background("the measuring of freshness", d.fresh.Run)
	return nil
}

func (a *App) startCommands(d *doors) error {
	d.commands = commands.New(commands.Config{
		Line: a.Line, Menu: order.DefaultMenu, Stock: d.stock, Views: d.views,
		Send: d.producer.Send, Trace: a.trace, Log: a.Log, ClaimTTL: a.ClaimTTL,
	})
	var stopping context.Context
	stopping, d.endWaits = context.WithCancel(context.Background())
	a.stops.push("ending the waits for orders", func() error { d.endWaits(); return nil })
	d.api = api.New(api.Config{
		Line: a.Line, Menu: order.DefaultMenu, Stock: d.stock, Views: d.views, Commands: d.commands, Letters: d.letters,
		Fresh: d.fresh.Of, Ready: func() error { return errors.Join(d.views.Ready(), a.unhealthy()) },
		Registry: a.Registry, Log: a.Log, Trace: a.trace, Version: a.Version, Stopping: stopping,
	})
	return nil
}

func (a *App) startHub(d *doors) (err error) {
	groups := screengroups.New(a.Kafka)
	a.stops.push("leaving the consumer groups of screens", func() error { groups.Close(); return nil })
	d.hub, err = hub.New(source.New(a.Line, d.views, a.trace), source.Stations(a.Line), a.Log, hub.Options{
		Groups:    groups,
		Partition: func(id string) int32 { return gokaplus.Partition([]byte(id), int(a.Partitions)) },
		Freshness: source.Freshness(a.Line, d.fresh.Of),
		Methods:   source.Methods(d.commands, a.Log),
	})
	if err != nil {
		return err
	}
	groups.Notify(func(group, topic string, s screengroups.Assignment) {
		d.hub.Shared(group, topic, s.Partitions, s.People, s.Joined)
	})
	a.Registry.MustRegister(hub.Metrics{Hub: d.hub})
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() {
		err := d.hub.Run(ctx)
		if err != nil {
			a.fail(err)
		}
		done <- err
	}()
	a.stops.push("stopping the hub", func() error { cancel(); return <-done })
	return nil
}

// reportTimeout is how long a report of the upkeep waits for Kafka; it is sent
// again later.
const reportTimeout = 5 * time.Second

func (a *App) startUpkeep(d *doors) error {
	sender := commands.Sender{Line: a.Line, Send: d.producer.Send, Timeout: reportTimeout}
	a.stops.background("the renewal of claims", func(ctx context.Context) {
		upkeep.RenewClaims(ctx, upkeep.Claims{TTL: a.ClaimTTL, Views: d.views, Present: d.hub.Present, Sender: sender, Log: a.Log})
	})
	if a.Expiry > 0 {
		a.stops.background("the expiry of orders", func(ctx context.Context) {
			upkeep.ForgetOrders(ctx, upkeep.Expiry{
				After: a.Expiry, Views: d.views, EndOffsets: a.admin.EndOffsets, Committed: a.admin.Committed, Sender: sender, Log: a.Log,
			})
		})
	}
	a.stops.background("the accuracy of estimates", forecast.NewAccuracy(d.views, a.Registry).Run)
	return nil
}

func (a *App) serveDoors(d *doors) error {
	client := web.Handler()
	server := a.serve(d.listener, func(w http.ResponseWriter, r *http.Request) {
		switch {
		case r.URL.Path == hub.Path || strings.HasPrefix(r.URL.Path, hub.Path+"/"):
			d.hub.ServeHTTP(w, r)
		case api.Owns(r.URL.Path):
			d.api.ServeHTTP(w, r)
		default:
			client.ServeHTTP(w, r)
		}
	})
	server.RegisterOnShutdown(d.endWaits)
	a.stops.push("draining HTTP", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), drainTimeout)
		defer cancel()
		return errors.Join(d.hub.Shutdown(ctx), server.Shutdown(ctx))
	})
	a.addr.URL = "http://" + d.listener.Addr().String()
	return nil
}
