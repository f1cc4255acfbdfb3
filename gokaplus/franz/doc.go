// Package franz is a goka producer on franz-go, for gokaplus or for goka alone, and a franz-go partitioner that assigns
// keys to partitions as goka does.
//
//	o := gokaplus.Options{Producer: franz.ProducerBuilder(franz.Options{Logger: logger})}
//
// Consumer groups, tables and the topic manager of goka stay on sarama. So a program that uses TLS or SASL configures it
// twice: for sarama with gokaplus.Options.Sarama, and for franz-go with [Options].Client.
//
// goka's own producer gives up on a record after some retries, and its processor fails with it. This one retries until
// the record is acknowledged, in a buffer of bounded size, and writes each record once and in order.
package franz
