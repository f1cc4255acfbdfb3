// Package deploy embeds the configuration files of other programs that commands of this one need.
package deploy

import "embed"

// Connectors has the configurations of Kafka Connect's connectors. Each file has the name of its
// connector.
//
//go:embed connect/*.json
var Connectors embed.FS

// Maven projects of the plugins that a Kafka Connect worker needs for the connectors.
var (
	//go:embed connect/mongodb.xml
	MongoDBPlugin []byte
	//go:embed connect/debezium.xml
	DebeziumPlugin []byte
)

// Ingredients is the initial content of the inventory's database, in the format of mongoimport.
//
//go:embed mongo/ingredients.json
var Ingredients []byte
