package realtime

import (
	"io"
	"net"
	"sync"
	"testing"
)

// relay stands between clients and a server, and cuts them off as a broken network does.
type relay struct {
	address string
	mutex   sync.Mutex
	broken  bool
	open    map[*net.TCPConn]struct{}
}

func newRelay(t *testing.T, server string) *relay {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	it := &relay{address: listener.Addr().String(), open: map[*net.TCPConn]struct{}{}}
	t.Cleanup(func() {
		_ = listener.Close()
		it.cut()
	})
	go func() {
		for {
			near, err := listener.Accept()
			if err != nil {
				return
			}
			far, err := net.Dial("tcp", server)
			if err != nil {
				_ = near.Close()
				continue
			}
			it.join(near.(*net.TCPConn), far.(*net.TCPConn))
		}
	}()
	return it
}

func (it *relay) join(near, far *net.TCPConn) {
	it.mutex.Lock()
	defer it.mutex.Unlock()
	if it.broken {
		reset(near)
		reset(far)
		return
	}
	for _, pair := range [][2]*net.TCPConn{{near, far}, {far, near}} {
		from, to := pair[0], pair[1]
		it.open[from] = struct{}{}
		go func() {
			_, _ = io.Copy(to, from)
			_ = to.Close()
			it.mutex.Lock()
			defer it.mutex.Unlock()
			delete(it.open, from)
		}()
	}
}

// cut resets every connection, and each that is tried until mend.
func (it *relay) cut() {
	it.mutex.Lock()
	defer it.mutex.Unlock()
	it.broken = true
	for socket := range it.open {
		reset(socket)
	}
}

func (it *relay) mend() {
	it.mutex.Lock()
	defer it.mutex.Unlock()
	it.broken = false
}

// A socket that is closed without lingering is reset.
func reset(socket *net.TCPConn) {
	_ = socket.SetLinger(0)
	_ = socket.Close()
}
