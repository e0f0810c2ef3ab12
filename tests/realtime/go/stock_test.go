// Package realtime runs the stock Go client against the engine's example server, in both encodings.
package realtime

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/centrifugal/centrifuge-go"
)

// How long a test waits for an event before it fails. Not a delay: events end the wait.
const patience = 30 * time.Second

// start runs the server with the profile for this client, and more behind it, and answers its address.
func start(t *testing.T, more ...string) string {
	t.Helper()
	return startWith(t, "go", more...)
}

// startWith does so with a named profile.
func startWith(t *testing.T, name string, more ...string) string {
	t.Helper()
	root, err := filepath.Abs("../../..")
	if err != nil {
		t.Fatal(err)
	}
	binary := os.Getenv("PUBSUB_BIN")
	if binary == "" {
		binary = filepath.Join(root, "target/debug/examples/pubsub")
	}
	profile, err := os.ReadFile(filepath.Join(root, "crates/realtime/examples/pubsub/profiles", name+".toml"))
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(t.TempDir(), "config.toml")
	text := strings.Replace(string(profile), "127.0.0.1:8000", "127.0.0.1:0", 1) + strings.Join(more, "")
	if err := os.WriteFile(config, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	server := exec.Command(binary, "--config", config)
	out, err := server.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := server.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = server.Process.Signal(syscall.SIGTERM)
		_ = server.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(strings.TrimPrefix(line, "listening on "))
}

// clients makes a client in each encoding.
var clients = map[string]func(string, centrifuge.Config) *centrifuge.Client{
	"json":     centrifuge.NewJsonClient,
	"protobuf": centrifuge.NewProtobufClient,
}

func await[T any](t *testing.T, events <-chan T) T {
	t.Helper()
	select {
	case event := <-events:
		return event
	case <-time.After(patience):
		t.Fatal("nothing came")
		panic("unreachable")
	}
}

type listener struct {
	subscription *centrifuge.Subscription
	subscribed   chan centrifuge.SubscribedEvent
	said         chan centrifuge.PublicationEvent
}

func listen(t *testing.T, client *centrifuge.Client, channel string, config centrifuge.SubscriptionConfig) listener {
	t.Helper()
	subscription, err := client.NewSubscription(channel, config)
	if err != nil {
		t.Fatal(err)
	}
	heard := listener{
		subscription: subscription,
		subscribed:   make(chan centrifuge.SubscribedEvent, 10),
		said:         make(chan centrifuge.PublicationEvent, 100),
	}
	subscription.OnSubscribed(func(event centrifuge.SubscribedEvent) { heard.subscribed <- event })
	subscription.OnPublication(func(event centrifuge.PublicationEvent) { heard.said <- event })
	if err := subscription.Subscribe(); err != nil {
		t.Fatal(err)
	}
	return heard
}

func TestPublishHistoryAndRecovery(t *testing.T) {
	publishHistoryAndRecovery(t, start(t), centrifuge.Config{})
}

func TestTheSameCompressed(t *testing.T) {
	address := start(t, "\n[client]\ncompress_from = 1\n")
	publishHistoryAndRecovery(t, address, centrifuge.Config{EnableCompression: true})
}

func publishHistoryAndRecovery(t *testing.T, address string, config centrifuge.Config) {
	for encoding, newClient := range clients {
		t.Run(encoding, func(t *testing.T) {
			between := newRelay(t, address)
			config.MinReconnectDelay = 10 * time.Millisecond
			client := newClient("ws://"+between.address+"/connection/websocket", config)
			defer client.Close()
			connecting := make(chan centrifuge.ConnectingEvent, 100)
			client.OnConnecting(func(event centrifuge.ConnectingEvent) { connecting <- event })
			other := newClient("ws://"+address+"/connection/websocket", config)
			defer other.Close()
			if err := client.Connect(); err != nil {
				t.Fatal(err)
			}
			if err := other.Connect(); err != nil {
				t.Fatal(err)
			}
			channel := "talk_" + encoding
			heard := listen(t, client, channel, centrifuge.SubscriptionConfig{Delta: centrifuge.DeltaTypeFossil})
			await(t, heard.subscribed)
			say := func(n int) {
				t.Helper()
				data := fmt.Sprintf(`{"text":"the same words again and again","n":%d}`, n)
				if _, err := other.Publish(context.Background(), channel, []byte(data)); err != nil {
					t.Fatal(err)
				}
			}
			expect := func(n int) {
				t.Helper()
				event := await(t, heard.said)
				want := fmt.Sprintf(`{"text":"the same words again and again","n":%d}`, n)
				if string(event.Data) != want {
					t.Fatalf("heard %s, not %s", event.Data, want)
				}
			}
			for n := range 20 {
				say(n)
			}
			for n := range 20 {
				expect(n)
			}
			if err := client.Disconnect(); err != nil {
				t.Fatal(err)
			}
			say(20)
			if err := client.Connect(); err != nil {
				t.Fatal(err)
			}
			if again := await(t, heard.subscribed); !again.WasRecovering || !again.Recovered {
				t.Fatalf("not recovered: %+v", again)
			}
			expect(20)
			for len(connecting) > 0 {
				<-connecting
			}
			between.cut()
			await(t, connecting)
			for n := range 10 {
				say(21 + n)
			}
			between.mend()
			if again := await(t, heard.subscribed); !again.WasRecovering || !again.Recovered {
				t.Fatalf("not recovered: %+v", again)
			}
			for n := range 10 {
				expect(21 + n)
			}
			say(31)
			expect(31)
			history, err := heard.subscription.History(context.Background(), centrifuge.WithHistoryLimit(100))
			if err != nil || len(history.Publications) != 32 {
				t.Fatalf("%d publications, %v", len(history.Publications), err)
			}
			if _, err := heard.subscription.Presence(context.Background()); err == nil {
				t.Fatal("the profile has no presence")
			}
		})
	}
}

func TestAnUnknownNamespaceIsToldSo(t *testing.T) {
	address := start(t)
	for encoding, newClient := range clients {
		t.Run(encoding, func(t *testing.T) {
			client := newClient("ws://"+address+"/connection/websocket", centrifuge.Config{})
			defer client.Close()
			if err := client.Connect(); err != nil {
				t.Fatal(err)
			}
			subscription, err := client.NewSubscription("nowhere:x")
			if err != nil {
				t.Fatal(err)
			}
			ended := make(chan centrifuge.UnsubscribedEvent, 1)
			subscription.OnUnsubscribed(func(event centrifuge.UnsubscribedEvent) { ended <- event })
			if err := subscription.Subscribe(); err != nil {
				t.Fatal(err)
			}
			if event := await(t, ended); event.Code != 102 {
				t.Fatalf("code %d", event.Code)
			}
		})
	}
}
