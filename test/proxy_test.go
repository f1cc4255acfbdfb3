package test

import (
	"net"
	"sync"
	"time"
)

// proxy stands between a broker and everybody who talks to it, and is a network
// that fails on demand.
type proxy struct {
	target   string
	listener net.Listener

	mu    sync.Mutex
	down  bool          // New connections are closed at once.
	delay time.Duration // Of each piece that passes, either way.
	conns map[net.Conn]bool
	wg    sync.WaitGroup
}

func newProxy(target string) (*proxy, error) {
	address, err := free()
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("tcp", address)
	if err != nil {
		return nil, err
	}
	p := &proxy{target: target, listener: l, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) close() {
	_ = p.listener.Close()
	p.cut()
	p.wg.Wait()
}

func (p *proxy) accept() {
	for {
		c, err := p.listener.Accept()
		if err != nil {
			return
		}
		p.wg.Go(func() { p.serve(c) })
	}
}

func (p *proxy) serve(client net.Conn) {
	defer client.Close()
	if p.isDown() {
		return
	}
	server, err := net.DialTimeout("tcp", p.target, time.Second)
	if err != nil {
		return
	}
	defer server.Close()
	p.mu.Lock()
	p.conns[client], p.conns[server] = true, true
	p.mu.Unlock()
	defer func() {
		p.mu.Lock()
		defer p.mu.Unlock()
		delete(p.conns, client)
		delete(p.conns, server)
	}()
	var wg sync.WaitGroup
	wg.Go(func() { p.pass(client, server) })
	wg.Go(func() { p.pass(server, client) })
	wg.Wait()
}

// pass copies until either end is closed, and closes both.
func (p *proxy) pass(from, to net.Conn) {
	defer from.Close()
	defer to.Close()
	b := make([]byte, 16<<10)
	for {
		n, err := from.Read(b)
		if n > 0 {
			p.mu.Lock()
			delay := p.delay
			p.mu.Unlock()
			time.Sleep(delay)
			if _, err := to.Write(b[:n]); err != nil {
				return
			}
		}
		if err != nil { // io.EOF, too: Kafka's connections are not closed by halves.
			return
		}
	}
}

func (p *proxy) isDown() bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.down
}

// cut closes all connections.
func (p *proxy) cut() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for c := range p.conns {
		_ = c.Close()
	}
}

// set makes the network slow or takes it away, with all connections.
func (p *proxy) set(down bool, delay time.Duration) {
	p.mu.Lock()
	p.down, p.delay = down, delay
	p.mu.Unlock()
	if down {
		p.cut()
	}
}
