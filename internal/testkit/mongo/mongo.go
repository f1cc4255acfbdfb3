// Package mongo runs a stand-in for a MongoDB replica set for tests; what it is
// not, ReplicaSet.java says.
//
// It imports nothing of eCupcakes, and no product code may import it.
package mongo

import (
	"context"
	_ "embed"
	"fmt"
	"path/filepath"
	"time"

	"github.com/ecupcakes/ecupcakes/internal/testkit/java"

	"go.mongodb.org/mongo-driver/v2/mongo"
	"go.mongodb.org/mongo-driver/v2/mongo/options"
	"go.mongodb.org/mongo-driver/v2/mongo/readpref"
)

//go:embed pom.xml
var pom []byte

//go:embed ReplicaSet.java
var program []byte

// Server is a running replica set of one member. Stop takes it away; Start
// brings it back, with what it had.
type Server struct {
	java.Program
	URI string
	*mongo.Client
}

// Start runs one with its data below dir, and returns when it serves. Change
// streams tell of the databases, and of no others.
func Start(ctx context.Context, dir string, databases ...string) (*Server, error) {
	jars, err := java.Jars(ctx, "mongo", pom)
	if err != nil {
		return nil, err
	}
	ports, err := java.Ports(1)
	if err != nil {
		return nil, err
	}
	classes, err := java.Compile(ctx, "ReplicaSet", jars, program)
	if err != nil {
		return nil, err
	}
	// Who asks a server that is away has to hear that within two seconds.
	s := &Server{URI: fmt.Sprintf("mongodb://127.0.0.1:%d/?replicaSet=rs0&serverSelectionTimeoutMS=2000&connectTimeoutMS=2000", ports[0])}
	if s.Client, err = mongo.Connect(options.Client().ApplyURI(s.URI)); err != nil {
		return nil, fmt.Errorf("making a MongoDB client: %w", err)
	}
	s.Program = java.Program{
		Name: "the stand-in for MongoDB", Log: filepath.Join(dir, "mongo.log"),
		Args: append([]string{
			"-Xmx192m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn",
			"-cp", filepath.Join(jars, "*") + ":" + classes,
			"ReplicaSet", fmt.Sprint(ports[0]), filepath.Join(dir, "mongo.h2"),
		}, databases...),
		Up: func(ctx context.Context) error {
			ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
			defer cancel()
			return s.Ping(ctx, readpref.Primary())
		},
	}
	return s, s.Start(ctx)
}
