package embedded

// ApplyRetention deletes now what the broker's retention lets it delete.
func (b *Broker) ApplyRetention() { b.cluster.ApplyRetention() }
