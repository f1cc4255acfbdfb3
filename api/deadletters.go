package api

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/ecupcakes/ecupcakes/ops/deadletters"
	"github.com/ecupcakes/ecupcakes/views"
)

// maxLetters bounds the requests about dead letters that are served at a time.
// One of them reads, the others wait for it.
const maxLetters = 16

// DeadLetter is a message that the line could not process, as clients see it.
type DeadLetter struct {
	ID        string    `json:"id" example:"3-17" doc:"Partition and offset of the letter on the dead-letter topic."`
	Time      time.Time `json:"time" doc:"When the stage wrote the dead letter."`
	Stage     string    `json:"stage"`
	Reason    string    `json:"reason" doc:"Why the stage could not process the message."`
	Topic     string    `json:"topic" doc:"Topic from which the stage read the message."`
	Partition int32     `json:"partition"`
	Offset    int64     `json:"offset"`
	Key       string    `json:"key"`
	Size      int       `json:"size" doc:"Size of the message's value, in bytes."`
	Truncated bool      `json:"truncated,omitempty" doc:"Only the beginning of the value is stored."`
	Trace     string    `json:"trace,omitempty" doc:"W3C traceparent of the message."`
	Resolved  string    `json:"resolved,omitempty" enum:"requeued,dropped" doc:"How the dead letter was resolved; absent while it is open."`
	By        string    `json:"by,omitempty" doc:"Person who resolved it."`
	Value     *string   `json:"value,omitempty" doc:"Value of the message; absent in lists."`
	Encoding  string    `json:"encoding,omitempty" enum:"text,base64" doc:"Encoding of value: text if the message is valid UTF-8, base64 otherwise."`
}

func presentLetter(l deadletters.Letter) DeadLetter {
	return DeadLetter{
		ID: l.ID, Time: l.Time, Stage: l.Stage, Reason: l.Reason, Topic: l.Topic, Partition: l.Partition, Offset: l.Offset,
		Key: l.Key, Size: l.Size, Truncated: l.Truncated, Trace: l.Trace, Resolved: l.Resolved, By: l.By,
	}
}

type lettersInput struct {
	Stage  string `query:"stage" maxLength:"64" doc:"Only dead letters of this stage."`
	All    bool   `query:"all" doc:"Include resolved dead letters."`
	Limit  int    `query:"limit" minimum:"1" maximum:"500" default:"100"`
	Cursor string `query:"cursor" maxLength:"256" doc:"Value of next in the previous page."`
}

type lettersOutput struct {
	Body struct {
		DeadLetters []DeadLetter `json:"deadLetters" nullable:"false" doc:"Oldest first; without a cursor, the newest page. Keys and texts are truncated to 1 kB."`
		Count       int          `json:"count" doc:"Number of dead letters on all pages. Only the newest 10,000 are listed and counted."`
		LeftOut     bool         `json:"leftOut,omitempty" doc:"There are older dead letters that are not counted; they appear once newer ones are resolved."`
		Next        string       `json:"next,omitempty" doc:"Cursor of the page with older dead letters; absent on the last page."`
	}
}

// letters lists dead letters. It answers 503 while the topic is still being
// read; a retry continues where the last request stopped.
func (a *api) letters(ctx context.Context, in *lettersInput) (*lettersOutput, error) {
	if in.Stage != "" && a.Line.Index(in.Stage) < 0 {
		return nil, a.noStage(http.StatusUnprocessableEntity, in.Stage)
	}
	from, err := parseCursor(in.Cursor)
	if err != nil || in.Cursor != "" && !deadletters.ValidID(from.ID) {
		return nil, badCursor()
	}
	ctx, cancel := context.WithTimeout(ctx, a.Patience)
	defer cancel()
	list, err := a.Letters.List(ctx, deadletters.Filter{
		Stage: in.Stage, All: in.All, Limit: in.Limit, Before: deadletters.Position{Time: from.Placed, ID: from.ID},
	})
	if err != nil {
		return nil, a.letterProblem("", err)
	}
	out := &lettersOutput{}
	out.Body.Count, out.Body.DeadLetters = list.Count, make([]DeadLetter, len(list.Letters))
	for i, l := range list.Letters {
		out.Body.DeadLetters[i] = presentLetter(l)
	}
	out.Body.LeftOut = list.LeftOut
	if list.More {
		oldest := list.Letters[0]
		out.Body.Next = formatCursor(views.Cursor{Placed: oldest.Time, ID: oldest.ID})
	}
	return out, nil
}

