// Package deploy holds the files with which other programs run beside this one,
// for those commands that need them.
package deploy

import "embed"

// Connectors are the configurations of Kafka Connect's connectors. A file's name
// is the connector's.
//
//go:embed connect/*.json
var Connectors embed.FS

// The Maven projects of the plugins that a worker of Kafka Connect needs for them.
var (
	//go:embed connect/mongodb.xml
	MongoDBPlugin []byte
	//go:embed connect/debezium.xml
	DebeziumPlugin []byte
)

// Ingredients are what the database of the inventory begins with, as mongoimport
// takes it.
//
//go:embed mongo/ingredients.json
var Ingredients []byte
