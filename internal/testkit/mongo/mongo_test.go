package mongo

import (
	"context"
	"testing"

	"github.com/ecupcakes/ecupcakes/internal/testkit"

	"go.mongodb.org/mongo-driver/v2/bson"
	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
)

// A change stream tells of everything in its order, also of what happened while
// nobody followed it, and after the server was away.
func TestChangeStream(t *testing.T) {
	t.Parallel()
	testkit.NeedsJava(t)
	s, err := Start(t.Context(), t.TempDir(), "inventory")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = s.Disconnect(context.Background())
		s.Kill()
	})
	ctx := testkit.Context(t)
	c := s.Database("inventory").Collection("ingredients")
	id := bson.D{{Key: "_id", Value: "flour"}}
	var token bson.Raw
	follow := func(want ...string) {
		t.Helper()
		o := options.ChangeStream().SetFullDocument(options.UpdateLookup)
		if token != nil {
			o.SetResumeAfter(token)
		}
		stream, err := c.Watch(ctx, mongo.Pipeline{}, o)
		if err != nil {
			t.Fatal(err)
		}
		defer stream.Close(ctx)
		if token == nil {
			token = stream.ResumeToken()
			return
		}
		for _, w := range want {
			if !stream.Next(ctx) {
				t.Fatalf("the stream ended before %s: %v", w, stream.Err())
			}
			if got := stream.Current.Lookup("operationType").StringValue(); got != w {
				t.Fatalf("the stream tells %s, want %s", stream.Current, w)
			}
		}
		token = stream.ResumeToken()
	}
	must := func(_ any, err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	follow()
	must(c.InsertOne(ctx, bson.D{{Key: "_id", Value: "flour"}, {Key: "stock", Value: 10}}))
	must(c.UpdateOne(ctx, id, bson.D{{Key: "$inc", Value: bson.D{{Key: "stock", Value: -10}}}}))
	follow("insert", "update")
	must(c.ReplaceOne(ctx, id, bson.D{{Key: "stock", Value: 5}}))
	s.Stop()
	if err := s.Start(ctx); err != nil {
		t.Fatal(err)
	}
	must(c.DeleteOne(ctx, id))
	follow("replace", "delete")
}
