package api

import (
	"context"
	"net/http"
	"time"

	"github.com/ecupcakes/ecupcakes/commands"
	"github.com/ecupcakes/ecupcakes/views/forecast"
	"github.com/ecupcakes/ecupcakes/views/stats"
)

// StageStats are the figures of a stage.
type StageStats struct {
	Stage           string     `json:"stage"`
	Waiting         int        `json:"waiting" doc:"Number of orders that wait there, claimed ones included."`
	InWork          int        `json:"inWork" doc:"Number of waiting orders that are claimed."`
	OldestArrivedOn *time.Time `json:"oldestArrivedOn,omitempty" doc:"Arrival of the order that has waited longest; absent if none waits."`
	Arrived         int        `json:"arrived" doc:"Orders that arrived in the last hour."`
	Done            int        `json:"done" doc:"Orders that were finished in the last hour."`
	Rejected        int        `json:"rejected" doc:"Orders that were rejected in the last hour."`
	RejectRate      float64    `json:"rejectRate" minimum:"0" maximum:"1" doc:"Rejected orders divided by all that left the stage in the last hour."`
	PerHour         float64    `json:"perHour" doc:"Throughput in orders per hour: over the last hour, or since the first order if that is less than an hour ago."`
	ExpectedSeconds float64    `json:"expectedSeconds" doc:"Expected time at the stage of an order that arrives now, by Little's law: orders present divided by throughput."`
	P50Seconds      float64    `json:"p50Seconds" doc:"Median time from arrival to completion of recent orders."`
	P90Seconds      float64    `json:"p90Seconds" doc:"90th percentile of that time."`
	Sample          int        `json:"sample" doc:"Number of orders in that sample, at most the last 256."`
	DoneSeries      []int      `json:"doneSeries" nullable:"false" doc:"Finished orders by bucket."`
	RejectedSeries  []int      `json:"rejectedSeries" nullable:"false" doc:"Rejected orders by bucket."`
	WaitingSeries   []int      `json:"waitingSeries" nullable:"false" doc:"Orders waiting there or on their way there at the end of each bucket; for the last bucket, now."`
}

type statsInput struct {
	Hours int `query:"hours" minimum:"1" maximum:"8" default:"4" doc:"Length of the series, in hours."`
}

type statsOutput struct {
	Body struct {
		Now           time.Time    `json:"now"`
		Bottleneck    string       `json:"bottleneck,omitempty" doc:"Stage with the longest expectedSeconds, if that is at least its warnSeconds; absent if there is no bottleneck."`
		Stages        []StageStats `json:"stages" nullable:"false" doc:"In the order of the line."`
		From          time.Time    `json:"from" doc:"Start of the first bucket. The last bucket is the current one."`
		BucketSeconds int          `json:"bucketSeconds"`
	}
}

// stats answers with the figures of the line, computed from the views.
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

// Estimate is the expected shipping time of an order.
type Estimate struct {
	P50On *time.Time `json:"p50On,omitempty" doc:"Median of the expected shipping time; absent without an estimate."`
	P90On *time.Time `json:"p90On,omitempty" doc:"90th percentile of the expected shipping time; absent without an estimate."`
	Ahead int        `json:"ahead" doc:"Number of orders ahead of it."`
	Basis int        `json:"basis" doc:"Number of recent orders behind the estimate, at the stage with the fewest."`
	Needs int        `json:"needs" doc:"Smallest basis that gives an estimate."`
}

type estimateInput struct {
	ID string `path:"id" maxLength:"64" doc:"ID of the order."`
}

type estimateOutput struct {
	CacheControl string `header:"Cache-Control"`
	Body         Estimate
}

// estimate is separate from the order because it depends on the other orders: as a
// part of the order, it would change the ETag all the time.
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
	boardTime = 15 * time.Minute // How long a shipped order stays on the board.
	maxBoard  = 48               // Orders of each kind that the board shows.
	shortID   = 6                // Characters of an order's id that the board shows.
)

type boardOutput struct {
	Body struct {
		Almost []string `json:"almost" nullable:"false" doc:"Last characters of the ids of the orders at the last two stages, the last stage first, at most 48."`
		Ready  []string `json:"ready" nullable:"false" doc:"Last characters of the ids of the orders shipped in the last 15 minutes, newest first, at most 48."`
	}
}

// board answers with the ends of order ids only, because everybody can read the
// board.
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
