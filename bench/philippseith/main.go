// Command philippseith is a server on github.com/philippseith/signalr that bench
// compares the hub with. It is a module of its own, so that nothing of that
// library comes near the product.
//
// It says where it is and tells all screens of the same order at each POST to
// /event.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/philippseith/signalr"
)

// event is the same as bench's eventOrder.
var event = json.RawMessage(`{"id":"01a210bf-3ff0-714b-bb0c-5e1b7f2ff3eb","flavour":"Strawberry","size":"M","quantity":1,"status":"placed","placedOn":"2026-11-26T08:00:00.000Z","stage":"mixing","state":"waiting","history":[]}`)

// quiet logs nothing.
type quiet struct{}

func (quiet) Log(...any) error { return nil }

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := serve(ctx); err != nil {
		fmt.Fprintln(os.Stderr, "philippseith:", err)
		os.Exit(1)
	}
}

func serve(ctx context.Context) error {
	s, err := signalr.NewServer(ctx, signalr.SimpleHubFactory(&signalr.Hub{}), signalr.Logger(quiet{}, false),
		signalr.KeepAliveInterval(10*time.Second), signalr.TimeoutInterval(30*time.Second)) // As the hub pings its screens.
	if err != nil {
		return err
	}
	mux := http.NewServeMux()
	s.MapHTTP(signalr.WithHTTPServeMux(mux), "/hub")
	mux.HandleFunc("GET /readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("POST /event", func(http.ResponseWriter, *http.Request) { s.HubClients().All().Send("InformNewOrderToMix", event) })
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux, ReadHeaderTimeout: time.Minute}
	go func() {
		<-ctx.Done()
		_ = server.Close()
	}()
	address, _ := json.Marshal(map[string]string{"url": "http://" + listener.Addr().String()}) // Strings cannot fail.
	fmt.Println(string(address))
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}
