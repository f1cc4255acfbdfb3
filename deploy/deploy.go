// Package deploy holds the files with which other programs run beside this one,
// for those commands that need them.
package deploy

import "embed"

// Connectors are the configurations of Kafka Connect's connectors. A file's name
// is the connector's.
//
//go:embed connect/*.json
var Connectors embed.FS

// Ingredients are what the database of the inventory begins with, as mongoimport
// takes it.
//
//go:embed mongo/ingredients.json
var Ingredients []byte
