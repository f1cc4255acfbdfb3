package source

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"unicode/utf8"

	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/hub"
	"github.com/ecupcakes/ecupcakes/order"
	"github.com/ecupcakes/ecupcakes/present"
)

// internal is the code of a call that failed for a reason that is not for the
// screen.
const internal commands.Code = "internal"

// Methods returns what screens can call: Claim and Release. Both take the id of
// an order that waits at the screen's station as their only argument, act for
// the person in front of the screen, and return the order after the command. The
// error of a call is for that person.
func Methods(c *commands.Commands, log *slog.Logger) map[string]hub.Method {
	return map[string]hub.Method{"Claim": method("Claim", c, c.Claim, log), "Release": method("Release", c, c.Release, log)}
}

func method(
	name string, c *commands.Commands,
	command func(context.Context, commands.Hold) (commands.Outcome, error),
	log *slog.Logger,
) hub.Method {
	return func(ctx context.Context, by hub.Caller, arguments []json.RawMessage) (json.RawMessage, error) {
		var id string
		switch {
		case len(arguments) != 1 || json.Unmarshal(arguments[0], &id) != nil:
			return nil, &commands.Error{Code: commands.Invalid, Message: "Give the order's id as the only argument."}
		case by.Person == "" || utf8.RuneCountInString(by.Person) > order.MaxName:
			return nil, &commands.Error{
				Code:    commands.Invalid,
				Message: fmt.Sprintf("Say who you are: connect with person= and a name of at most %d characters.", order.MaxName),
			}
		}
		out, err := command(ctx, commands.Hold{Topic: by.Topic, OrderID: id, By: by.Person})
		var refused *commands.Error
		switch {
		case errors.As(err, &refused):
			return nil, refused
		case err != nil: // What went wrong inside is for the log, not for the screen.
			log.Error("a screen's call failed", "method", name, "error", err)
			return nil, &commands.Error{Code: internal, Message: "Something went wrong here; try again, and tell the factory if it stays."}
		case out.Pending:
			return nil, &commands.Error{
				Code:    commands.NotReady,
				Message: "Nobody has answered yet; it may still be carried out. Look at the order again in a moment.",
			}
		}
		return json.Marshal(present.New(c.Line, out.Order))
	}
}
