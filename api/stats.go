package api

import (
	"context"
	"net/http"
	"time"

	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/views/forecast"
	"github.com/ecupcakes/ecupcakes/views/stats"
)

// StageStats is how a stage does.
type StageStats struct {
	Stage           string     `json:"stage"`
	Waiting         int        `json:"waiting" doc:"How many orders wait there, those that somebody is on among them."`
	InWork          int        `json:"inWork" doc:"How many of them somebody has taken on."`
	OldestArrivedOn *time.Time `json:"oldestArrivedOn,omitempty" doc:"Since when the first one waits."`
	Arrived         int        `json:"arrived" doc:"Orders that came in the last hour."`
	Done            int        `json:"done" doc:"Orders that were finished in the last hour."`
	Rejected        int        `json:"rejected" doc:"Orders that were rejected in the last hour."`
	RejectRate      float64    `json:"rejectRate" minimum:"0" maximum:"1" doc:"The share of the rejected ones in those that left in the last hour."`
	PerHour         float64    `json:"perHour" doc:"How many leave in an hour: of the last hour or, on a line that has not seen an order for so long, since its first one."`
	ExpectedSeconds float64    `json:"expectedSeconds" doc:"How long an order that comes now will be there, by Little's law: how many are there, divided by how many leave."`
	P50Seconds      float64    `json:"p50Seconds" doc:"From an order's arrival to its being done there: half of the last ones took at most so long."`
	P90Seconds      float64    `json:"p90Seconds" doc:"Nine in ten took at most so long."`
	Sample          int        `json:"sample" doc:"Of how many orders that is; the last 256 at most."`
	DoneSeries      []int      `json:"doneSeries" nullable:"false" doc:"Orders that were finished, by bucket."`
	RejectedSeries  []int      `json:"rejectedSeries" nullable:"false" doc:"Orders that were rejected, by bucket."`
	WaitingSeries   []int      `json:"waitingSeries" nullable:"false" doc:"Orders that were there or on their way there, at the end of each bucket, in the last one now."`
}

type statsInput struct {
	Hours int `query:"hours" minimum:"1" maximum:"8" default:"4" doc:"How far back the series go."`
}

type statsOutput struct {
	Body struct {
		Now           time.Time    `json:"now"`
		Bottleneck    string       `json:"bottleneck,omitempty" doc:"The stage with the longest expectedSeconds, if that is at least its warnSeconds; absent when nothing holds up the line."`
		Stages        []StageStats `json:"stages" nullable:"false" doc:"In the order of the line."`
		From          time.Time    `json:"from" doc:"When the first bucket of the series begins. The last one is the present one."`
		BucketSeconds int          `json:"bucketSeconds"`
	}
}

// stats tells how the line does, from the orders that are known now.
func (a *api) stats(_ context.Context, in *statsInput) (*statsOutput, error) {
	if err := a.ready(); err != nil {
		return nil, err
	}
	out, now := &statsOutput{}, time.Now().UTC().Truncate(time.Millisecond)
	var stages []stats.Stage
	var series []stats.Series
	a.Views.Stats(func(l *stats.Figures) {
		stages = l.Stages(now)
		out.Body.From, series = l.Series(now, in.Hours)
	})
	stations, _ := a.Views.Stations()
	out.Body.Now, out.Body.BucketSeconds = now, int(stats.Bucket.Seconds())
	for i, s := range stages {
		one := StageStats{
			Stage: a.Line.Stages[i].Name, Waiting: stations[i].Waiting, Arrived: s.Arrived, Done: s.Done, Rejected: s.Rejected,
			PerHour: s.PerHour, ExpectedSeconds: s.Expected.Seconds(), P50Seconds: s.P50.Seconds(), P90Seconds: s.P90.Seconds(), Sample: s.Sample,
			DoneSeries: series[i].Done, RejectedSeries: series[i].Rejected, WaitingSeries: series[i].Waiting,
		}
		if left := s.Done + s.Rejected; left > 0 {
			one.RejectRate = float64(s.Rejected) / float64(left)
		}
		if stations[i].Waiting > 0 {
			one.OldestArrivedOn = &stations[i].Oldest
		}
		out.Body.Stages = append(out.Body.Stages, one)
	}
	for _, c := range a.Views.Claims() {
		out.Body.Stages[c.Stage].InWork++
	}
	if worst := stats.Bottleneck(stages, func(i int) time.Duration { return a.Line.Stages[i].Age.Warn }); worst >= 0 {
		out.Body.Bottleneck = a.Line.Stages[worst].Name
	}
	return out, nil
}