type letterInput struct {
	ID string `path:"id" maxLength:"64" doc:"ID of the dead letter."`
}

type letterOutput struct{ Body DeadLetter }

// letter shows a dead letter with its value.
func (a *api) letter(ctx context.Context, in *letterInput) (*letterOutput, error) {
	ctx, cancel := context.WithTimeout(ctx, a.Patience)
	defer cancel()
	l, err := a.Letters.Find(ctx, in.ID)
	if err != nil {
		return nil, a.letterProblem(in.ID, err)
	}
	out := &letterOutput{presentLetter(l)}
	value := string(l.Value)
	if out.Body.Encoding = "text"; !utf8.ValidString(value) {
		value, out.Body.Encoding = base64.StdEncoding.EncodeToString(l.Value), "base64"
	}
	out.Body.Value = &value
	return out, nil
}

type resolveInput struct {
	ID   string `path:"id" maxLength:"64" doc:"ID of the dead letter."`
	Body *struct {
		_  struct{} `additionalProperties:"true"`
		By string   `json:"by,omitempty" maxLength:"64" doc:"Person who resolves it; \"manager\" if absent."`
	}
}

type resolveOutput struct {
	Body struct {
		DeadLetter DeadLetter `json:"deadLetter" doc:"The dead letter after the command."`
		Before     bool       `json:"before" doc:"It was resolved this way before; this call changed nothing."`
	}
}

// resolve returns the handler that requeues or drops a dead letter. It is
// idempotent once the resolution is durable. After a 503 the message may have
// been sent, and a retry may send it twice; the stage ignores the duplicate.
func (a *api) resolve(resolution string) func(context.Context, *resolveInput) (*resolveOutput, error) {
	return func(ctx context.Context, in *resolveInput) (*resolveOutput, error) {
		ctx, cancel := context.WithTimeout(ctx, a.Patience)
		defer cancel()
		by := ""
		if in.Body != nil {
			by = strings.TrimSpace(in.Body.By)
		}
		act := a.Letters.Requeue
		if resolution == deadletters.Dropped {
			act = a.Letters.Drop
		}
		now, before, err := act(ctx, in.ID, cmp.Or(by, "manager"))
		switch {
		case err != nil:
			return nil, a.letterProblem(in.ID, err)
		case now.Resolved != resolution:
			return nil, resolvedBefore(now)
		}
		out := &resolveOutput{}
		out.Body.DeadLetter, out.Body.Before = presentLetter(now), before
		return out, nil
	}
}

func resolvedBefore(l deadletters.Letter) *Problem {
	next := "its message is on the line again, and there is nothing left to do"
	if l.Resolved == deadletters.Dropped {
		next = "if it is needed after all, place the order again"
	}
	return problem(alreadyDone, http.StatusConflict, "The dead letter was %s before by %.80q: %s.", l.Resolved, l.By, next)
}

// letterProblem turns an error of the dead letters into a problem.
func (a *api) letterProblem(id string, err error) *Problem {
	var stuck *deadletters.StuckError
	var reading *deadletters.ReadingError
	switch {
	case errors.Is(err, deadletters.ErrUnknown):
		return problem("unknown-dead-letter", http.StatusNotFound,
			"There is no dead letter %.80q, or not any more: see GET /api/v1/deadletters.", id)
	case errors.As(err, &stuck):
		return problem("cannot-requeue", http.StatusConflict, "The dead letter cannot be requeued: %s.", stuck.Why)
	case errors.As(err, &reading):
		return problem(notReady, http.StatusServiceUnavailable,
			"The dead letters are still being read, %d %% are done: try again.", reading.Percent).retry(time.Second)
	case errors.Is(err, deadletters.ErrBusy):
		return problem(tooManyAtOnce, http.StatusServiceUnavailable,
			"Too many requests about dead letters are being served: try again.").retry(time.Second)
	}
	if !errors.Is(err, context.Canceled) { // A client that has hung up is no fault of the broker.
		a.Log.Warn("a request about dead letters was not answered by Kafka", "error", err)
	}
	return problem(noBroker, http.StatusServiceUnavailable,
		"The broker has not answered; a command may still be carried out. "+
			"Try again: what is done already is not done twice.").retry(2 * time.Second)
}
