package app

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/IBM/sarama"
)

func (o *Options) sarama(c *sarama.Config) error {
	c.Consumer.Group.Session.Timeout = o.Session
	return o.Kafka.Sarama(c)
}

func (o *Options) validate() error {
	if err := o.Line.Validate(); err != nil {
		return fmt.Errorf("the line is invalid: %w", err)
	}
	if o.Partitions < 1 || o.Partitions > 1024 || o.Partitions&(o.Partitions-1) != 0 {
		return fmt.Errorf("--partitions %d is not a power of two from 1 to 1024", o.Partitions)
	}
	for _, s := range o.Stages {
		if o.Line.Index(s) < 0 {
			return fmt.Errorf("there is no stage %q: the line has %s", s, strings.Join(o.Line.Names(), ", "))
		}
	}
	if o.Session < minSession || o.Session > maxSession {
		return fmt.Errorf("--session-timeout %s is not between %s and %s, which brokers accept", o.Session, minSession, maxSession)
	}
	if o.MaxDead < 0 || o.MaxDead > 1 {
		return fmt.Errorf("--max-dead %g is not a share from 0 to 1", o.MaxDead)
	}
	if o.Expiry < 0 {
		return fmt.Errorf("--expiry %s is negative: give the time for which finished orders are kept, or 0 to keep them", o.Expiry)
	}
	if o.ClaimTTL < minClaimTTL {
		return fmt.Errorf("--claim-lapse %s is less than %s: a claim must outlast a hiccup of the network", o.ClaimTTL, minClaimTTL)
	}
	if !o.API && len(o.Stages) == 0 {
		return errors.New("no role is chosen: there is nothing to run")
	}
	if len(o.Kafka.Brokers) == 0 {
		o.Data = filepath.Clean(o.Data)
		return nil
	}
	return o.Kafka.Validate()
}