// Estimate says when an order will be shipped.
type Estimate struct {
	P50On *time.Time `json:"p50On,omitempty" doc:"It is as likely to be shipped before as after that; absent if there is no estimate yet."`
	P90On *time.Time `json:"p90On,omitempty" doc:"Nine in ten such orders are shipped before that; absent if there is no estimate yet."`
	Ahead int        `json:"ahead" doc:"How many orders are before it."`
	Basis int        `json:"basis" doc:"From how many recent orders of each stage that follows from, the fewest."`
	Needs int        `json:"needs" doc:"With a smaller basis nothing is said."`
}

type estimateInput struct {
	ID string `path:"id" maxLength:"64" doc:"The order's id."`
}

type estimateOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         Estimate
}

// estimate is no part of the order because it changes with what happens to
// others: an order's ETag would change all the time.
func (a *api) estimate(_ context.Context, in *estimateInput) (*estimateOutput, error) {
	if err := a.ready(); err != nil {
		return nil, err
	}
	f, onLine := forecast.For(a.Views, in.ID, time.Now())
	if !onLine {
		o, ok := a.Views.Order(in.ID)
		if !ok {
			return nil, a.refused(commands.Unknown(in.ID))
		}
		return nil, problem(alreadyDone, http.StatusConflict, "The order has left the line: there is nothing to wait for.").about(a.order(o))
	}
	out := &estimateOutput{"no-store", Estimate{Ahead: f.Ahead, Basis: f.Basis, Needs: forecast.Enough}}
	if !f.P50.IsZero() {
		out.Body.P50On, out.Body.P90On = &f.P50, &f.P90
	}
	return out, nil
}

const (
	boardTime = 15 * time.Minute // After which nobody comes for an order any more.
	maxBoard  = 48               // orders of each kind: more fit no wall
	shortID   = 6                // characters of an order's id
)

type boardOutput struct {
	Body struct {
		Almost []string `json:"almost" nullable:"false" doc:"The last characters of the ids of orders that are at the last two stages, those at the last one first, at most 48."`
		Ready  []string `json:"ready" nullable:"false" doc:"Those of orders that were shipped in the last 15 minutes, newest first, at most 48."`
	}
}

// board is for everybody to see, so it says which orders, and not whose or
// what.
func (a *api) board(context.Context, *struct{}) (*boardOutput, error) {
	if err := a.ready(); err != nil {
		return nil, err
	}
	out, last := &boardOutput{}, len(a.Line.Stages)-1
	out.Body.Almost, out.Body.Ready = []string{}, []string{}
	for i := last; i >= max(0, last-1); i-- {
		orders, _, _ := a.Views.WaitingLazily(i, maxBoard-len(out.Body.Almost))
		for _, o := range orders {
			out.Body.Almost = append(out.Body.Almost, short(o.ID()))
		}
	}
	var left []stats.Visit
	a.Views.Stats(func(l *stats.Figures) { left = l.Recent(last) })
	since := time.Now().Add(-boardTime)
	for i := len(left) - 1; i >= 0 && left[i].Left.After(since) && len(out.Body.Ready) < maxBoard; i-- {
		if !left[i].Rejected {
			out.Body.Ready = append(out.Body.Ready, short(left[i].ID))
		}
	}
	return out, nil
}

func short(id string) string { return id[max(0, len(id)-shortID):] }
